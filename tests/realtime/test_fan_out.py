"""Fan-out: events reach their subscribers in order, with one write per stream and loop iteration."""

import asyncio

import pytest

from realtime.event import Event
from tests.realtime.conftest import MakeDriver
from tests.realtime.driver import Driver
from tests.realtime.fake_ports import FakeSink


async def test_event_to_many_streams_is_written_as_one_object(driver: Driver) -> None:
    clients = [driver.open(f"u{n}", address=f"192.0.2.{n}") for n in range(1_000)]
    event = driver.publish("jobs", "once")[0]
    await driver.run_until_idle()
    assert all(client.sink.chunks[-1] is event.frame for client in clients)
    assert driver.manager.delivered == 1_000


async def test_events_of_one_iteration_are_joined_once_for_all_streams(driver: Driver) -> None:
    clients = [driver.open(f"u{n}") for n in range(10)]
    driver.publish("jobs", "1")
    driver.publish("news", "2")
    driver.publish("jobs", "3", "4")
    assert driver.manager.queued == 4
    await asyncio.sleep(0)
    assert driver.manager.queued == 0
    assert all(client.event_data == ["1", "2", "3", "4"] for client in clients)
    assert all(len(client.sink.chunks) == 2 for client in clients)
    assert len({id(client.sink.chunks[-1]) for client in clients}) == 1


async def test_private_events_are_merged_in_order(driver: Driver) -> None:
    own, other = driver.open("u"), driver.open("v")
    driver.publish("jobs", "1")
    driver.publish("user:u", "2")
    driver.publish_ephemeral("user:u", "ephemeral")
    driver.publish("news", "3")
    driver.publish("user:u", "4")
    await asyncio.sleep(0)
    assert own.event_data == ["1", "2", "ephemeral", "3", "4"]
    assert len(own.sink.chunks) == 2
    assert other.event_data == ["1", "3"]


async def test_stream_receives_only_its_channels(driver: Driver) -> None:
    client = driver.open("u", channels=("news",))
    driver.publish("jobs", "1")
    driver.publish("user:u", "2")
    driver.publish("news", "3")
    await asyncio.sleep(0)
    assert client.event_data == ["3"]


async def test_full_queue_is_written_at_once_without_loss(driver: Driver) -> None:
    client = driver.open()
    driver.publish("jobs", *(str(n) for n in range(3_500)))
    assert len(client.event_data) == 3_000
    await asyncio.sleep(0)
    assert client.event_data == [str(n) for n in range(3_500)]
    assert driver.manager.dropped == 0


async def test_batch_for_many_users_is_written_in_parts(driver: Driver) -> None:
    clients = [driver.open(f"u{n}", address=str(n)) for n in range(1_500)]
    driver.manager.publish([driver.history.commit(f"user:u{n}", str(n).encode()) for n in range(1_500)])
    assert driver.manager.queued <= 1_000
    await driver.run_until_idle()
    assert [client.event_data for client in clients] == [[str(n)] for n in range(1_500)]


async def test_channel_without_subscribers_has_no_queue(driver: Driver) -> None:
    driver.open("u", channels=("user:u",))
    driver.publish("jobs", "1")
    driver.publish("user:v", "2")
    assert driver.manager.queued == 0
    assert driver.manager.head == 2


async def test_ephemeral_event_is_not_replayed_and_moves_no_cursor(driver: Driver) -> None:
    first = driver.open()
    driver.publish("jobs", "1")
    driver.publish_ephemeral("jobs", "ephemeral")
    await asyncio.sleep(0)
    assert first.event_data == ["1", "ephemeral"]
    assert first.cursor == "e.1"
    reconnected = await driver.connect("u", "e.0")
    assert reconnected.event_data == ["1"]


async def test_publish_rejects_the_whole_batch_when_out_of_order(driver: Driver) -> None:
    client = driver.open()
    first = driver.history.commit("jobs", b"first")
    driver.publish("jobs", "second")
    third = Event.durable("jobs", "test_event", b"third", 3, "e")
    for events in ([first], [third, first], [third, third]):
        with pytest.raises(ValueError, match="published after"):
            driver.manager.publish(events)
    await asyncio.sleep(0)
    assert client.event_data == ["second"]
    assert driver.manager.head == 2


async def test_event_forgotten_in_the_same_iteration_is_not_written(driver: Driver) -> None:
    client = driver.open()
    driver.publish("jobs", "1", "2", "3")
    driver.publish_ephemeral("jobs", "ephemeral")
    driver.manager.forget([2])
    await asyncio.sleep(0)
    assert client.event_data == ["1", "3", "ephemeral"]
    driver.manager.forget([1])
    assert (await driver.connect("u", "e.0")).event_data == ["3"]


async def test_publish_is_rejected_before_the_start() -> None:
    driver = Driver()
    with pytest.raises(RuntimeError, match="start"):
        driver.publish("jobs", "1")


async def test_seed_is_rejected_after_a_publish(driver: Driver) -> None:
    driver.publish("jobs", "1")
    with pytest.raises(RuntimeError, match="seed"):
        driver.manager.seed([], 0, 5)


async def test_statistics_count_streams_users_and_subscribers(driver: Driver) -> None:
    a, b, c = driver.open("u"), driver.open("u"), driver.open("v", channels=("jobs",))
    assert (driver.manager.connections, driver.manager.users_online) == (3, 2)
    snapshot = driver.manager.snapshot()
    assert snapshot.channels == {"user:u": 2, "jobs": 3, "news": 2}
    assert [driver.manager.stream_id(stream) for stream in snapshot.streams] == ["p-1", "p-2", "p-3"]
    driver.now += 61.9
    assert driver.manager.uptime_seconds == 61
    for client in (a, a, b, c):
        driver.manager.stream_closed(client.stream)
    assert (driver.manager.connections, driver.manager.users_online) == (0, 0)
    assert driver.manager.snapshot().channels == {}
    driver.publish("jobs", "no subscriber")
    assert driver.manager.queued == 0


async def test_closed_stream_receives_nothing(driver: Driver) -> None:
    client = driver.open(sink=FakeSink())
    driver.publish("jobs", "1")
    driver.manager.stream_closed(client.stream)
    await asyncio.sleep(0)
    assert client.event_data == []


async def test_long_round_runs_in_slices_and_new_events_wait_for_the_next(
    make_driver: MakeDriver,
) -> None:
    driver = await make_driver(writes_per_slice=10)
    clients = [driver.open(f"u{n}") for n in range(35)]
    driver.publish("jobs", "1")
    for iteration in range(1, 4):
        await asyncio.sleep(0)
        assert sum(client.event_data == ["1"] for client in clients) == iteration * 10
        driver.publish("jobs", f"iteration {iteration}")
    await driver.run_until_idle()
    assert all(client.event_data == ["1", "iteration 1", "iteration 2", "iteration 3"] for client in clients)
    # Two writes for four events, and one for the confirmation.
    assert all(len(client.sink.chunks) == 3 for client in clients)


async def test_stream_opened_within_a_round_receives_each_event_once(make_driver: MakeDriver) -> None:
    driver = await make_driver(writes_per_slice=1)
    first, second = driver.open("u"), driver.open("v")
    driver.publish("jobs", "1")
    await asyncio.sleep(0)
    driver.publish("jobs", "2")
    driver.manager.stream_closed(second.stream)
    assert (first.event_data, second.event_data) == (["1"], [])
    reconnected, new = await driver.connect("v", second.cursor), driver.open("w")
    await driver.run_until_idle()
    assert (first.event_data, reconnected.event_data, new.event_data) == (["1", "2"], ["1", "2"], [])


async def test_heartbeat_within_a_round_has_the_position_of_each_stream(make_driver: MakeDriver) -> None:
    driver = await make_driver(writes_per_slice=1)
    clients = [driver.open(f"u{n}") for n in range(2)]
    driver.now += 20
    driver.publish("jobs", "1")
    await asyncio.sleep(0)
    driver.manager.tick(driver.now)
    assert [client.cursor for client in clients] == ["e.1", "e.0"]


async def test_new_stream_does_not_receive_earlier_ephemeral_events(driver: Driver) -> None:
    driver.publish_ephemeral("jobs", "before")
    client = driver.open("u")
    other = driver.open("v")
    driver.publish_ephemeral("jobs", "between")
    late = driver.open("w")
    driver.publish_ephemeral("jobs", "after")
    await asyncio.sleep(0)
    assert (client.event_data, other.event_data, late.event_data) == (
        ["between", "after"],
        ["between", "after"],
        ["after"],
    )
