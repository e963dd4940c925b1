"""What is published reaches those who listen, in order, with one write per stream and turn of the loop."""

import asyncio

import pytest

from realtime.event import Event
from tests.realtime.conftest import MakeDriver
from tests.realtime.driver import Driver
from tests.realtime.fake_ports import FakeSink


async def test_one_event_to_a_thousand_streams_is_one_object(driver: Driver) -> None:
    clients = [driver.open(f"u{n}", address=f"192.0.2.{n}") for n in range(1_000)]
    event = driver.publish("jobs", "once")[0]
    await driver.run_until_idle()
    assert all(client.sink.chunks[-1] is event.frame for client in clients)
    assert driver.manager.delivered == 1_000


async def test_what_a_turn_brings_is_joined_once_for_all(driver: Driver) -> None:
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


async def test_private_events_are_merged_in_their_place(driver: Driver) -> None:
    mine, other = driver.open("u"), driver.open("v")
    driver.publish("jobs", "1")
    driver.publish("user:u", "2")
    driver.publish_ephemeral("user:u", "soft")
    driver.publish("news", "3")
    driver.publish("user:u", "4")
    await asyncio.sleep(0)
    assert mine.event_data == ["1", "2", "soft", "3", "4"]
    assert len(mine.sink.chunks) == 2
    assert other.event_data == ["1", "3"]


async def test_a_stream_hears_only_the_channels_it_asked_for(driver: Driver) -> None:
    some = driver.open("u", channels=("news",))
    driver.publish("jobs", "1")
    driver.publish("user:u", "2")
    driver.publish("news", "3")
    await asyncio.sleep(0)
    assert some.event_data == ["3"]


async def test_a_full_queue_is_written_at_once_and_nothing_is_lost(driver: Driver) -> None:
    client = driver.open()
    driver.publish("jobs", *(str(n) for n in range(3_500)))
    assert len(client.event_data) == 3_000
    await asyncio.sleep(0)
    assert client.event_data == [str(n) for n in range(3_500)]
    assert driver.manager.dropped == 0


async def test_a_batch_for_very_many_users_is_written_in_parts(driver: Driver) -> None:
    clients = [driver.open(f"u{n}", address=str(n)) for n in range(1_500)]
    driver.manager.publish([driver.history.commit(f"user:u{n}", str(n).encode()) for n in range(1_500)])
    assert driver.manager.queued <= 1_000
    await driver.run_until_idle()
    assert [client.event_data for client in clients] == [[str(n)] for n in range(1_500)]


async def test_channels_nobody_hears_cost_no_queue(driver: Driver) -> None:
    driver.open("u", channels=("user:u",))
    driver.publish("jobs", "1")
    driver.publish("user:v", "2")
    assert driver.manager.queued == 0
    assert driver.manager.head == 2


async def test_ephemeral_events_are_never_replayed_and_move_no_cursor(driver: Driver) -> None:
    first = driver.open()
    driver.publish("jobs", "1")
    driver.publish_ephemeral("jobs", "soft")
    await asyncio.sleep(0)
    assert first.event_data == ["1", "soft"]
    assert first.cursor == "e.1"
    again = await driver.connect("u", "e.0")
    assert again.event_data == ["1"]


async def test_positions_out_of_order_are_refused_as_a_whole(driver: Driver) -> None:
    client = driver.open()
    late = driver.history.commit("jobs", b"late")
    driver.publish("jobs", "later")
    fresh = Event.durable("jobs", "test_event", b"fresh", 3, "e")
    for wrong in ([late], [fresh, late], [fresh, fresh]):
        with pytest.raises(ValueError, match="published after"):
            driver.manager.publish(wrong)
    await asyncio.sleep(0)
    assert client.event_data == ["later"]
    assert driver.manager.head == 2


async def test_what_is_taken_back_in_the_same_turn_is_never_written(driver: Driver) -> None:
    client = driver.open()
    driver.publish("jobs", "1", "2", "3")
    driver.publish_ephemeral("jobs", "soft")
    driver.manager.forget([2])
    await asyncio.sleep(0)
    assert client.event_data == ["1", "3", "soft"]
    driver.manager.forget([1])
    assert (await driver.connect("u", "e.0")).event_data == ["3"]


async def test_publishing_before_the_start_is_refused() -> None:
    driver = Driver()
    with pytest.raises(RuntimeError, match="start"):
        driver.publish("jobs", "1")


async def test_a_manager_is_seeded_once(driver: Driver) -> None:
    driver.publish("jobs", "1")
    with pytest.raises(RuntimeError, match="seed"):
        driver.manager.seed([], 0, 5)


async def test_the_numbers_add_up(driver: Driver) -> None:
    a, b, c = driver.open("u"), driver.open("u"), driver.open("v", channels=("jobs",))
    assert (driver.manager.connections, driver.manager.users_online) == (3, 2)
    snapshot = driver.manager.snapshot()
    assert snapshot.channels == {"user:u": 2, "jobs": 3, "news": 2}
    assert [driver.manager.stream_id(session) for session in snapshot.streams] == ["p-1", "p-2", "p-3"]
    driver.now += 61.9
    assert driver.manager.uptime_seconds == 61
    for client in (a, a, b, c):
        driver.manager.stream_closed(client.stream)
    assert (driver.manager.connections, driver.manager.users_online) == (0, 0)
    assert driver.manager.snapshot().channels == {}
    driver.publish("jobs", "nobody")
    assert driver.manager.queued == 0


async def test_a_closed_stream_is_written_no_more(driver: Driver) -> None:
    client = driver.open(sink=FakeSink())
    driver.publish("jobs", "1")
    driver.manager.stream_closed(client.stream)
    await asyncio.sleep(0)
    assert client.event_data == []


async def test_a_long_round_leaves_the_loop_to_others_and_what_comes_meanwhile_waits_for_the_next(
    make_driver: MakeDriver,
) -> None:
    driver = await make_driver(writes_per_slice=10)
    clients = [driver.open(f"u{n}") for n in range(35)]
    driver.publish("jobs", "1")
    for turn in range(1, 4):
        await asyncio.sleep(0)
        assert sum(client.event_data == ["1"] for client in clients) == turn * 10
        driver.publish("jobs", f"in turn {turn}")
    await driver.run_until_idle()
    assert all(client.event_data == ["1", "in turn 1", "in turn 2", "in turn 3"] for client in clients)
    # Two writes for four events, beside the confirmation.
    assert all(len(client.sink.chunks) == 3 for client in clients)


async def test_who_comes_or_comes_back_within_a_round_gets_each_event_once(make_driver: MakeDriver) -> None:
    driver = await make_driver(writes_per_slice=1)
    first, second = driver.open("u"), driver.open("v")
    driver.publish("jobs", "1")
    await asyncio.sleep(0)
    driver.publish("jobs", "2")
    driver.manager.stream_closed(second.stream)
    assert (first.event_data, second.event_data) == (["1"], [])
    back, new = await driver.connect("v", second.cursor), driver.open("w")
    await driver.run_until_idle()
    assert (first.event_data, back.event_data, new.event_data) == (["1", "2"], ["1", "2"], [])


async def test_a_heartbeat_within_a_round_says_where_each_stream_stands(make_driver: MakeDriver) -> None:
    driver = await make_driver(writes_per_slice=1)
    clients = [driver.open(f"u{n}") for n in range(2)]
    driver.now += 20
    driver.publish("jobs", "1")
    await asyncio.sleep(0)
    driver.manager.tick(driver.now)
    assert [client.cursor for client in clients] == ["e.1", "e.0"]


async def test_who_comes_in_the_same_turn_does_not_hear_what_was_whispered_before(driver: Driver) -> None:
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
