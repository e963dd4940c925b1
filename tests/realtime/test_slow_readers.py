"""Slow readers: no delay for other streams, no loss, and closing of stalled streams."""

import asyncio

from realtime.cursor import Cursor
from tests.realtime.conftest import MakeDriver
from tests.realtime.driver import Driver
from tests.realtime.fake_ports import FakeSink


async def test_slow_stream_catches_up_without_loss_or_repetition(make_driver: MakeDriver) -> None:
    driver = await make_driver(queue_events=5)
    slow, fast = driver.open("u", sink=FakeSink(blocked=True)), driver.open("v")
    published = []
    for n in range(20):
        driver.publish("jobs", str(n))
        published.append(str(n))
        await asyncio.sleep(0)
    assert fast.event_data == published
    assert slow.state == "catching_up"
    written = slow.sink.written_bytes
    driver.publish("jobs", "more")
    await asyncio.sleep(0)
    assert slow.sink.written_bytes == written
    slow.sink.unblock()
    assert slow.state == "live"
    driver.publish("jobs", "live")
    await asyncio.sleep(0)
    assert slow.event_data == [*published, "more", "live"]
    assert driver.manager.dropped == 1


async def test_drain_within_an_iteration_repeats_nothing(make_driver: MakeDriver) -> None:
    driver = await make_driver(queue_events=2)
    slow, fast = driver.open("u", sink=FakeSink(blocked=True)), driver.open("v")
    for n in range(5):
        driver.publish("jobs", str(n))
        await asyncio.sleep(0)
    assert slow.state == "catching_up"
    driver.publish("jobs", "5")
    slow.sink.unblock()
    driver.publish("jobs", "6")
    await asyncio.sleep(0)
    assert slow.event_data == fast.event_data == [str(n) for n in range(7)]


async def test_slow_stream_is_suspended_by_buffered_bytes(make_driver: MakeDriver) -> None:
    driver = await make_driver(queue_bytes=2_000)
    slow = driver.open(sink=FakeSink(blocked=True))
    for n in range(5):
        driver.publish("jobs", str(n) * 700)
        await asyncio.sleep(0)
    assert slow.state == "catching_up"
    assert slow.sink.buffered_bytes() <= 2_000
    while slow.state == "catching_up":
        assert slow.sink.buffered_bytes() <= 2_000
        slow.sink.read(100)
    slow.sink.unblock()
    assert slow.event_data == [str(n) * 700 for n in range(5)]


async def test_drained_sink_accepts_a_chunk_of_any_size(make_driver: MakeDriver) -> None:
    driver = await make_driver(queue_events=5, queue_bytes=100)
    fast = driver.open()
    driver.publish("jobs", *(str(n) * 50 for n in range(5)))
    await asyncio.sleep(0)
    assert fast.state == "live"
    assert len(fast.event_data) == 5


async def test_slow_stream_reads_the_log_in_pages_beyond_the_backlog(make_driver: MakeDriver) -> None:
    driver = await make_driver(queue_events=2, backlog_events=10, page_events=7)
    slow = driver.open(sink=FakeSink(blocked=True))
    published = [str(n) for n in range(60)]
    for text in published:
        driver.publish("jobs", text)
        driver.publish("user:other", "private")
        await asyncio.sleep(0)
    while slow.state == "catching_up":
        assert len(slow.event_data) % 7 in (0, 2)
        slow.sink.read(10_000)
        await driver.run_until_idle()
        await driver.run_until_idle()
    slow.sink.unblock()
    assert slow.event_data == published
    assert driver.history.reads > 10


async def test_long_replay_from_the_backlog_yields_to_the_loop(make_driver: MakeDriver) -> None:
    driver = await make_driver(max_replay=0, max_shared_replay=0, page_events=2)
    driver.publish("jobs", *(str(n) for n in range(100)))
    reconnected = await driver.connect("u", "e.0")
    assert 0 < len(reconnected.event_data) < 100
    driver.publish("jobs", "meanwhile")
    await driver.run_until_idle()
    assert reconnected.event_data == [*(str(n) for n in range(100)), "meanwhile"]


async def test_log_reads_are_limited_to_eight_and_exclude_waiting_readers(
    make_driver: MakeDriver,
) -> None:
    driver = await make_driver(queue_events=2, backlog_events=5, page_events=4)
    slow = [driver.open(f"u{n}", sink=FakeSink(blocked=True)) for n in range(30)]
    for n in range(40):
        driver.publish("jobs", str(n))
        await asyncio.sleep(0)
    driver.history.gate.clear()
    for client in slow:
        client.sink.unblock()
    await driver.run_until_idle()
    assert driver.history.max_active_reads == 8
    for client in slow[:8]:
        client.sink.blocked = True
    driver.history.gate.set()
    await driver.run_until_idle()
    await driver.run_until_idle()
    assert all(client.event_data == [str(n) for n in range(40)] for client in slow[8:])
    assert all(client.state == "catching_up" for client in slow[:8])
    for client in slow[:8]:
        client.sink.unblock()
    await driver.run_until_idle()
    assert all(client.event_data == [str(n) for n in range(40)] for client in slow)
    assert driver.history.max_active_reads == 8


async def test_slow_stream_is_reset_and_live_after_a_trim(make_driver: MakeDriver) -> None:
    driver = await make_driver(queue_events=2, backlog_events=3)
    slow = driver.open(sink=FakeSink(blocked=True))
    for n in range(10):
        driver.publish("jobs", str(n))
        await asyncio.sleep(0)
    driver.history.trim(5)
    slow.sink.unblock()
    await driver.run_until_idle()
    driver.publish("jobs", "live")
    await driver.run_until_idle()
    assert slow.types == ["connection_confirmed", "test_event", "test_event", "reset", "test_event"]
    assert slow.event_data == ["0", "1", "live"]
    assert slow.events[3].data == {"reason": "trimmed", "cursor": "e.10"}


async def test_trim_between_page_and_count_is_detected(make_driver: MakeDriver) -> None:
    driver = await make_driver(queue_events=2, backlog_events=3)
    slow = driver.open(sink=FakeSink(blocked=True))
    for n in range(10):
        driver.publish("jobs", str(n))
        await asyncio.sleep(0)
    slow.sink.unblock()
    await driver.wait_for_reads(2)
    driver.history.trim(5)
    await driver.run_until_idle()
    assert slow.types[3:] == ["reset"]


async def test_large_events_of_the_log_are_written_one_at_a_time(make_driver: MakeDriver) -> None:
    driver = await make_driver(backlog_events=1, queue_bytes=500)
    published = [str(n) * 300 for n in range(6)]
    driver.publish("jobs", *published)
    reconnected = await driver.connect("u", "e.0", sink=FakeSink(blocked=True))
    while reconnected.state == "catching_up":
        assert reconnected.sink.buffered_bytes() <= 500
        reconnected.sink.read(1_000)
        await driver.run_until_idle()
    reconnected.sink.unblock()
    assert reconnected.event_data == published


async def test_repeated_drain_callbacks_are_harmless(make_driver: MakeDriver) -> None:
    driver = await make_driver(queue_events=2, backlog_events=3, page_events=2)
    slow = driver.open(sink=FakeSink(blocked=True))
    callbacks = []
    for n in range(10):
        driver.publish("jobs", str(n))
        await asyncio.sleep(0)
        callbacks += [slow.sink.drain_callback] if slow.sink.drain_callback else []
    slow.sink.unblock()
    for callback in callbacks * 3:
        callback()
        await asyncio.sleep(0)
        callback()
    await driver.run_until_idle()
    callbacks[0]()
    driver.publish("jobs", "10")
    await driver.run_until_idle()
    assert slow.event_data == [str(n) for n in range(11)]


async def test_trim_while_a_page_is_read_is_detected(make_driver: MakeDriver) -> None:
    driver = await make_driver(queue_events=2, backlog_events=3)
    slow = driver.open(sink=FakeSink(blocked=True))
    for n in range(10):
        driver.publish("jobs", str(n))
        await asyncio.sleep(0)
    driver.history.gate.clear()
    slow.sink.unblock()
    await driver.run_until_idle()
    driver.history.trim(5)
    driver.history.gate.set()
    await driver.run_until_idle()
    assert slow.types[3:] == ["reset"]


async def test_stream_ends_as_overloaded_when_the_log_cannot_be_read(make_driver: MakeDriver) -> None:
    driver = await make_driver(backlog_events=2)
    driver.publish("jobs", "1", "2", "3", "4")
    decision = await driver.manager.decide_resume_from_log(Cursor("e", 0), ("user:u", "jobs", "news"), "user:u")
    driver.history.failure = OSError("no disk")
    client = driver.open("u", decision)
    await driver.run_until_idle()
    assert client.types == ["connection_confirmed", "bye"]
    assert client.events[-1].data == {"reason": "overloaded"}
    assert client.sink.ended
    assert driver.manager.connections == 0


async def test_stalled_stream_is_closed_and_a_slow_one_is_not(driver: Driver) -> None:
    stalled, slow = driver.open("u", sink=FakeSink(blocked=True)), driver.open("v", sink=FakeSink(blocked=True))
    fast = driver.open("w")
    driver.publish("jobs", "x" * 5_000)
    await asyncio.sleep(0)
    for second in range(1, 13):
        driver.now += 1
        slow.sink.read(100)
        driver.manager.tick(driver.now)
        assert stalled.sink.aborted == (second >= 11)
    assert not slow.sink.aborted
    assert not fast.sink.aborted
    assert stalled.state == "closed"
    assert driver.manager.connections == 2


async def test_writes_to_a_stalled_stream_are_no_progress(driver: Driver) -> None:
    stalled = driver.open("u", sink=FakeSink(blocked=True))
    for second in range(1, 13):
        driver.now += 1
        driver.publish("jobs", str(second))
        await asyncio.sleep(0)
        driver.manager.tick(driver.now)
    assert stalled.sink.aborted


async def test_framing_bytes_of_the_transport_are_no_progress(driver: Driver) -> None:
    sink = FakeSink(blocked=True)
    stalled = driver.open("u", sink=sink)
    for second in range(1, 13):
        driver.now += 1
        driver.publish("jobs", str(second))
        await asyncio.sleep(0)
        # The transport counts chunk headers as buffered.
        sink.overhead_bytes += 8
        driver.manager.tick(driver.now)
    assert stalled.sink.aborted


async def test_stream_is_not_stalled_while_earlier_bytes_are_read(driver: Driver) -> None:
    sink = FakeSink(blocked=True)
    # A response on the same connection is still mostly buffered.
    sink.overhead_bytes = 5_000
    slow = driver.open("u", sink=sink)
    for _ in range(12):
        driver.now += 1
        sink.overhead_bytes -= 300
        driver.manager.tick(driver.now)
    assert not slow.sink.aborted


async def test_rejected_sink_is_aborted_when_it_does_not_drain(driver: Driver) -> None:
    sink = FakeSink(blocked=True)
    driver.manager.reject(sink, "too_many_streams")
    assert sink.ended
    driver.now += 5
    driver.manager.tick(driver.now)
    assert not sink.aborted
    driver.now += 6
    driver.manager.tick(driver.now)
    assert sink.aborted


async def test_ended_stream_is_aborted_when_it_does_not_drain(driver: Driver) -> None:
    client = driver.open("u", sink=FakeSink(blocked=True))
    driver.manager.end_stream(client.stream, "logout")
    assert client.sink.ended
    driver.now += 5
    driver.manager.tick(driver.now)
    assert not client.sink.aborted
    driver.now += 6
    driver.manager.tick(driver.now)
    assert client.sink.aborted


async def test_stream_closed_while_its_page_is_read_receives_nothing(make_driver: MakeDriver) -> None:
    driver = await make_driver(backlog_events=2)
    driver.publish("jobs", "1", "2", "3", "4")
    reconnected = await driver.connect("u", "e.0")
    driver.manager.stream_closed(reconnected.stream)
    await driver.run_until_idle()
    assert reconnected.types == ["connection_confirmed"]
