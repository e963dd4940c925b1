"""What an event and a stream cost, counted in calls and bytes and never in time: a guard against slow decay."""

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


class Wire:
    """A transport that takes everything, and counts the writes."""

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
    """A manager with streams of users of their own, all on one wire, as takeover makes them."""

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
        self.wire = Wire()
        self.users: list[str] = []
        self.position = 0

    def open(self, count: int) -> None:
        for _ in range(count):
            sink = DirectSink(self.takeover, self.takeover.encoder)
            sink.connection_made(cast(asyncio.BaseTransport, self.wire))
            user = new_id()
            self.users.append(user)
            sink.attach(self.begin(sink, user))

    async def answer(self, send: Send) -> None:
        """A request for a portable stream, as the application's outermost layer answers it."""
        user = new_id()
        scope: Scope = {"type": "http", "method": "GET"}
        opening = StreamOpening(
            self.manager, user, "127.0.0.1", is_still_valid=lambda: True, open=lambda sink: self.begin(sink, user)
        )
        response = AsgiStreamResponse(opening)
        await response(scope, gone, send)
        del response, opening
        await scope.pop(BODY_KEY)(gone, send)

    def begin(self, sink: Sink, user: str) -> Stream:
        return self.manager.open_stream(
            sink,
            user_id=user,
            channels=channels.resolve_channels(user, "client", None),
            own_channel=channels.user_channel(user),
            decision=ResumeDecision.fresh(),
            session_id=new_id(),
            address="127.0.0.1",
            confirm=lambda session, at: b"confirmed",
        )

    def tell(self, channel: str) -> None:
        self.position += 1
        self.manager.publish([Event.durable(channel, "told", b'{"text":"x"}', self.position, "e")])


async def gone() -> Message:
    """A client that stays: nothing is ever received."""
    message: Message = await asyncio.get_running_loop().create_future()
    return message


async def made(count: int) -> Streams:
    streams = Streams()
    await streams.manager.start()
    streams.open(count)
    return streams


def counted(act: Callable[[], Any]) -> int:
    """How many functions are called meanwhile, those written in C included."""
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


def broadcast(streams: Streams) -> int:
    """The calls of one event to everybody."""
    streams.tell("jobs")
    return counted(lambda: streams.manager._fan_out.flush())


async def test_an_event_costs_the_same_few_calls_a_stream_however_many_there_are() -> None:
    few, many = await made(500), await made(5_000)
    cost, more = broadcast(few) / 500, broadcast(many) / 5_000
    # offer, pressure, get_write_buffer_size, write, Framing.of, the wire's write, and what it does.
    assert cost < 11
    assert more == pytest.approx(cost, rel=0.15)
    await few.manager.stop()
    await many.manager.stop()


async def test_what_a_turn_brings_is_framed_once_and_written_once_a_stream() -> None:
    streams = await made(300)
    streams.wire.writes, streams.wire.chunks = 0, set()
    for _ in range(20):
        streams.tell("jobs")
        streams.tell(channels.ANNOUNCEMENTS)
    streams.manager._fan_out.flush()
    assert streams.wire.writes == 300
    assert len(streams.wire.chunks) == 1
    await streams.manager.stop()


async def test_a_private_event_costs_the_same_among_few_and_among_many() -> None:
    costs = []
    for count in (100, 2_000):
        streams = await made(count)
        streams.tell(channels.user_channel(streams.users[50]))
        costs.append(counted(streams.manager._fan_out.flush))
        await streams.manager.stop()
    assert costs[1] <= costs[0] + 2


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """Asks how many bytes of Python's objects have come to stay."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]

    def taken() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before

    try:
        yield taken
    finally:
        tracemalloc.stop()


async def test_a_stream_takes_less_than_1_kb_beside_its_transport() -> None:
    streams = await made(100)
    with traced() as taken:
        streams.open(2_000)
        assert taken() < 1_000 * 2_000
    await streams.manager.stop()


async def test_a_portable_stream_takes_less_than_5_kb_beside_its_connection() -> None:
    streams = await made(0)
    written: list[Message] = []

    async def send(message: Message) -> None:
        written.append(message)

    with traced() as taken:
        tasks = [asyncio.create_task(streams.answer(send)) for _ in range(500)]
        # Each takes its few turns: the headers, the confirmation, and then it waits.
        for _ in range(10):
            await asyncio.sleep(0)
        assert len([message for message in written if message["type"] == "http.response.body"]) == 500
        written.clear()
        assert taken() < 5_000 * 500
    await streams.manager.stop()
    await asyncio.gather(*tasks)
    assert written[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_an_open_stream_is_no_task_and_a_closed_one_leaves_nothing() -> None:
    streams = await made(0)
    tasks = len(asyncio.all_tasks())
    gc.collect()
    gc.disable()
    try:
        streams.open(200)
        assert len(asyncio.all_tasks()) == tasks
        sinks = [session.sink for session in streams.manager.snapshot().streams]
        for sink in sinks:
            cast(DirectSink, sink).connection_lost(None)
        del sinks, sink
        # Without the collector: no rings are left.
        assert not [each for each in gc.get_objects() if isinstance(each, DirectSink)]
    finally:
        gc.enable()
    assert streams.takeover.streams == -200
    assert streams.manager.connections == 0
    await streams.manager.stop()
