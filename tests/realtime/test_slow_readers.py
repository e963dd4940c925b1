"""A slow reader delays nobody, loses nothing, and is closed when it stalls."""

import asyncio
import json

from realtime.cursor import Cursor
from tests.realtime.conftest import MakeHub
from tests.realtime.driver import Hub
from tests.realtime.fake_ports import ListSink


async def test_it_falls_behind_and_catches_up_without_loss_or_repeat(make_hub: MakeHub) -> None:
    hub = await make_hub(queue_events=5)
    slow, fast = hub.open("u", sink=ListSink(stuck=True)), hub.open("v")
    told = []
    for n in range(20):
        hub.tell("jobs", str(n))
        told.append(str(n))
        await asyncio.sleep(0)
    assert fast.facts == told
    assert slow.state == "behind"
    written = slow.sink.written
    hub.tell("jobs", "more")
    await asyncio.sleep(0)
    assert slow.sink.written == written
    slow.sink.drain()
    assert slow.state == "live"
    hub.tell("jobs", "live")
    await asyncio.sleep(0)
    assert slow.facts == [*told, "more", "live"]
    assert hub.manager.dropped == 1


async def test_draining_in_the_middle_of_a_turn_repeats_nothing(make_hub: MakeHub) -> None:
    hub = await make_hub(queue_events=2)
    slow, fast = hub.open("u", sink=ListSink(stuck=True)), hub.open("v")
    for n in range(5):
        hub.tell("jobs", str(n))
        await asyncio.sleep(0)
    assert slow.state == "behind"
    hub.tell("jobs", "5")
    slow.sink.drain()
    hub.tell("jobs", "6")
    await asyncio.sleep(0)
    assert slow.facts == fast.facts == [str(n) for n in range(7)]


async def test_bytes_count_as_well_as_events(make_hub: MakeHub) -> None:
    hub = await make_hub(queue_bytes=2_000)
    slow = hub.open(sink=ListSink(stuck=True))
    for n in range(5):
        hub.tell("jobs", str(n) * 700)
        await asyncio.sleep(0)
    assert slow.state == "behind"
    assert slow.sink.buffered_bytes() <= 2_000
    while slow.state == "behind":
        assert slow.sink.buffered_bytes() <= 2_000
        slow.sink.take(100)
    slow.sink.drain()
    assert slow.facts == [str(n) * 700 for n in range(5)]


async def test_a_drained_sink_may_take_any_chunk(make_hub: MakeHub) -> None:
    hub = await make_hub(queue_events=5, queue_bytes=100)
    fast = hub.open()
    hub.tell("jobs", *(str(n) * 50 for n in range(5)))
    await asyncio.sleep(0)
    assert fast.state == "live"
    assert len(fast.facts) == 5


async def test_beyond_the_ring_it_reads_the_log_page_by_page(make_hub: MakeHub) -> None:
    hub = await make_hub(queue_events=2, backlog_events=10, page_events=7)
    slow = hub.open(sink=ListSink(stuck=True))
    told = [str(n) for n in range(60)]
    for text in told:
        hub.tell("jobs", text)
        hub.tell("user:other", "not for you")
        await asyncio.sleep(0)
    while slow.state == "behind":
        assert len(slow.facts) % 7 in (0, 2)
        slow.sink.take(10_000)
        await hub.settle()
        await hub.settle()
    slow.sink.drain()
    assert slow.facts == told
    assert hub.log.reads > 10


async def test_long_replays_from_the_ring_leave_the_loop_to_others(make_hub: MakeHub) -> None:
    hub = await make_hub(max_replay=0, max_shared_replay=0, page_events=2)
    hub.tell("jobs", *(str(n) for n in range(100)))
    back = await hub.come("u", "e.0")
    assert 0 < len(back.facts) < 100
    hub.tell("jobs", "meanwhile")
    await hub.settle()
    assert back.facts == [*(str(n) for n in range(100)), "meanwhile"]


async def test_no_more_than_eight_read_the_log_at_once_and_none_while_waiting_for_a_reader(make_hub: MakeHub) -> None:
    hub = await make_hub(queue_events=2, backlog_events=5, page_events=4)
    slow = [hub.open(f"u{n}", sink=ListSink(stuck=True)) for n in range(30)]
    for n in range(40):
        hub.tell("jobs", str(n))
        await asyncio.sleep(0)
    hub.log.gate.clear()
    for client in slow:
        client.sink.drain()
    await hub.settle()
    assert hub.log.most_reading == 8
    for client in slow[:8]:
        client.sink.stuck = True
    hub.log.gate.set()
    await hub.settle()
    await hub.settle()
    assert all(client.facts == [str(n) for n in range(40)] for client in slow[8:])
    assert all(client.state == "behind" for client in slow[:8])
    for client in slow[:8]:
        client.sink.drain()
    await hub.settle()
    assert all(client.facts == [str(n) for n in range(40)] for client in slow)
    assert hub.log.most_reading == 8


async def test_trimmed_meanwhile_is_a_reset_and_then_live(make_hub: MakeHub) -> None:
    hub = await make_hub(queue_events=2, backlog_events=3)
    slow = hub.open(sink=ListSink(stuck=True))
    for n in range(10):
        hub.tell("jobs", str(n))
        await asyncio.sleep(0)
    hub.log.trim(5)
    slow.sink.drain()
    await hub.settle()
    hub.tell("jobs", "live")
    await hub.settle()
    assert slow.types == ["connection_confirmed", "fact", "fact", "reset", "fact"]
    assert slow.facts == ["0", "1", "live"]
    assert json.loads(slow.messages[3].data) == {"reason": "trimmed", "cursor": "e.10"}


async def test_trimming_between_the_two_questions_is_noticed(make_hub: MakeHub) -> None:
    hub = await make_hub(queue_events=2, backlog_events=3)
    slow = hub.open(sink=ListSink(stuck=True))
    for n in range(10):
        hub.tell("jobs", str(n))
        await asyncio.sleep(0)
    slow.sink.drain()
    await hub.until_reads(2)
    hub.log.trim(5)
    await hub.settle()
    assert slow.types[3:] == ["reset"]


async def test_large_events_of_the_log_are_given_one_after_the_other(make_hub: MakeHub) -> None:
    hub = await make_hub(backlog_events=1, queue_bytes=500)
    told = [str(n) * 300 for n in range(6)]
    hub.tell("jobs", *told)
    back = await hub.come("u", "e.0", sink=ListSink(stuck=True))
    while back.state == "behind":
        assert back.sink.buffered_bytes() <= 500
        back.sink.take(1_000)
        await hub.settle()
    back.sink.drain()
    assert back.facts == told


async def test_a_sink_that_calls_too_often_does_no_harm(make_hub: MakeHub) -> None:
    hub = await make_hub(queue_events=2, backlog_events=3, page_events=2)
    slow = hub.open(sink=ListSink(stuck=True))
    callbacks = []
    for n in range(10):
        hub.tell("jobs", str(n))
        await asyncio.sleep(0)
        callbacks += [slow.sink.callback] if slow.sink.callback else []
    slow.sink.drain()
    for callback in callbacks * 3:
        callback()
        await asyncio.sleep(0)
        callback()
    await hub.settle()
    callbacks[0]()
    hub.tell("jobs", "10")
    await hub.settle()
    assert slow.facts == [str(n) for n in range(11)]


async def test_trimming_while_the_page_is_on_its_way_is_noticed(make_hub: MakeHub) -> None:
    hub = await make_hub(queue_events=2, backlog_events=3)
    slow = hub.open(sink=ListSink(stuck=True))
    for n in range(10):
        hub.tell("jobs", str(n))
        await asyncio.sleep(0)
    hub.log.gate.clear()
    slow.sink.drain()
    await hub.settle()
    hub.log.trim(5)
    hub.log.gate.set()
    await hub.settle()
    assert slow.types[3:] == ["reset"]


async def test_a_log_that_cannot_be_read_ends_the_stream_and_says_so(make_hub: MakeHub) -> None:
    hub = await make_hub(backlog_events=2)
    hub.tell("jobs", "1", "2", "3", "4")
    verdict = await hub.manager.decide_resume_from_log(Cursor("e", 0), ("user:u", "jobs", "news"), "user:u")
    hub.log.failure = OSError("no disk")
    client = hub.open("u", verdict)
    await hub.settle()
    assert client.types == ["connection_confirmed", "bye"]
    assert json.loads(client.messages[-1].data) == {"reason": "overloaded"}
    assert client.sink.ended
    assert hub.manager.connections == 0


async def test_a_stalled_stream_is_closed_and_a_slow_one_is_not(hub: Hub) -> None:
    stalled, slow = hub.open("u", sink=ListSink(stuck=True)), hub.open("v", sink=ListSink(stuck=True))
    fast = hub.open("w")
    hub.tell("jobs", "x" * 5_000)
    await asyncio.sleep(0)
    for second in range(1, 13):
        hub.now += 1
        slow.sink.take(100)
        hub.manager.tick(hub.now)
        assert stalled.sink.aborted == (second >= 11)
    assert not slow.sink.aborted
    assert not fast.sink.aborted
    assert stalled.state == "closed"
    assert hub.manager.connections == 2


async def test_writing_to_a_stalled_stream_is_no_progress_of_its_client(hub: Hub) -> None:
    stalled = hub.open("u", sink=ListSink(stuck=True))
    for second in range(1, 13):
        hub.now += 1
        hub.tell("jobs", str(second))
        await asyncio.sleep(0)
        hub.manager.tick(hub.now)
    assert stalled.sink.aborted


async def test_the_framing_of_a_transport_is_no_progress_either(hub: Hub) -> None:
    sink = ListSink(stuck=True)
    stalled = hub.open("u", sink=sink)
    for second in range(1, 13):
        hub.now += 1
        hub.tell("jobs", str(second))
        await asyncio.sleep(0)
        # Chunk headers count as unsent, too.
        sink.framing += 8
        hub.manager.tick(hub.now)
    assert stalled.sink.aborted


async def test_whoever_takes_what_was_on_its_way_before_the_stream_does_not_stall(hub: Hub) -> None:
    sink = ListSink(stuck=True)
    # An answer on the same connection, most of it still unsent.
    sink.framing = 5_000
    slow = hub.open("u", sink=sink)
    for _ in range(12):
        hub.now += 1
        sink.framing -= 300
        hub.manager.tick(hub.now)
    assert not slow.sink.aborted


async def test_whoever_is_turned_away_and_does_not_take_it_is_cut_off(hub: Hub) -> None:
    sink = ListSink(stuck=True)
    hub.manager.reject(sink, "too_many_streams")
    assert sink.ended
    hub.now += 5
    hub.manager.tick(hub.now)
    assert not sink.aborted
    hub.now += 6
    hub.manager.tick(hub.now)
    assert sink.aborted


async def test_an_ended_stream_that_does_not_finish_is_aborted(hub: Hub) -> None:
    client = hub.open("u", sink=ListSink(stuck=True))
    hub.manager.end_stream(client.session, "logout")
    assert client.sink.ended
    hub.now += 5
    hub.manager.tick(hub.now)
    assert not client.sink.aborted
    hub.now += 6
    hub.manager.tick(hub.now)
    assert client.sink.aborted


async def test_a_stream_closed_while_its_page_is_read_is_left_alone(make_hub: MakeHub) -> None:
    hub = await make_hub(backlog_events=2)
    hub.tell("jobs", "1", "2", "3", "4")
    back = await hub.come("u", "e.0")
    hub.manager.stream_closed(back.session)
    await hub.settle()
    assert back.types == ["connection_confirmed"]
