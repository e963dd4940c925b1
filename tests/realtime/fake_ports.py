"""Fakes of the realtime ports: a sink whose reads the test controls, and a history in a list."""

import asyncio
from collections.abc import Callable, Sequence

from realtime.event import Event
from realtime.ports import EventPage, MissedCounts


class FakeSink:
    """Stores what was written. While `blocked`, the client reads nothing until `read` or `unblock` is called."""

    def __init__(self, *, blocked: bool = False) -> None:
        self.blocked = blocked
        self.chunks: list[bytes] = []
        self.written_bytes = 0
        self.read_bytes = 0
        # Framing bytes of the transport that are buffered together with the chunks.
        self.overhead_bytes = 0
        self.ended = False
        self.aborted = False
        self.drain_callback: Callable[[], None] | None = None

    def write(self, chunk: bytes) -> None:
        if self.ended or self.aborted:
            return
        self.chunks.append(chunk)
        self.written_bytes += len(chunk)
        if not self.blocked:
            self.read_bytes = self.written_bytes

    @property
    def is_drained(self) -> bool:
        return self.buffered_bytes() == 0

    def buffered_bytes(self) -> int:
        unread = self.written_bytes - self.read_bytes
        return unread + (self.overhead_bytes if unread > 0 else 0)

    def end(self, last: bytes = b"") -> None:
        self.write(last)
        self.ended = True

    def abort(self) -> None:
        self.aborted = True

    def on_drain(self, callback: Callable[[], None]) -> None:
        self.drain_callback = callback

    def read(self, amount: int) -> None:
        """Let the client read `amount` bytes."""
        self.read_bytes = min(self.written_bytes, self.read_bytes + amount)
        if self.read_bytes == self.written_bytes and self.drain_callback is not None:
            callback, self.drain_callback = self.drain_callback, None
            callback()

    def unblock(self) -> None:
        """Let the client read everything, now and in the future."""
        self.blocked = False
        self.read(self.written_bytes)

    def received(self) -> bytes:
        """Return the bytes that the client has read."""
        return b"".join(self.chunks)[: self.read_bytes]


class FakeHistory:
    """A History in a list. Each read takes two loop iterations, so that something can happen before and after it."""

    def __init__(self, epoch: str = "e") -> None:
        self.epoch = epoch
        self.head = 0
        self.events: list[Event] = []
        self.trim_marks: dict[str, int] = {}
        self.reads = 0
        self.active_reads = 0
        self.max_active_reads = 0
        self.failure: Exception | None = None
        # Reads wait while the gate is cleared.
        self.gate = asyncio.Event()
        self.gate.set()

    def commit(self, channel: str, data: bytes = b"{}", type: str = "test_event") -> Event:
        self.head += 1
        event = Event.durable(channel, type, data, self.head, self.epoch)
        self.events.append(event)
        return event

    def trim(self, position: int) -> None:
        """Delete all events up to `position`, and set the trim marks of their channels."""
        for event in self.events:
            if event.position is not None and event.position <= position:
                self.trim_marks[event.channel] = max(self.trim_marks.get(event.channel, 0), event.position)
        self.events = [event for event in self.events if event.position is not None and event.position > position]

    def forget(self, position: int) -> None:
        self.events = [event for event in self.events if event.position != position]

    def load_recent(self, limit: int) -> tuple[list[Event], int, int]:
        """Return the arguments of RealtimeManager.seed: events, floor and head."""
        events = self.events[-limit:]
        oldest = (events[0].position or 0) - 1 if len(events) == limit else 0
        return events, max([oldest, *self.trim_marks.values()]), self.head

    async def read_after(self, channels: Sequence[str], position: int, limit: int) -> EventPage:
        await self._wait()
        events = self._after(channels, position)[:limit]
        full = len(events) == limit
        page = EventPage(events, (events[-1].position or 0) if full else max(self.head, position))
        await asyncio.sleep(0)
        return page

    async def count_missed(
        self, channels: Sequence[str], own_channel: str, position: int, *, own_limit: int, shared_limit: int
    ) -> MissedCounts:
        await self._wait()
        events = self._after(channels, position)
        own = sum(event.channel == own_channel for event in events)
        counts = MissedCounts(
            own=min(own, own_limit + 1),
            shared=min(len(events) - own, shared_limit + 1),
            trimmed=self.is_trimmed(channels, position),
            head=self.head,
        )
        await asyncio.sleep(0)
        return counts

    def is_trimmed(self, channels: Sequence[str], position: int) -> bool:
        return any(self.trim_marks.get(channel, 0) > position for channel in channels)

    def _after(self, channels: Sequence[str], position: int) -> list[Event]:
        return [
            event
            for event in self.events
            if event.channel in channels and event.position is not None and event.position > position
        ]

    async def _wait(self) -> None:
        self.reads += 1
        self.active_reads += 1
        self.max_active_reads = max(self.max_active_reads, self.active_reads)
        try:
            await asyncio.sleep(0)
            await self.gate.wait()
            if self.failure is not None:
                raise self.failure
        finally:
            self.active_reads -= 1
