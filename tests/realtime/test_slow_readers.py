"""A slow reader delays nobody, loses nothing, and is closed when it stalls."""

import asyncio
import json

from realtime.cursor import Cursor
from tests.realtime.conftest import MakeDriver
from tests.realtime.driver import Driver
from tests.realtime.fake_ports import FakeSink


async def test_it_falls_behind_and_catches_up_without_loss_or_repeat(make_hub: MakeDriver) -> None:
    hub = await make_hub(queue_events=5)
    slow, fast = hub.open("u", sink=FakeSink(blocked=True)), hub.open("v")
    told = []
    for n in range(20):
        hub.publish("jobs", str(n))
        told.append(str(n))
        await asyncio.sleep(0)
    assert fast.event_data == told
    assert slow.state == "behind"
    written = slow.sink.written_bytes
    hub.publish("jobs", "more")
    await asyncio.sleep(0)
    assert slow.sink.written_bytes == written
    slow.sink.unblock()
    assert slow.state == "live"
    hub.publish("jobs", "live")
    await asyncio.sleep(0)
    assert slow.event_data == [*told, "more", "live"]
    assert hub.manager.dropped == 1


async def test_draining_in_the_middle_of_a_turn_repeats_nothing(make_hub: MakeDriver) -> None:
    hub = await make_hub(queue_events=2)
    slow, fast = hub.open("u", sink=FakeSink(blocked=True)), hub.open("v")
    for n in range(5):
        hub.publish("jobs", str(n))
        await asyncio.sleep(0)
    assert slow.state == "behind"
    hub.publish("jobs", "5")
    slow.sink.unblock()
    hub.publish("jobs", "6")
    await asyncio.sleep(0)
    assert slow.event_data == fast.event_data == [str(n) for n in range(7)]


async def test_bytes_count_as_well_as_events(make_hub: MakeDriver) -> None:
    hub = await make_hub(queue_bytes=2_000)
    slow = hub.open(sink=FakeSink(blocked=True))
    for n in range(5):
        hub.publish("jobs", str(n) * 700)
        await asyncio.sleep(0)
    assert slow.state == "behind"
    assert slow.sink.buffered_bytes() <= 2_000
    while slow.state == "behind":
        assert slow.sink.buffered_bytes() <= 2_000
        slow.sink.read(100)
    slow.sink.unblock()
    assert slow.event_data == [str(n) * 700 for n in range(5)]


async def test_a_drained_sink_may_take_any_chunk(make_hub: MakeDriver) -> None:
    hub = await make_hub(queue_events=5, queue_bytes=100)
    fast = hub.open()
    hub.publish("jobs", *(str(n) * 50 for n in range(5)))
    await asyncio.sleep(0)
    assert fast.state == "live"
    assert len(fast.event_data) == 5


async def test_beyond_the_ring_it_reads_the_log_page_by_page(make_hub: MakeDriver) -> None:
    hub = await make_hub(queue_events=2, backlog_events=10, page_events=7)
    slow = hub.open(sink=FakeSink(blocked=True))
    told = [str(n) for n in range(60)]
    for text in told:
        hub.publish("jobs", text)
        hub.publish("user:other", "not for you")
        await asyncio.sleep(0)
    while slow.state == "behind":
        assert len(slow.event_data) % 7 in (0, 2)
        slow.sink.read(10_000)
        await hub.run_until_idle()
        await hub.run_until_idle()
    slow.sink.unblock()
    assert slow.event_data == told
    assert hub.history.reads > 10


async def test_long_replays_from_the_ring_leave_the_loop_to_others(make_hub: MakeDriver) -> None:
    hub = await make_hub(max_replay=0, max_shared_replay=0, page_events=2)
    hub.publish("jobs", *(str(n) for n in range(100)))
    back = await hub.connect("u", "e.0")
    assert 0 < len(back.event_data) < 100
    hub.publish("jobs", "meanwhile")
    await hub.run_until_idle()
    assert back.event_data == [*(str(n) for n in range(100)), "meanwhile"]


async def test_no_more_than_eight_read_the_log_at_once_and_none_while_waiting_for_a_reader(make_hub: MakeDriver) -> None:
    hub = await make_hub(queue_events=2, backlog_events=5, page_events=4)
    slow = [hub.open(f"u{n}", sink=FakeSink(blocked=True)) for n in range(30)]
    for n in range(40):
        hub.publish("jobs", str(n))
        await asyncio.sleep(0)
    hub.history.gate.clear()
    for client in slow:
        client.sink.unblock()
    await hub.run_until_idle()
    assert hub.history.max_active_reads == 8
    for client in slow[:8]:
        client.sink.blocked = True
    hub.history.gate.set()
    await hub.run_until_idle()
    await hub.run_until_idle()
    assert all(client.event_data == [str(n) for n in range(40)] for client in slow[8:])
    assert all(client.state == "behind" for client in slow[:8])
    for client in slow[:8]:
        client.sink.unblock()
    await hub.run_until_idle()
    assert all(client.event_data == [str(n) for n in range(40)] for client in slow)
    assert hub.history.max_active_reads == 8


async def test_trimmed_meanwhile_is_a_reset_and_then_live(make_hub: MakeDriver) -> None:
    hub = await make_hub(queue_events=2, backlog_events=3)
    slow = hub.open(sink=FakeSink(blocked=True))
    for n in range(10):
        hub.publish("jobs", str(n))
        await asyncio.sleep(0)
    hub.history.trim(5)
    slow.sink.unblock()
    await hub.run_until_idle()
    hub.publish("jobs", "live")
    await hub.run_until_idle()
    assert slow.types == ["connection_confirmed", "fact", "fact", "reset", "fact"]
    assert slow.event_data == ["0", "1", "live"]
    assert json.loads(slow.messages[3].data) == {"reason": "trimmed", "cursor": "e.10"}


async def test_trimming_between_the_two_questions_is_noticed(make_hub: MakeDriver) -> None:
    hub = await make_hub(queue_events=2, backlog_events=3)
    slow = hub.open(sink=FakeSink(blocked=True))
    for n in range(10):
        hub.publish("jobs", str(n))
        await asyncio.sleep(0)
    slow.sink.unblock()
    await hub.wait_for_reads(2)
    hub.history.trim(5)
    await hub.run_until_idle()
    assert slow.types[3:] == ["reset"]


async def test_large_events_of_the_log_are_given_one_after_the_other(make_hub: MakeDriver) -> None:
    hub = await make_hub(backlog_events=1, queue_bytes=500)
    told = [str(n) * 300 for n in range(6)]
    hub.publish("jobs", *told)
    back = await hub.connect("u", "e.0", sink=FakeSink(blocked=True))
    while back.state == "behind":
        assert back.sink.buffered_bytes() <= 500
        back.sink.read(1_000)
        await hub.run_until_idle()
    back.sink.unblock()
    assert back.event_data == told


async def test_a_sink_that_calls_too_often_does_no_harm(make_hub: MakeDriver) -> None:
    hub = await make_hub(queue_events=2, backlog_events=3, page_events=2)
    slow = hub.open(sink=FakeSink(blocked=True))
    callbacks = []
    for n in range(10):
        hub.publish("jobs", str(n))
        await asyncio.sleep(0)
        callbacks += [slow.sink.drain_callback] if slow.sink.drain_callback else []
    slow.sink.unblock()
    for callback in callbacks * 3:
        callback()
        await asyncio.sleep(0)
        callback()
    await hub.run_until_idle()
    callbacks[0]()
    hub.publish("jobs", "10")
    await hub.run_until_idle()
    assert slow.event_data == [str(n) for n in range(11)]


async def test_trimming_while_the_page_is_on_its_way_is_noticed(make_hub: MakeDriver) -> None:
    hub = await make_hub(queue_events=2, backlog_events=3)
    slow = hub.open(sink=FakeSink(blocked=True))
    for n in range(10):
        hub.publish("jobs", str(n))
        await asyncio.sleep(0)
    hub.history.gate.clear()
    slow.sink.unblock()
    await hub.run_until_idle()
    hub.history.trim(5)
    hub.history.gate.set()
    await hub.run_until_idle()
    assert slow.types[3:] == ["reset"]


async def test_a_log_that_cannot_be_read_ends_the_stream_and_says_so(make_hub: MakeDriver) -> None:
    hub = await make_hub(backlog_events=2)
    hub.publish("jobs", "1", "2", "3", "4")
    verdict = await hub.manager.decide_resume_from_log(Cursor("e", 0), ("user:u", "jobs", "news"), "user:u")
    hub.history.failure = OSError("no disk")
    client = hub.open("u", verdict)
    await hub.run_until_idle()
    assert client.types == ["connection_confirmed", "bye"]
    assert json.loads(client.messages[-1].data) == {"reason": "overloaded"}
    assert client.sink.ended
    assert hub.manager.connections == 0


async def test_a_stalled_stream_is_closed_and_a_slow_one_is_not(hub: Driver) -> None:
    stalled, slow = hub.open("u", sink=FakeSink(blocked=True)), hub.open("v", sink=FakeSink(blocked=True))
    fast = hub.open("w")
    hub.publish("jobs", "x" * 5_000)
    await asyncio.sleep(0)
    for second in range(1, 13):
        hub.now += 1
        slow.sink.read(100)
        hub.manager.tick(hub.now)
        assert stalled.sink.aborted == (second >= 11)
    assert not slow.sink.aborted
    assert not fast.sink.aborted
    assert stalled.state == "closed"
    assert hub.manager.connections == 2


async def test_writing_to_a_stalled_stream_is_no_progress_of_its_client(hub: Driver) -> None:
    stalled = hub.open("u", sink=FakeSink(blocked=True))
    for second in range(1, 13):
        hub.now += 1
        hub.publish("jobs", str(second))
        await asyncio.sleep(0)
        hub.manager.tick(hub.now)
    assert stalled.sink.aborted


async def test_the_framing_of_a_transport_is_no_progress_either(hub: Driver) -> None:
    sink = FakeSink(blocked=True)
    stalled = hub.open("u", sink=sink)
    for second in range(1, 13):
        hub.now += 1
        hub.publish("jobs", str(second))
        await asyncio.sleep(0)
        # Chunk headers count as unsent, too.
        sink.overhead_bytes += 8
        hub.manager.tick(hub.now)
    assert stalled.sink.aborted


async def test_whoever_takes_what_was_on_its_way_before_the_stream_does_not_stall(hub: Driver) -> None:
    sink = FakeSink(blocked=True)
    # An answer on the same connection, most of it still unsent.
    sink.overhead_bytes = 5_000
    slow = hub.open("u", sink=sink)
    for _ in range(12):
        hub.now += 1
        sink.overhead_bytes -= 300
        hub.manager.tick(hub.now)
    assert not slow.sink.aborted


async def test_whoever_is_turned_away_and_does_not_take_it_is_cut_off(hub: Driver) -> None:
    sink = FakeSink(blocked=True)
    hub.manager.reject(sink, "too_many_streams")
    assert sink.ended
    hub.now += 5
    hub.manager.tick(hub.now)
    assert not sink.aborted
    hub.now += 6
    hub.manager.tick(hub.now)
    assert sink.aborted


async def test_an_ended_stream_that_does_not_finish_is_aborted(hub: Driver) -> None:
    client = hub.open("u", sink=FakeSink(blocked=True))
    hub.manager.end_stream(client.stream, "logout")
    assert client.sink.ended
    hub.now += 5
    hub.manager.tick(hub.now)
    assert not client.sink.aborted
    hub.now += 6
    hub.manager.tick(hub.now)
    assert client.sink.aborted


async def test_a_stream_closed_while_its_page_is_read_is_left_alone(make_hub: MakeDriver) -> None:
    hub = await make_hub(backlog_events=2)
    hub.publish("jobs", "1", "2", "3", "4")
    back = await hub.connect("u", "e.0")
    hub.manager.stream_closed(back.stream)
    await hub.run_until_idle()
    assert back.types == ["connection_confirmed"]
