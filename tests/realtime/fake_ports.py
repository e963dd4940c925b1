"""The two ports kept in memory: a sink whose client reads as fast as the test says, and a log that is a list."""

import asyncio
from collections.abc import Callable, Sequence

from realtime.event import Event
from realtime.ports import EventPage, MissedCounts


class ListSink:
    """Keeps what was written. While `stuck`, the client takes nothing until `take` or `drain`."""

    def __init__(self, *, stuck: bool = False) -> None:
        self.stuck = stuck
        self.chunks: list[bytes] = []
        self.written = 0
        self.taken = 0
        # Bytes of the transport's own that wait with the rest.
        self.framing = 0
        self.ended = False
        self.aborted = False
        self.callback: Callable[[], None] | None = None

    def write(self, chunk: bytes) -> None:
        if self.ended or self.aborted:
            return
        self.chunks.append(chunk)
        self.written += len(chunk)
        if not self.stuck:
            self.taken = self.written

    @property
    def is_drained(self) -> bool:
        return self.buffered_bytes() == 0

    def buffered_bytes(self) -> int:
        return self.written - self.taken + (self.framing if self.written > self.taken else 0)

    def end(self, last: bytes = b"") -> None:
        self.write(last)
        self.ended = True

    def abort(self) -> None:
        self.aborted = True

    def on_drain(self, callback: Callable[[], None]) -> None:
        self.callback = callback

    def take(self, amount: int) -> None:
        """The client reads so many bytes."""
        self.taken = min(self.written, self.taken + amount)
        if self.taken == self.written and self.callback is not None:
            callback, self.callback = self.callback, None
            callback()

    def drain(self) -> None:
        """The client reads everything, and goes on to."""
        self.stuck = False
        self.take(self.written)

    def received(self) -> bytes:
        """What the client has."""
        return b"".join(self.chunks)[: self.taken]


class ListLog:
    """A History over a list. Each read takes two turns of the loop, so that things happen before and after it."""

    def __init__(self, epoch: str = "e") -> None:
        self.epoch = epoch
        self.head = 0
        self.kept: list[Event] = []
        self.marks: dict[str, int] = {}
        self.reads = 0
        self.reading = 0
        self.most_reading = 0
        self.failure: Exception | None = None
        # Set: reads go through. Cleared: they wait.
        self.gate = asyncio.Event()
        self.gate.set()

    def commit(self, channel: str, data: bytes = b"{}", type: str = "fact") -> Event:
        self.head += 1
        event = Event.durable(channel, type, data, self.head, self.epoch)
        self.kept.append(event)
        return event

    def trim(self, upto: int) -> None:
        """Old events go, and the marks of their channels say so."""
        for event in self.kept:
            if event.position is not None and event.position <= upto:
                self.marks[event.channel] = max(self.marks.get(event.channel, 0), event.position)
        self.kept = [event for event in self.kept if event.position is not None and event.position > upto]

    def forget(self, position: int) -> None:
        self.kept = [event for event in self.kept if event.position != position]

    def recent(self, limit: int) -> tuple[list[Event], int, int]:
        """What a manager is seeded with: events, floor, head."""
        events = self.kept[-limit:]
        oldest = (events[0].position or 0) - 1 if len(events) == limit else 0
        return events, max([oldest, *self.marks.values()]), self.head

    async def read_after(self, channels: Sequence[str], position: int, limit: int) -> EventPage:
        await self._wait()
        found = self._of(channels, position)[:limit]
        full = len(found) == limit
        page = EventPage(found, (found[-1].position or 0) if full else max(self.head, position))
        await asyncio.sleep(0)
        return page

    async def count_missed(
        self, channels: Sequence[str], own_channel: str, position: int, *, own_limit: int, shared_limit: int
    ) -> MissedCounts:
        await self._wait()
        found = self._of(channels, position)
        own = sum(event.channel == own_channel for event in found)
        answer = MissedCounts(
            own=min(own, own_limit + 1),
            shared=min(len(found) - own, shared_limit + 1),
            trimmed=self.is_trimmed(channels, position),
            head=self.head,
        )
        await asyncio.sleep(0)
        return answer

    def is_trimmed(self, channels: Sequence[str], position: int) -> bool:
        return any(self.marks.get(channel, 0) > position for channel in channels)

    def _of(self, channels: Sequence[str], position: int) -> list[Event]:
        return [
            event
            for event in self.kept
            if event.channel in channels and event.position is not None and event.position > position
        ]

    async def _wait(self) -> None:
        self.reads += 1
        self.reading += 1
        self.most_reading = max(self.most_reading, self.reading)
        try:
            await asyncio.sleep(0)
            await self.gate.wait()
            if self.failure is not None:
                raise self.failure
        finally:
            self.reading -= 1
