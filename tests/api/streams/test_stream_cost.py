"""The cost of an event and of a stream, in function calls and bytes instead of time."""

import asyncio
import gc
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from types import FrameType
from typing import Any, cast

import pytest
from starlette.types import Message, Scope, Send

from api.streams.responses import BODY_KEY, AsgiStreamResponse, StreamOpening
from api.streams.takeover import DirectSink, Takeover
from realtime.event import Event
from realtime.manager import RealtimeManager
from realtime.options import RealtimeOptions
from realtime.ports import History, Sink
from realtime.resume import ResumeDecision
from realtime.stream import Stream
from services.event_log import channels
from services.ids import new_id


class FakeTransport:
    """A transport that accepts everything and counts the writes."""

    def __init__(self) -> None:
        self.writes = 0
        self.chunks: set[int] = set()

    def write(self, chunk: bytes) -> None:
        self.writes += 1
        self.chunks.add(id(chunk))

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        pass

    def set_write_buffer_limits(self, high: int) -> None:
        assert high == 0


class Streams:
    """A manager whose direct streams belong to different users and share one fake transport."""

    def __init__(self) -> None:
        self.manager = RealtimeManager(
            RealtimeOptions(epoch="e", connect_limit=None, max_streams_per_address=0),
            history=cast(History, None),
            clock=lambda: 1_000.0,
            wall_clock=lambda: 1_000_000,
            random=Random(7),
            process_id="p",
        )
        self.takeover = Takeover("auto", self.manager.stream_closed)
        self.transport = FakeTransport()
        self.user_ids: list[str] = []
        self.position = 0

    def open(self, count: int) -> None:
        for _ in range(count):
            sink = DirectSink(self.takeover, self.takeover.encoder)
            sink.connection_made(cast(asyncio.BaseTransport, self.transport))
            user_id = new_id()
            self.user_ids.append(user_id)
            sink.attach(self.open_stream(sink, user_id))

    async def respond(self, send: Send) -> None:
        """Respond to a request for an ASGI stream as the application does."""
        user_id = new_id()
        scope: Scope = {"type": "http", "method": "GET"}
        opening = StreamOpening(
            self.manager,
            user_id,
            "127.0.0.1",
            is_still_valid=lambda: True,
            open=lambda sink: self.open_stream(sink, user_id),
        )
        response = AsgiStreamResponse(opening)
        await response(scope, receive_nothing, send)
        del response, opening
        await scope.pop(BODY_KEY)(receive_nothing, send)

    def open_stream(self, sink: Sink, user_id: str) -> Stream:
        return self.manager.open_stream(
            sink,
            user_id=user_id,
            channels=channels.resolve_channels(user_id, "client", None),
            own_channel=channels.user_channel(user_id),
            decision=ResumeDecision.fresh(),
            session_id=new_id(),
            address="127.0.0.1",
            confirm=lambda stream, cursor: b"confirmed",
        )

    def publish(self, channel: str) -> None:
        self.position += 1
        self.manager.publish([Event.durable(channel, "test_event", b'{"text":"x"}', self.position, "e")])


async def receive_nothing() -> Message:
    """Receive nothing: the client stays connected."""
    message: Message = await asyncio.get_running_loop().create_future()
    return message


async def make_streams(count: int) -> Streams:
    streams = Streams()
    await streams.manager.start()
    streams.open(count)
    return streams


def count_calls(act: Callable[[], Any]) -> int:
    """Return the number of function calls of `act`, including functions written in C."""
    calls = 0

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        act()
    finally:
        sys.setprofile(None)
    return calls


def count_broadcast_calls(streams: Streams) -> int:
    """Return the function calls that write one event to all streams."""
    streams.publish("jobs")
    return count_calls(lambda: streams.manager._fan_out.flush())


async def test_event_costs_the_same_calls_per_stream_for_any_number() -> None:
    small, large = await make_streams(500), await make_streams(5_000)
    small_cost, large_cost = count_broadcast_calls(small) / 500, count_broadcast_calls(large) / 5_000
    # try_write_live, write, the encoder, the transport's write and what it does.
    assert small_cost < 11
    assert large_cost == pytest.approx(small_cost, rel=0.15)
    await small.manager.stop()
    await large.manager.stop()


async def test_events_of_an_iteration_are_encoded_and_written_once() -> None:
    streams = await make_streams(300)
    streams.transport.writes, streams.transport.chunks = 0, set()
    for _ in range(20):
        streams.publish("jobs")
        streams.publish(channels.ANNOUNCEMENTS)
    streams.manager._fan_out.flush()
    assert streams.transport.writes == 300
    assert len(streams.transport.chunks) == 1
    await streams.manager.stop()


async def test_private_event_cost_does_not_grow_with_the_streams() -> None:
    costs = []
    for count in (100, 2_000):
        streams = await make_streams(count)
        streams.publish(channels.user_channel(streams.user_ids[50]))
        costs.append(count_calls(streams.manager._fan_out.flush))
        await streams.manager.stop()
    assert costs[1] <= costs[0] + 2


@contextmanager
def trace_memory() -> Iterator[Callable[[], int]]:
    """Yield a function that returns the bytes of Python objects allocated since the start."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]

    def allocated() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before

    try:
        yield allocated
    finally:
        tracemalloc.stop()


async def test_direct_stream_takes_less_than_1_kb_plus_its_transport() -> None:
    streams = await make_streams(100)
    with trace_memory() as allocated:
        streams.open(2_000)
        assert allocated() < 1_000 * 2_000
    await streams.manager.stop()


async def test_asgi_stream_takes_less_than_5_kb_plus_its_connection() -> None:
    streams = await make_streams(0)
    written: list[Message] = []

    async def send(message: Message) -> None:
        written.append(message)

    with trace_memory() as allocated:
        tasks = [asyncio.create_task(streams.respond(send)) for _ in range(500)]
        # Each task takes a few iterations for the headers and the confirmation, then it waits.
        for _ in range(10):
            await asyncio.sleep(0)
        assert len([message for message in written if message["type"] == "http.response.body"]) == 500
        written.clear()
        assert allocated() < 5_000 * 500
    await streams.manager.stop()
    await asyncio.gather(*tasks)
    assert written[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_open_stream_has_no_task_and_a_closed_one_leaves_no_object() -> None:
    streams = await make_streams(0)
    tasks = len(asyncio.all_tasks())
    gc.collect()
    gc.disable()
    try:
        streams.open(200)
        assert len(asyncio.all_tasks()) == tasks
        sinks = [stream.sink for stream in streams.manager.snapshot().streams]
        for sink in sinks:
            cast(DirectSink, sink).connection_lost(None)
        del sinks, sink
        # Without the garbage collector: no reference cycles are left.
        assert not [entry for entry in gc.get_objects() if isinstance(entry, DirectSink)]
    finally:
        gc.enable()
    assert streams.takeover.streams == -200
    assert streams.manager.connections == 0
    await streams.manager.stop()
