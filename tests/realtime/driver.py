"""A manager with its log, its clock and its clients, as the tests drive it."""

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
from tests.realtime.sse_parser import Message, parse

SHARED = ("jobs", "news")


class Client:
    """One stream as its client sees it."""

    def __init__(self, session: Stream, sink: FakeSink) -> None:
        self.stream = session
        self.sink = sink

    @property
    def state(self) -> str:
        return self.stream.state

    @property
    def messages(self) -> list[Message]:
        return parse(self.sink.received()).messages

    @property
    def event_data(self) -> list[str]:
        """The data of the events that were published, without the stream's own."""
        own = ("connection_confirmed", "reset", "bye", "heartbeat")
        return [message.data for message in self.messages if message.type not in own]

    @property
    def types(self) -> list[str]:
        return [message.type for message in self.messages]

    @property
    def cursor(self) -> str:
        return parse(self.sink.received()).last_event_id


class Driver:
    """Clock and log are the test's; the manager is the real one."""

    def __init__(self, **options: Any) -> None:
        self.now = 1_000.0
        self.history = FakeHistory()
        self.options = RealtimeOptions(epoch="e", **options)
        # Whom the manager said to forget.
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
        """Commit and publish."""
        events = [self.history.commit(channel, text.encode()) for text in data]
        self.manager.publish(events)
        return events

    def publish_ephemeral(self, channel: str, data: str) -> None:
        """Publish an ephemeral event."""
        self.manager.publish([Event.ephemeral(channel, "typing", data.encode())])

    def open(
        self, user: str = "u", decision: ResumeDecision | None = None, *, sink: FakeSink | None = None, **asked: Any
    ) -> Client:
        sink = sink or FakeSink()
        own = f"user:{user}"
        session = self.manager.open_stream(
            sink,
            user_id=user,
            channels=asked.get("channels", (own, *SHARED)),
            own_channel=own,
            decision=decision or ResumeDecision.fresh(),
            session_id=asked.get("login"),
            address=asked.get("address", "192.0.2.1"),
            confirm=asked.get("confirm", confirm),
        )
        return Client(session, sink)

    async def connect(self, user: str, last: str | None, *, sink: FakeSink | None = None) -> Client:
        """Connect the way the outer rings do: judge, then open."""
        cursor = None if last is None else Cursor.parse(last)
        own = f"user:{user}"
        verdict = await self.manager.decide_resume(cursor, False, (own, *SHARED), own)
        return self.open(user, verdict, sink=sink)

    async def wait_for_reads(self, count: int) -> None:
        """Let the loop go on until the log has been asked so often, and not further."""
        for _ in range(200):
            if self.history.reads >= count:
                return
            await asyncio.sleep(0)
        raise AssertionError("the log was not asked")

    async def run_until_idle(self) -> None:
        """Let the loop come to rest."""
        for _ in range(200):
            await asyncio.sleep(0)


def confirm(session: Stream, cursor: Cursor | None) -> bytes:
    """The smallest confirmation."""
    here = None if cursor is None else str(cursor)
    return confirmation_frame({"sessionId": session.number, "cursor": here}, 1_500, here)
