"""What is published reaches those who listen, in order, with one write per stream and turn of the loop."""

import asyncio

import pytest

from realtime.event import Event
from tests.realtime.conftest import MakeHub
from tests.realtime.driver import Hub
from tests.realtime.fake_ports import ListSink


async def test_one_event_to_a_thousand_streams_is_one_object(hub: Hub) -> None:
    clients = [hub.open(f"u{n}", address=f"192.0.2.{n}") for n in range(1_000)]
    event = hub.tell("jobs", "once")[0]
    await hub.settle()
    assert all(client.sink.chunks[-1] is event.frame for client in clients)
    assert hub.manager.delivered == 1_000


async def test_what_a_turn_brings_is_joined_once_for_all(hub: Hub) -> None:
    clients = [hub.open(f"u{n}") for n in range(10)]
    hub.tell("jobs", "1")
    hub.tell("news", "2")
    hub.tell("jobs", "3", "4")
    assert hub.manager.queued == 4
    await asyncio.sleep(0)
    assert hub.manager.queued == 0
    assert all(client.facts == ["1", "2", "3", "4"] for client in clients)
    assert all(len(client.sink.chunks) == 2 for client in clients)
    assert len({id(client.sink.chunks[-1]) for client in clients}) == 1


async def test_private_events_are_merged_in_their_place(hub: Hub) -> None:
    mine, other = hub.open("u"), hub.open("v")
    hub.tell("jobs", "1")
    hub.tell("user:u", "2")
    hub.whisper("user:u", "soft")
    hub.tell("news", "3")
    hub.tell("user:u", "4")
    await asyncio.sleep(0)
    assert mine.facts == ["1", "2", "soft", "3", "4"]
    assert len(mine.sink.chunks) == 2
    assert other.facts == ["1", "3"]


async def test_a_stream_hears_only_the_channels_it_asked_for(hub: Hub) -> None:
    some = hub.open("u", channels=("news",))
    hub.tell("jobs", "1")
    hub.tell("user:u", "2")
    hub.tell("news", "3")
    await asyncio.sleep(0)
    assert some.facts == ["3"]


async def test_a_full_queue_is_written_at_once_and_nothing_is_lost(hub: Hub) -> None:
    client = hub.open()
    hub.tell("jobs", *(str(n) for n in range(3_500)))
    assert len(client.facts) == 3_000
    await asyncio.sleep(0)
    assert client.facts == [str(n) for n in range(3_500)]
    assert hub.manager.dropped == 0


async def test_a_batch_for_very_many_users_is_written_in_parts(hub: Hub) -> None:
    clients = [hub.open(f"u{n}", address=str(n)) for n in range(1_500)]
    hub.manager.publish([hub.log.commit(f"user:u{n}", str(n).encode()) for n in range(1_500)])
    assert hub.manager.queued <= 1_000
    await hub.settle()
    assert [client.facts for client in clients] == [[str(n)] for n in range(1_500)]


async def test_channels_nobody_hears_cost_no_queue(hub: Hub) -> None:
    hub.open("u", channels=("user:u",))
    hub.tell("jobs", "1")
    hub.tell("user:v", "2")
    assert hub.manager.queued == 0
    assert hub.manager.head == 2


async def test_ephemeral_events_are_never_replayed_and_move_no_cursor(hub: Hub) -> None:
    first = hub.open()
    hub.tell("jobs", "1")
    hub.whisper("jobs", "soft")
    await asyncio.sleep(0)
    assert first.facts == ["1", "soft"]
    assert first.cursor == "e.1"
    again = await hub.come("u", "e.0")
    assert again.facts == ["1"]


async def test_positions_out_of_order_are_refused_as_a_whole(hub: Hub) -> None:
    client = hub.open()
    late = hub.log.commit("jobs", b"late")
    hub.tell("jobs", "later")
    fresh = Event.durable("jobs", "fact", b"fresh", 3, "e")
    for wrong in ([late], [fresh, late], [fresh, fresh]):
        with pytest.raises(ValueError, match="published after"):
            hub.manager.publish(wrong)
    await asyncio.sleep(0)
    assert client.facts == ["later"]
    assert hub.manager.head == 2


async def test_what_is_taken_back_in_the_same_turn_is_never_written(hub: Hub) -> None:
    client = hub.open()
    hub.tell("jobs", "1", "2", "3")
    hub.whisper("jobs", "soft")
    hub.manager.forget([2])
    await asyncio.sleep(0)
    assert client.facts == ["1", "3", "soft"]
    hub.manager.forget([1])
    assert (await hub.come("u", "e.0")).facts == ["3"]


async def test_publishing_before_the_start_is_refused() -> None:
    hub = Hub()
    with pytest.raises(RuntimeError, match="start"):
        hub.tell("jobs", "1")


async def test_a_manager_is_seeded_once(hub: Hub) -> None:
    hub.tell("jobs", "1")
    with pytest.raises(RuntimeError, match="seed"):
        hub.manager.seed([], 0, 5)


async def test_the_numbers_add_up(hub: Hub) -> None:
    a, b, c = hub.open("u"), hub.open("u"), hub.open("v", channels=("jobs",))
    assert (hub.manager.connections, hub.manager.users_online) == (3, 2)
    snapshot = hub.manager.snapshot()
    assert snapshot.channels == {"user:u": 2, "jobs": 3, "news": 2}
    assert [hub.manager.stream_id(session) for session in snapshot.sessions] == ["p-1", "p-2", "p-3"]
    hub.now += 61.9
    assert hub.manager.uptime_seconds == 61
    for client in (a, a, b, c):
        hub.manager.stream_closed(client.session)
    assert (hub.manager.connections, hub.manager.users_online) == (0, 0)
    assert hub.manager.snapshot().channels == {}
    hub.tell("jobs", "nobody")
    assert hub.manager.queued == 0


async def test_a_closed_stream_is_written_no_more(hub: Hub) -> None:
    client = hub.open(sink=ListSink())
    hub.tell("jobs", "1")
    hub.manager.stream_closed(client.session)
    await asyncio.sleep(0)
    assert client.facts == []


async def test_a_long_round_leaves_the_loop_to_others_and_what_comes_meanwhile_waits_for_the_next(
    make_hub: MakeHub,
) -> None:
    hub = await make_hub(writes_per_slice=10)
    clients = [hub.open(f"u{n}") for n in range(35)]
    hub.tell("jobs", "1")
    for turn in range(1, 4):
        await asyncio.sleep(0)
        assert sum(client.facts == ["1"] for client in clients) == turn * 10
        hub.tell("jobs", f"in turn {turn}")
    await hub.settle()
    assert all(client.facts == ["1", "in turn 1", "in turn 2", "in turn 3"] for client in clients)
    # Two writes for four events, beside the confirmation.
    assert all(len(client.sink.chunks) == 3 for client in clients)


async def test_who_comes_or_comes_back_within_a_round_gets_each_event_once(make_hub: MakeHub) -> None:
    hub = await make_hub(writes_per_slice=1)
    first, second = hub.open("u"), hub.open("v")
    hub.tell("jobs", "1")
    await asyncio.sleep(0)
    hub.tell("jobs", "2")
    hub.manager.stream_closed(second.session)
    assert (first.facts, second.facts) == (["1"], [])
    back, new = await hub.come("v", second.cursor), hub.open("w")
    await hub.settle()
    assert (first.facts, back.facts, new.facts) == (["1", "2"], ["1", "2"], [])


async def test_a_heartbeat_within_a_round_says_where_each_stream_stands(make_hub: MakeHub) -> None:
    hub = await make_hub(writes_per_slice=1)
    clients = [hub.open(f"u{n}") for n in range(2)]
    hub.now += 20
    hub.tell("jobs", "1")
    await asyncio.sleep(0)
    hub.manager.tick(hub.now)
    assert [client.cursor for client in clients] == ["e.1", "e.0"]


async def test_who_comes_in_the_same_turn_does_not_hear_what_was_whispered_before(hub: Hub) -> None:
    hub.whisper("jobs", "before")
    client = hub.open("u")
    other = hub.open("v")
    hub.whisper("jobs", "between")
    late = hub.open("w")
    hub.whisper("jobs", "after")
    await asyncio.sleep(0)
    assert (client.facts, other.facts, late.facts) == (["between", "after"], ["between", "after"], ["after"])
