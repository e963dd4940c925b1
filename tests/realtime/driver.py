"""Drives a RealtimeManager with a fake history, a fake clock and fake clients."""

import asyncio
from random import Random
from typing import Any

from realtime.cursor import Cursor
from realtime.event import Event, confirmation_frame
from realtime.manager import RealtimeManager
from realtime.options import RealtimeOptions
from realtime.resume import ResumeDecision
from realtime.stream import Stream
from tests.realtime.fake_ports import FakeHistory, FakeSink
from tests.support.sse_parser import ServerEvent, parse

SHARED = ("jobs", "news")


class Client:
    """One stream as its client sees it."""

    def __init__(self, stream: Stream, sink: FakeSink) -> None:
        self.stream = stream
        self.sink = sink

    @property
    def state(self) -> str:
        return self.stream.state

    @property
    def events(self) -> list[ServerEvent]:
        return parse(self.sink.received()).events

    @property
    def event_data(self) -> list[str]:
        """The data of the published events, without the stream's own events."""
        own = ("connection_confirmed", "reset", "bye", "heartbeat")
        return [event.text for event in self.events if event.type not in own]

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]

    @property
    def cursor(self) -> str:
        return parse(self.sink.received()).last_event_id


class Driver:
    """A real manager with the clock and the history of the test."""

    def __init__(self, **options: Any) -> None:
        self.now = 1_000.0
        self.history = FakeHistory()
        self.options = RealtimeOptions(epoch="e", **options)
        # The users that the manager has released.
        self.idle_users: list[str] = []
        self.manager = self.make_manager()

    def make_manager(self) -> RealtimeManager:
        return RealtimeManager(
            self.options,
            history=self.history,
            clock=lambda: self.now,
            wall_clock=lambda: int(self.now * 1_000),
            random=Random(7),
            process_id="p",
            on_users_idle=self.idle_users.extend,
        )

    def publish(self, channel: str, *data: str) -> list[Event]:
        """Commit and publish durable events."""
        events = [self.history.commit(channel, text.encode()) for text in data]
        self.manager.publish(events)
        return events

    def publish_ephemeral(self, channel: str, data: str) -> None:
        self.manager.publish([Event.ephemeral(channel, "typing", data.encode())])

    def open(
        self,
        user_id: str = "u",
        decision: ResumeDecision | None = None,
        *,
        sink: FakeSink | None = None,
        **options: Any,
    ) -> Client:
        sink = sink or FakeSink()
        own = f"user:{user_id}"
        stream = self.manager.open_stream(
            sink,
            user_id=user_id,
            channels=options.get("channels", (own, *SHARED)),
            own_channel=own,
            decision=decision or ResumeDecision.fresh(),
            session_id=options.get("session_id"),
            address=options.get("address", "192.0.2.1"),
            confirm=options.get("confirm", confirm),
        )
        return Client(stream, sink)

    async def connect(self, user_id: str, last_event_id: str | None, *, sink: FakeSink | None = None) -> Client:
        """Connect as the route does: decide how the stream starts, then open it."""
        cursor = None if last_event_id is None else Cursor.parse(last_event_id)
        own = f"user:{user_id}"
        decision = await self.manager.decide_resume(cursor, False, (own, *SHARED), own)
        return self.open(user_id, decision, sink=sink)

    async def wait_for_reads(self, count: int) -> None:
        """Run the loop until the history was read `count` times, and no further."""
        for _ in range(200):
            if self.history.reads >= count:
                return
            await asyncio.sleep(0)
        raise AssertionError("the history was not read")

    async def run_until_idle(self) -> None:
        """Run the loop until all callbacks are done."""
        for _ in range(200):
            await asyncio.sleep(0)


def confirm(stream: Stream, cursor: Cursor | None) -> bytes:
    """Return a minimal confirmation."""
    id = None if cursor is None else str(cursor)
    return confirmation_frame({"sessionId": stream.number, "cursor": id}, 1_500, id)
