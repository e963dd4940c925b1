"""What time brings: heartbeats, rotation, goodbyes, and forgetting who has left."""

import asyncio
import re

import pytest

from realtime.idle_users import MAX_EXPIRED_PER_CALL
from realtime.options import RealtimeOptions
from realtime.rate_limiter import RateLimit
from tests.realtime.conftest import MakeDriver
from tests.realtime.driver import Client, Driver
from tests.realtime.fake_ports import FakeSink
from tests.support.sse_parser import parse


def pass_time(driver: Driver, seconds: float) -> None:
    """Seconds go by, with the wheel turning as often as it does."""
    end = driver.now + seconds
    while driver.now < end:
        driver.now += driver.options.tick_seconds
        driver.manager.tick(driver.now)


def beats(client: Client) -> list[str]:
    return [message.last_event_id for message in client.events if message.type == "heartbeat"]


async def test_heartbeats_come_every_fifteen_seconds_or_so(driver: Driver) -> None:
    clients = [driver.open(f"u{n}") for n in range(50)]
    opened = driver.now
    first: dict[int, float] = {}
    while len(first) < 50:
        pass_time(driver, driver.options.tick_seconds)
        for client in clients:
            if beats(client):
                first.setdefault(client.stream.number, driver.now - opened)
    assert min(first.values()) >= 13.5
    assert max(first.values()) <= 17.0
    assert len(set(first.values())) > 3
    pass_time(driver, 150)
    assert all(9 <= len(beats(client)) <= 13 for client in clients)
    data = clients[0].events[-1].data
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", data["serverTime"])


async def test_a_heartbeat_says_where_a_quiet_stream_stands(driver: Driver) -> None:
    client = driver.open("u", channels=("user:u",))
    driver.publish("jobs", "1", "2", "3")
    pass_time(driver, 17)
    assert beats(client) == ["e.3"]


async def test_a_heartbeat_in_the_middle_of_a_turn_skips_nothing(driver: Driver) -> None:
    client = driver.open("u")
    driver.now += 20
    driver.publish("jobs", "1")
    driver.manager.tick(driver.now)
    # Cut right here: the cursor must not be past what was written.
    driver.manager.stream_closed(client.stream)
    missed = await driver.connect("u", client.cursor)
    assert client.event_data + missed.event_data == ["1"]
    assert beats(client) == ["e.0"]


async def test_a_heartbeat_to_one_who_is_ahead_does_not_send_it_back(driver: Driver) -> None:
    driver.publish("jobs", "1")
    driver.history.commit("jobs", b"2")
    client = await driver.connect("u", "e.2")
    pass_time(driver, 17)
    assert beats(client) == ["e.2"]


async def test_one_heartbeat_frame_serves_all_of_a_slot(make_driver: MakeDriver) -> None:
    driver = await make_driver(rotate_seconds=0)
    clients = [driver.open(f"u{n}", address=str(n)) for n in range(200)]
    driver.now += 20
    driver.manager.tick(driver.now)
    assert len({id(client.sink.chunks[-1]) for client in clients}) == 1


async def test_one_who_does_not_read_gets_no_heartbeats_on_top(make_driver: MakeDriver) -> None:
    driver = await make_driver(stall_seconds=0)
    client = driver.open(sink=FakeSink(blocked=True))
    pass_time(driver, 100)
    assert len(client.sink.chunks) == 1


async def test_streams_rotate_after_a_quarter_of_an_hour_or_so(driver: Driver) -> None:
    clients = [driver.open(f"u{n}") for n in range(50)]
    pass_time(driver, 719)
    assert driver.manager.connections == 50
    pass_time(driver, 181)
    assert 0 < driver.manager.connections < 50
    pass_time(driver, 181)
    assert driver.manager.connections == 0
    for client in clients:
        assert client.events[-1].data == {"reason": "rotate"}
        assert client.sink.ended
        assert 200 <= (parse(client.sink.received()).retry or 0) <= 1_000


async def test_a_login_or_a_user_can_be_ended(driver: Driver) -> None:
    phone, laptop, other = (
        driver.open("u", session_id="l1"),
        driver.open("u", session_id="l2"),
        driver.open("v", session_id="l3"),
    )
    driver.manager.end_session_streams("l1", "logout", user_id="u")
    assert phone.types[-1] == "bye"
    assert laptop.types[-1] != "bye"
    driver.manager.end_user_streams("u", "revoked")
    assert laptop.events[-1].data == {"reason": "revoked"}
    assert other.state == "live"
    driver.manager.end_user_streams("nobody", "revoked")
    driver.manager.end_session_streams("l3", "revoked", user_id=None)
    assert other.types[-1] == "bye"
    driver.manager.end_stream(phone.stream, "rotate")
    assert phone.types.count("bye") == 1


async def test_shutdown_writes_what_waits_and_says_goodbye(driver: Driver) -> None:
    clients = [driver.open(f"u{n}") for n in range(5)]
    driver.publish("jobs", "last")
    await driver.manager.stop()
    assert all(client.types == ["connection_confirmed", "test_event", "bye"] for client in clients)
    assert all(client.sink.ended for client in clients)
    assert len({parse(client.sink.received()).retry for client in clients}) > 1


async def test_a_stream_ended_with_events_waiting_can_come_back_for_them(driver: Driver) -> None:
    client = driver.open("u")
    driver.publish("jobs", "1")
    driver.manager.end_stream(client.stream, "rotate")
    await asyncio.sleep(0)
    again = await driver.connect("u", client.cursor)
    assert client.event_data + again.event_data == ["1"]


async def test_users_leave_memory_five_minutes_after_their_last_stream(driver: Driver) -> None:
    one, two = driver.open("u"), driver.open("u")
    driver.manager.stream_closed(one.stream)
    pass_time(driver, 400)
    driver.manager.stream_closed(two.stream)
    pass_time(driver, 299)
    back = driver.open("u")
    pass_time(driver, 400)
    assert driver.idle_users == []
    driver.manager.stream_closed(back.stream)
    pass_time(driver, 299)
    assert driver.idle_users == []
    pass_time(driver, 1)
    assert driver.idle_users == ["u"]
    pass_time(driver, 400)
    assert driver.idle_users == ["u"], "said once"


async def test_users_never_leave_memory_for_being_idle_where_that_is_off(make_driver: MakeDriver) -> None:
    driver = await make_driver(idle_seconds=0)
    driver.manager.stream_closed(driver.open("u").stream)
    pass_time(driver, 10)
    assert driver.idle_users == []


async def test_many_who_leave_at_once_are_forgotten_in_lots(driver: Driver) -> None:
    names = [f"u{number}" for number in range(MAX_EXPIRED_PER_CALL + 10)]
    for client in [driver.open(name) for name in names]:
        driver.manager.stream_closed(client.stream)
    driver.now += 300
    driver.manager.tick(driver.now)
    assert driver.idle_users == names[:MAX_EXPIRED_PER_CALL]
    driver.manager.tick(driver.now)
    assert driver.idle_users == names


async def test_streams_are_capped_per_user_and_address(make_driver: MakeDriver) -> None:
    driver = await make_driver(max_streams_per_user=2, max_streams_per_address=3)
    assert driver.manager.admit("u", "a") is None
    driver.open("u", address="a")
    second = driver.open("u", address="a")
    assert driver.manager.admit("u", "b") == "too_many_streams"
    driver.open("v", address="a")
    assert driver.manager.admit("w", "a") == "too_many_streams"
    assert driver.manager.admit("w", "b") is None
    driver.manager.stream_closed(second.stream)
    assert driver.manager.admit("u", "a") is None


async def test_connects_are_limited_per_user(make_driver: MakeDriver) -> None:
    driver = await make_driver(connect_limit=RateLimit(2, 60.0))
    assert [driver.manager.admit("u", "a", driver.now) for _ in range(3)] == [None, None, "overloaded"]
    assert driver.manager.admit("v", "a") is None
    driver.now += 30
    assert driver.manager.admit("u", "a") is None


async def test_limits_of_zero_are_off(make_driver: MakeDriver) -> None:
    driver = await make_driver(max_streams_per_user=0, max_streams_per_address=0, connect_limit=None, queue_events=0)
    for n in range(200):
        assert driver.manager.admit("u", "a") is None
        driver.open("u", address="a", session_id=str(n))
    driver.publish("jobs", *(str(n) for n in range(3_000)))


async def test_a_hundred_sends_a_minute_and_then_a_wait(driver: Driver) -> None:
    assert all(driver.manager.allow_send("u").allowed for _ in range(100))
    refused = driver.manager.allow_send("u")
    assert not refused.allowed
    assert refused.retry_after == pytest.approx(0.6)
    assert driver.manager.allow_send("v").allowed
    driver.now += 0.6
    assert driver.manager.allow_send("u").allowed


async def test_the_wheel_turns_by_itself(make_driver: MakeDriver) -> None:
    driver = await make_driver(heartbeat_seconds=0.02, rotate_seconds=0)

    class Beaten(FakeSink):
        beat = asyncio.Event()

        def write(self, chunk: bytes) -> None:
            super().write(chunk)
            if chunk.startswith(b"event: heartbeat"):
                self.beat.set()

    client = driver.open(sink=Beaten())
    driver.now += 1
    async with asyncio.timeout(10):
        await Beaten.beat.wait()
    assert client.types[-1] == "heartbeat"


def test_heartbeats_cannot_be_turned_off() -> None:
    with pytest.raises(ValueError, match="heartbeat"):
        RealtimeOptions(epoch="e", heartbeat_seconds=0)
