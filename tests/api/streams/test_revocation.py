"""Revocation: streams of a revoked session or key end at once, also those that are being opened."""

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
from services.database.units import Batch
from services.event_log import channels
from tests.realtime.fake_ports import FakeHistory, FakeSink


class FakeAuthenticator:
    """Stands in for the Authenticator and records the control events."""

    def __init__(self) -> None:
        self.types: list[str] = []

    def invalidate(self, type: str, data: dict[str, str]) -> None:
        self.types.append(type)


def make_manager() -> RealtimeManager:
    return RealtimeManager(
        RealtimeOptions(epoch="e"),
        history=FakeHistory(),
        clock=lambda: 0.0,
        wall_clock=lambda: 0,
        random=random.Random(1),
        process_id="p",
    )


def open_stream(manager: RealtimeManager, session_id: str) -> FakeSink:
    sink = FakeSink()
    manager.open_stream(
        sink,
        user_id="ann",
        channels=("user:ann",),
        own_channel="user:ann",
        decision=ResumeDecision.fresh(),
        session_id=session_id,
        address="a",
        confirm=lambda stream, cursor: b"event: connection_confirmed\ndata: {}\n\n",
    )
    return sink


def batch(type: str, data: bytes) -> Batch:
    """Return a batch of one control event and 150 events for the user channel after it."""
    events = [(channels.CONTROL, type, data), *[("user:ann", "later", b"{}")] * 150]
    return Batch([], [Event.durable(*event, position, "e") for position, event in enumerate(events, start=1)])


async def test_stream_gets_no_event_committed_after_its_session_ended() -> None:
    manager = make_manager()
    await manager.start()
    revoked, other = open_stream(manager, "phone"), open_stream(manager, "desk")
    CommitPublisher(manager, cast(Authenticator, FakeAuthenticator()))(
        batch("session_revoked", b'{"sessionId":"phone","userId":"ann","reason":"logout"}')
    )
    await manager.stop()
    assert b'"reason":"logout"' in revoked.received()
    assert b"event: later" not in revoked.received()
    assert b"event: later" in other.received()


async def test_revoking_a_key_ends_the_streams_of_its_tickets() -> None:
    manager = make_manager()
    await manager.start()
    revoked, other = open_stream(manager, "key:crm"), open_stream(manager, "key:shop")
    CommitPublisher(manager, cast(Authenticator, FakeAuthenticator()))(batch("key_revoked", b'{"name":"crm"}'))
    await manager.stop()
    assert b'"reason":"revoked"' in revoked.received()
    assert b'"reason":"revoked"' not in other.received()


async def test_stream_is_not_opened_when_its_session_ends_meanwhile() -> None:
    manager = make_manager()
    await manager.start()
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    def open_stream(sink: Sink) -> Stream:
        raise AssertionError("the stream was opened")

    response = AsgiStreamResponse(StreamOpening(manager, "ann", "a", is_still_valid=lambda: False, open=open_stream))
    scope: dict[str, Any] = {"type": "http", "method": "GET"}
    await response(scope, receive, send)
    await manager.stop()
    assert sent[0]["status"] == 200
    assert b'"reason":"rotate"' in sent[1]["body"]
    assert manager.connections == 0
