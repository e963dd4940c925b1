"""What time brings: heartbeats, rotation, goodbyes, and forgetting who has left."""

import asyncio
import json
import re

import pytest

from realtime.idle_users import MAX_EXPIRED_PER_CALL
from realtime.options import RealtimeOptions
from realtime.rate_limiter import RateLimit
from tests.realtime.conftest import MakeDriver
from tests.realtime.driver import Client, Driver
from tests.realtime.fake_ports import FakeSink
from tests.realtime.sse_parser import parse


def pass_time(hub: Driver, seconds: float) -> None:
    """Seconds go by, with the wheel turning as often as it does."""
    end = hub.now + seconds
    while hub.now < end:
        hub.now += hub.options.tick_seconds
        hub.manager.tick(hub.now)


def beats(client: Client) -> list[str]:
    return [message.last_event_id for message in client.messages if message.type == "heartbeat"]


async def test_heartbeats_come_every_fifteen_seconds_or_so(hub: Driver) -> None:
    clients = [hub.open(f"u{n}") for n in range(50)]
    opened = hub.now
    first: dict[int, float] = {}
    while len(first) < 50:
        pass_time(hub, hub.options.tick_seconds)
        for client in clients:
            if beats(client):
                first.setdefault(client.stream.number, hub.now - opened)
    assert min(first.values()) >= 13.5
    assert max(first.values()) <= 17.0
    assert len(set(first.values())) > 3
    pass_time(hub, 150)
    assert all(9 <= len(beats(client)) <= 13 for client in clients)
    data = json.loads(clients[0].messages[-1].data)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", data["serverTime"])


async def test_a_heartbeat_says_where_a_quiet_stream_stands(hub: Driver) -> None:
    client = hub.open("u", channels=("user:u",))
    hub.publish("jobs", "1", "2", "3")
    pass_time(hub, 17)
    assert beats(client) == ["e.3"]


async def test_a_heartbeat_in_the_middle_of_a_turn_skips_nothing(hub: Driver) -> None:
    client = hub.open("u")
    hub.now += 20
    hub.publish("jobs", "1")
    hub.manager.tick(hub.now)
    # Cut right here: the cursor must not be past what was written.
    hub.manager.stream_closed(client.stream)
    missed = await hub.connect("u", client.cursor)
    assert client.event_data + missed.event_data == ["1"]
    assert beats(client) == ["e.0"]


async def test_a_heartbeat_to_one_who_is_ahead_does_not_send_it_back(hub: Driver) -> None:
    hub.publish("jobs", "1")
    hub.history.commit("jobs", b"2")
    client = await hub.connect("u", "e.2")
    pass_time(hub, 17)
    assert beats(client) == ["e.2"]


async def test_one_heartbeat_frame_serves_all_of_a_slot(make_hub: MakeDriver) -> None:
    hub = await make_hub(rotate_seconds=0)
    clients = [hub.open(f"u{n}", address=str(n)) for n in range(200)]
    hub.now += 20
    hub.manager.tick(hub.now)
    assert len({id(client.sink.chunks[-1]) for client in clients}) == 1


async def test_one_who_does_not_read_gets_no_heartbeats_on_top(make_hub: MakeDriver) -> None:
    hub = await make_hub(stall_seconds=0)
    client = hub.open(sink=FakeSink(blocked=True))
    pass_time(hub, 100)
    assert len(client.sink.chunks) == 1


async def test_streams_rotate_after_a_quarter_of_an_hour_or_so(hub: Driver) -> None:
    clients = [hub.open(f"u{n}") for n in range(50)]
    pass_time(hub, 719)
    assert hub.manager.connections == 50
    pass_time(hub, 181)
    assert 0 < hub.manager.connections < 50
    pass_time(hub, 181)
    assert hub.manager.connections == 0
    for client in clients:
        assert json.loads(client.messages[-1].data) == {"reason": "rotate"}
        assert client.sink.ended
        assert 200 <= (parse(client.sink.received()).retry or 0) <= 1_000


async def test_a_login_or_a_user_can_be_ended(hub: Driver) -> None:
    phone, laptop, other = hub.open("u", login="l1"), hub.open("u", login="l2"), hub.open("v", login="l3")
    hub.manager.end_session_streams("l1", "logout", user_id="u")
    assert phone.types[-1] == "bye"
    assert laptop.types[-1] != "bye"
    hub.manager.end_user_streams("u", "revoked")
    assert json.loads(laptop.messages[-1].data) == {"reason": "revoked"}
    assert other.state == "live"
    hub.manager.end_user_streams("nobody", "revoked")
    hub.manager.end_session_streams("l3", "revoked", user_id=None)
    assert other.types[-1] == "bye"
    hub.manager.end_stream(phone.stream, "rotate")
    assert phone.types.count("bye") == 1


async def test_shutdown_writes_what_waits_and_says_goodbye(hub: Driver) -> None:
    clients = [hub.open(f"u{n}") for n in range(5)]
    hub.publish("jobs", "last")
    await hub.manager.stop()
    assert all(client.types == ["connection_confirmed", "fact", "bye"] for client in clients)
    assert all(client.sink.ended for client in clients)
    assert len({parse(client.sink.received()).retry for client in clients}) > 1


async def test_a_stream_ended_with_events_waiting_can_come_back_for_them(hub: Driver) -> None:
    client = hub.open("u")
    hub.publish("jobs", "1")
    hub.manager.end_stream(client.stream, "rotate")
    await asyncio.sleep(0)
    again = await hub.connect("u", client.cursor)
    assert client.event_data + again.event_data == ["1"]


async def test_users_leave_memory_five_minutes_after_their_last_stream(hub: Driver) -> None:
    one, two = hub.open("u"), hub.open("u")
    hub.manager.stream_closed(one.stream)
    pass_time(hub, 400)
    hub.manager.stream_closed(two.stream)
    pass_time(hub, 299)
    back = hub.open("u")
    pass_time(hub, 400)
    assert hub.idle_users == []
    hub.manager.stream_closed(back.stream)
    pass_time(hub, 299)
    assert hub.idle_users == []
    pass_time(hub, 1)
    assert hub.idle_users == ["u"]
    pass_time(hub, 400)
    assert hub.idle_users == ["u"], "said once"


async def test_users_never_leave_memory_for_being_idle_where_that_is_off(make_hub: MakeDriver) -> None:
    hub = await make_hub(idle_seconds=0)
    hub.manager.stream_closed(hub.open("u").stream)
    pass_time(hub, 10)
    assert hub.idle_users == []


async def test_many_who_leave_at_once_are_forgotten_in_lots(hub: Driver) -> None:
    names = [f"u{number}" for number in range(MAX_EXPIRED_PER_CALL + 10)]
    for client in [hub.open(name) for name in names]:
        hub.manager.stream_closed(client.stream)
    hub.now += 300
    hub.manager.tick(hub.now)
    assert hub.idle_users == names[:MAX_EXPIRED_PER_CALL]
    hub.manager.tick(hub.now)
    assert hub.idle_users == names


async def test_streams_are_capped_per_user_and_address(make_hub: MakeDriver) -> None:
    hub = await make_hub(max_streams_per_user=2, max_streams_per_address=3)
    assert hub.manager.admit("u", "a") is None
    hub.open("u", address="a")
    second = hub.open("u", address="a")
    assert hub.manager.admit("u", "b") == "too_many_streams"
    hub.open("v", address="a")
    assert hub.manager.admit("w", "a") == "too_many_streams"
    assert hub.manager.admit("w", "b") is None
    hub.manager.stream_closed(second.stream)
    assert hub.manager.admit("u", "a") is None


async def test_connects_are_limited_per_user(make_hub: MakeDriver) -> None:
    hub = await make_hub(connect_limit=RateLimit(2, 60.0))
    assert [hub.manager.admit("u", "a", hub.now) for _ in range(3)] == [None, None, "overloaded"]
    assert hub.manager.admit("v", "a") is None
    hub.now += 30
    assert hub.manager.admit("u", "a") is None


async def test_limits_of_zero_are_off(make_hub: MakeDriver) -> None:
    hub = await make_hub(max_streams_per_user=0, max_streams_per_address=0, connect_limit=None, queue_events=0)
    for n in range(200):
        assert hub.manager.admit("u", "a") is None
        hub.open("u", address="a", login=str(n))
    hub.publish("jobs", *(str(n) for n in range(3_000)))


async def test_a_hundred_sends_a_minute_and_then_a_wait(hub: Driver) -> None:
    assert all(hub.manager.allow_send("u").allowed for _ in range(100))
    refused = hub.manager.allow_send("u")
    assert not refused.allowed
    assert refused.retry_after == pytest.approx(0.6)
    assert hub.manager.allow_send("v").allowed
    hub.now += 0.6
    assert hub.manager.allow_send("u").allowed


async def test_the_wheel_turns_by_itself(make_hub: MakeDriver) -> None:
    hub = await make_hub(heartbeat_seconds=0.02, rotate_seconds=0)

    class Beaten(FakeSink):
        beat = asyncio.Event()

        def write(self, chunk: bytes) -> None:
            super().write(chunk)
            if chunk.startswith(b"event: heartbeat"):
                self.beat.set()

    client = hub.open(sink=Beaten())
    hub.now += 1
    async with asyncio.timeout(10):
        await Beaten.beat.wait()
    assert client.types[-1] == "heartbeat"


def test_heartbeats_cannot_be_turned_off() -> None:
    with pytest.raises(ValueError, match="heartbeat"):
        RealtimeOptions(epoch="e", heartbeat_seconds=0)
