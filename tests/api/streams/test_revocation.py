"""A login that has ended gets nothing more: not later in the same batch, and not on a stream that was being opened."""

import random
from typing import Any, cast

from starlette.types import Message

from api.commit_publisher import CommitPublisher
from api.http.authentication import Authenticator
from api.streams.responses import AsgiStreamResponse, StreamOpening
from realtime.event import Event
from realtime.manager import RealtimeManager
from realtime.options import RealtimeOptions
from realtime.ports import Sink
from realtime.resume import ResumeDecision
from realtime.stream import Stream
from services.database.sqlite.batch import Batch
from services.event_log import channels
from tests.realtime.fake_ports import FakeHistory, FakeSink


class Heard:
    """Stands where the identities do: keeps what it was told."""

    def __init__(self) -> None:
        self.types: list[str] = []

    def apply(self, type: str, data: dict[str, str]) -> None:
        self.types.append(type)


def manager() -> RealtimeManager:
    return RealtimeManager(
        RealtimeOptions(epoch="e"),
        history=FakeHistory(),
        clock=lambda: 0.0,
        wall_clock=lambda: 0,
        random=random.Random(1),
        process_id="p",
    )


def opened(hub: RealtimeManager, login: str) -> FakeSink:
    sink = FakeSink()
    hub.open_stream(
        sink,
        user_id="ann",
        channels=("user:ann",),
        own_channel="user:ann",
        decision=ResumeDecision.fresh(),
        session_id=login,
        address="a",
        confirm=lambda session, cursor: b"event: connection_confirmed\ndata: {}\n\n",
    )
    return sink


def batch(end: str, data: bytes) -> Batch:
    """An end, and then more events than a queue holds: a full one is written at once, not at the turn's end."""
    told = [(channels.CONTROL, end, data), *[("user:ann", "later", b"{}")] * 150]
    return Batch([], [Event.durable(*event, position, "e") for position, event in enumerate(told, start=1)])


async def test_a_stream_gets_nothing_committed_after_its_login_ended() -> None:
    hub = manager()
    await hub.start()
    ended, other = opened(hub, "phone"), opened(hub, "desk")
    CommitPublisher(hub, cast(Authenticator, Heard()))(
        batch("session_revoked", b'{"sessionId":"phone","userId":"ann","reason":"logout"}')
    )
    await hub.stop()
    assert b'"reason":"logout"' in ended.received()
    assert b"event: later" not in ended.received()
    assert b"event: later" in other.received()


async def test_a_revoked_key_ends_the_streams_of_its_tickets() -> None:
    hub = manager()
    await hub.start()
    ended, other = opened(hub, "key:crm"), opened(hub, "key:shop")
    CommitPublisher(hub, cast(Authenticator, Heard()))(batch("key_revoked", b'{"name":"crm"}'))
    await hub.stop()
    assert b'"reason":"revoked"' in ended.received()
    assert b'"reason":"revoked"' not in other.received()


async def test_a_login_that_ended_while_its_stream_was_being_opened_opens_none() -> None:
    hub = manager()
    await hub.start()
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    def begin(sink: Sink) -> Stream:
        raise AssertionError("opened")

    stream = AsgiStreamResponse(StreamOpening(hub, "ann", "a", is_still_valid=lambda: False, open=begin))
    scope: dict[str, Any] = {"type": "http", "method": "GET"}
    await stream(scope, receive, send)
    await hub.stop()
    assert sent[0]["status"] == 200
    assert b'"reason":"rotate"' in sent[1]["body"]
    assert hub.connections == 0
