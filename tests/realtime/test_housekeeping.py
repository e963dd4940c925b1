"""Housekeeping: heartbeats, rotation, bye frames and release of idle users."""

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
from tests.support.timeouts import TIMEOUT_SECONDS


def pass_time(driver: Driver, seconds: float) -> None:
    """Advance the clock by `seconds` and run housekeeping at its interval."""
    end = driver.now + seconds
    while driver.now < end:
        driver.now += driver.options.tick_seconds
        driver.manager.tick(driver.now)


def heartbeat_ids(client: Client) -> list[str]:
    return [event.last_event_id for event in client.events if event.type == "heartbeat"]


async def test_heartbeats_are_sent_every_fifteen_seconds_with_jitter(driver: Driver) -> None:
    clients = [driver.open(f"u{n}") for n in range(50)]
    opened = driver.now
    first: dict[int, float] = {}
    while len(first) < 50:
        pass_time(driver, driver.options.tick_seconds)
        for client in clients:
            if heartbeat_ids(client):
                first.setdefault(client.stream.number, driver.now - opened)
    assert min(first.values()) >= 13.5
    assert max(first.values()) <= 17.0
    assert len(set(first.values())) > 3
    pass_time(driver, 150)
    assert all(9 <= len(heartbeat_ids(client)) <= 13 for client in clients)
    data = clients[0].events[-1].data
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", data["serverTime"])


async def test_heartbeat_has_the_head_as_cursor_of_a_quiet_stream(driver: Driver) -> None:
    client = driver.open("u", channels=("user:u",))
    driver.publish("jobs", "1", "2", "3")
    pass_time(driver, 17)
    assert heartbeat_ids(client) == ["e.3"]


async def test_heartbeat_within_an_iteration_skips_no_event(driver: Driver) -> None:
    client = driver.open("u")
    driver.now += 20
    driver.publish("jobs", "1")
    driver.manager.tick(driver.now)
    # The connection breaks here: the cursor must not be after the last written event.
    driver.manager.stream_closed(client.stream)
    reconnected = await driver.connect("u", client.cursor)
    assert client.event_data + reconnected.event_data == ["1"]
    assert heartbeat_ids(client) == ["e.0"]


async def test_heartbeat_keeps_the_cursor_of_a_stream_ahead_of_publisher(driver: Driver) -> None:
    driver.publish("jobs", "1")
    driver.history.commit("jobs", b"2")
    client = await driver.connect("u", "e.2")
    pass_time(driver, 17)
    assert heartbeat_ids(client) == ["e.2"]


async def test_heartbeat_frame_is_shared_by_all_streams_of_a_slot(make_driver: MakeDriver) -> None:
    driver = await make_driver(rotate_seconds=0)
    clients = [driver.open(f"u{n}", address=str(n)) for n in range(200)]
    driver.now += 20
    driver.manager.tick(driver.now)
    assert len({id(client.sink.chunks[-1]) for client in clients}) == 1


async def test_heartbeat_is_skipped_when_the_client_does_not_read(make_driver: MakeDriver) -> None:
    driver = await make_driver(stall_seconds=0)
    client = driver.open(sink=FakeSink(blocked=True))
    pass_time(driver, 100)
    assert len(client.sink.chunks) == 1


async def test_streams_rotate_after_fifteen_minutes_with_jitter(driver: Driver) -> None:
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


async def test_streams_of_a_session_or_a_user_are_ended(driver: Driver) -> None:
    phone, laptop, other = (
        driver.open("u", session_id="s1"),
        driver.open("u", session_id="s2"),
        driver.open("v", session_id="s3"),
    )
    driver.manager.end_session_streams("s1", "logout", user_id="u")
    assert phone.types[-1] == "bye"
    assert laptop.types[-1] != "bye"
    driver.manager.end_user_streams("u", "revoked")
    assert laptop.events[-1].data == {"reason": "revoked"}
    assert other.state == "live"
    driver.manager.end_user_streams("unknown", "revoked")
    driver.manager.end_session_streams("s3", "revoked", user_id=None)
    assert other.types[-1] == "bye"
    driver.manager.end_stream(phone.stream, "rotate")
    assert phone.types.count("bye") == 1


async def test_shutdown_writes_queued_events_and_bye_frames(driver: Driver) -> None:
    clients = [driver.open(f"u{n}") for n in range(5)]
    driver.publish("jobs", "last")
    await driver.manager.stop()
    assert all(client.types == ["connection_confirmed", "test_event", "bye"] for client in clients)
    assert all(client.sink.ended for client in clients)
    assert len({parse(client.sink.received()).retry for client in clients}) > 1


async def test_stream_ended_with_queued_events_can_resume(driver: Driver) -> None:
    client = driver.open("u")
    driver.publish("jobs", "1")
    driver.manager.end_stream(client.stream, "rotate")
    await asyncio.sleep(0)
    reconnected = await driver.connect("u", client.cursor)
    assert client.event_data + reconnected.event_data == ["1"]


async def test_users_are_released_five_minutes_after_their_last_stream(driver: Driver) -> None:
    first, second = driver.open("u"), driver.open("u")
    driver.manager.stream_closed(first.stream)
    pass_time(driver, 400)
    driver.manager.stream_closed(second.stream)
    pass_time(driver, 299)
    reconnected = driver.open("u")
    pass_time(driver, 400)
    assert driver.idle_users == []
    driver.manager.stream_closed(reconnected.stream)
    pass_time(driver, 299)
    assert driver.idle_users == []
    pass_time(driver, 1)
    assert driver.idle_users == ["u"]
    pass_time(driver, 400)
    assert driver.idle_users == ["u"], "released once"


async def test_users_are_never_released_when_the_idle_time_is_zero(make_driver: MakeDriver) -> None:
    driver = await make_driver(idle_seconds=0)
    driver.manager.stream_closed(driver.open("u").stream)
    pass_time(driver, 10)
    assert driver.idle_users == []


async def test_users_are_released_in_batches(driver: Driver) -> None:
    user_ids = [f"u{number}" for number in range(MAX_EXPIRED_PER_CALL + 10)]
    for client in [driver.open(user_id) for user_id in user_ids]:
        driver.manager.stream_closed(client.stream)
    driver.now += 300
    driver.manager.tick(driver.now)
    assert driver.idle_users == user_ids[:MAX_EXPIRED_PER_CALL]
    driver.manager.tick(driver.now)
    assert driver.idle_users == user_ids


async def test_streams_are_limited_per_user_and_address(make_driver: MakeDriver) -> None:
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


async def test_limits_are_disabled_when_zero(make_driver: MakeDriver) -> None:
    driver = await make_driver(max_streams_per_user=0, max_streams_per_address=0, connect_limit=None, queue_events=0)
    for n in range(200):
        assert driver.manager.admit("u", "a") is None
        driver.open("u", address="a", session_id=str(n))
    driver.publish("jobs", *(str(n) for n in range(3_000)))


async def test_sends_are_limited_per_user(driver: Driver) -> None:
    assert all(driver.manager.allow_send("u").allowed for _ in range(100))
    rejected = driver.manager.allow_send("u")
    assert not rejected.allowed
    assert rejected.retry_after == pytest.approx(0.6)
    assert driver.manager.allow_send("v").allowed
    driver.now += 0.6
    assert driver.manager.allow_send("u").allowed


async def test_housekeeping_task_sends_heartbeats(make_driver: MakeDriver) -> None:
    driver = await make_driver(heartbeat_seconds=0.02, rotate_seconds=0)

    class HeartbeatSink(FakeSink):
        heartbeat = asyncio.Event()

        def write(self, chunk: bytes) -> None:
            super().write(chunk)
            if chunk.startswith(b"event: heartbeat"):
                self.heartbeat.set()

    client = driver.open(sink=HeartbeatSink())
    driver.now += 1
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await HeartbeatSink.heartbeat.wait()
    assert client.types[-1] == "heartbeat"


def test_heartbeats_cannot_be_disabled() -> None:
    with pytest.raises(ValueError, match="heartbeat"):
        RealtimeOptions(epoch="e", heartbeat_seconds=0)
