"""Backlog: ring buffer of the newest events, used for replay without the database."""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from realtime.event import Event

# The objects of an Event next to its bytes. Without it, many tiny events would exceed the memory bound.
_OVERHEAD_BYTES: Final = 300
# A channel's list drops its unused front when that is this long and half of the list: amortized constant cost.
_COMPACT_AFTER: Final = 256


class _ChannelPositions:
    """The positions of one channel in ascending order; those before index `start` were evicted."""

    __slots__ = ("positions", "start")

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.start = 0

    def after(self, position: int) -> int:
        """Return the index of the first position after `position`."""
        return bisect_right(self.positions, position, lo=self.start)

    def drop_first(self) -> bool:
        """Remove the oldest position. Return True when none is left."""
        self.start += 1
        if self.start >= _COMPACT_AFTER and self.start * 2 >= len(self.positions):
            del self.positions[: self.start]
            self.start = 0
        return self.start >= len(self.positions)

    def drop(self, position: int) -> bool:
        """Remove one position. Return True when none is left."""
        del self.positions[bisect_left(self.positions, position, lo=self.start)]
        return self.start >= len(self.positions)


class Backlog:
    """Holds every event of any channel after position `floor`; bounded by number of events and by bytes."""

    __slots__ = ("_bytes", "_channels", "_events", "_max_bytes", "_max_events", "_order", "floor")

    def __init__(self, max_events: int = 20_000, max_bytes: int = 32 * 1024 * 1024) -> None:
        self.floor = 0
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._bytes = 0
        self._events: dict[int, Event] = {}
        # Positions in order of arrival. A forgotten position stays here until it is evicted.
        self._order: deque[int] = deque()
        self._channels: dict[str, _ChannelPositions] = {}

    def __len__(self) -> int:
        return len(self._events)

    def covers(self, position: int) -> bool:
        """Return whether the backlog holds everything that a reader at `position` has missed."""
        return position >= self.floor

    def seed(self, events: Iterable[Event], floor: int) -> None:
        """Start from the newest events of the log, in order. Events at or before position `floor` may be missing."""
        self.floor = floor
        for event in events:
            self.append(event)

    def append(self, event: Event) -> None:
        """Add a durable event with a position after all others; evict the oldest events beyond the bounds.

        Raises ValueError for an ephemeral event and for a position that is not after all others.
        """
        position = event.position
        if position is None or position <= (self._order[-1] if self._order else self.floor):
            raise ValueError("the backlog takes durable events in order of position")
        self._events[position] = event
        self._order.append(position)
        self._channels.setdefault(event.channel, _ChannelPositions()).positions.append(position)
        self._bytes += _size_bytes(event)
        while len(self._order) > self._max_events or self._bytes > self._max_bytes:
            self._evict()

    def after(self, channels: Sequence[str], position: int, limit: int | None = None) -> list[Event]:
        """Return at most `limit` events of these channels after `position`, in order."""
        positions: list[int] = []
        for entry in self._entries(channels):
            first = entry.after(position)
            positions += entry.positions[first : None if limit is None else first + limit]
        positions.sort()
        return [self._events[each] for each in positions[:limit]]

    def count(self, channels: Sequence[str], position: int) -> int:
        """Return the number of events of these channels after `position`."""
        return sum(len(entry.positions) - entry.after(position) for entry in self._entries(channels))

    def last_position(self, channel: str) -> int:
        """Return the last position of a channel, or 0 if the backlog holds no event of it."""
        entry = self._channels.get(channel)
        return 0 if entry is None else entry.positions[-1]

    def forget(self, positions: Iterable[int]) -> None:
        """Delete events; unknown positions are ignored. The floor does not move, because no event is missing."""
        for position in positions:
            event = self._events.pop(position, None)
            if event is not None:
                self._bytes -= _size_bytes(event)
                if self._channels[event.channel].drop(position):
                    del self._channels[event.channel]

    def _entries(self, channels: Sequence[str]) -> list[_ChannelPositions]:
        return [entry for channel in channels if (entry := self._channels.get(channel)) is not None]

    def _evict(self) -> None:
        self.floor = self._order.popleft()
        event = self._events.pop(self.floor, None)
        if event is not None:
            self._bytes -= _size_bytes(event)
            if self._channels[event.channel].drop_first():
                del self._channels[event.channel]


def _size_bytes(event: Event) -> int:
    return len(event.frame) + len(event.data) + _OVERHEAD_BYTES
