"""The backlog ring: the newest events of all channels in memory, so that those who come back ask no database."""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from realtime.event import Event

# An Event's own objects, beside its bytes; so that many tiny events are not free.
_OVERHEAD_BYTES: Final = 300
# The gap at the front of a channel's list is closed once it is this long and half of it: cheap, seen over time.
_COMPACT_AFTER: Final = 256


class _ChannelPositions:
    """The positions of one channel in order; those before `start` have left."""

    __slots__ = ("positions", "start")

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.start = 0

    def after(self, position: int) -> int:
        return bisect_right(self.positions, position, lo=self.start)

    def drop_first(self) -> bool:
        """Let the oldest go; True when nothing is left."""
        self.start += 1
        if self.start >= _COMPACT_AFTER and self.start * 2 >= len(self.positions):
            del self.positions[: self.start]
            self.start = 0
        return self.start >= len(self.positions)

    def drop(self, position: int) -> bool:
        """Let this one go; True when nothing is left."""
        del self.positions[bisect_left(self.positions, position, lo=self.start)]
        return self.start >= len(self.positions)


class Backlog:
    """Every event past `floor`, of any channel; bounded by their number and their bytes."""

    __slots__ = ("_bytes", "_events", "_max_bytes", "_max_events", "_order", "_strips", "floor")

    def __init__(self, max_events: int = 20_000, max_bytes: int = 32 * 1024 * 1024) -> None:
        self.floor = 0
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._bytes = 0
        self._events: dict[int, Event] = {}
        # Positions as they came; those taken back stay here until it is their turn to leave.
        self._order: deque[int] = deque()
        self._strips: dict[str, _ChannelPositions] = {}

    def __len__(self) -> int:
        return len(self._events)

    def covers(self, position: int) -> bool:
        """Whether a reader at `position` finds here everything it has missed."""
        return position >= self.floor

    def seed(self, events: Iterable[Event], floor: int) -> None:
        """Start from the newest events of the log, in order; `floor` is the position before which some are missing."""
        self.floor = floor
        for event in events:
            self.append(event)

    def append(self, event: Event) -> None:
        """Add a durable event, later than all before it; the oldest leave to make room.

        Raises ValueError for an ephemeral one, or one that is not later.
        """
        position = event.position
        if position is None or position <= (self._order[-1] if self._order else self.floor):
            raise ValueError("the backlog takes durable events in order of position")
        self._events[position] = event
        self._order.append(position)
        self._strips.setdefault(event.channel, _ChannelPositions()).positions.append(position)
        self._bytes += _size(event)
        while len(self._order) > self._max_events or self._bytes > self._max_bytes:
            self._evict()

    def after(self, channels: Sequence[str], position: int, limit: int | None = None) -> list[Event]:
        """The events of these channels past `position`, in order, at most `limit`."""
        found: list[int] = []
        for strip in self._of(channels):
            first = strip.after(position)
            found += strip.positions[first : None if limit is None else first + limit]
        found.sort()
        return [self._events[at] for at in found[:limit]]

    def count(self, channels: Sequence[str], position: int) -> int:
        """How many events of these channels lie past `position`."""
        return sum(len(strip.positions) - strip.after(position) for strip in self._of(channels))

    def last_position(self, channel: str) -> int:
        """The last position of a channel, 0 if nothing of it is here."""
        strip = self._strips.get(channel)
        return 0 if strip is None else strip.positions[-1]

    def forget(self, positions: Iterable[int]) -> None:
        """Take events back; positions that are not here are ignored. The floor stays: nothing was lost."""
        for position in positions:
            event = self._events.pop(position, None)
            if event is not None:
                self._bytes -= _size(event)
                if self._strips[event.channel].drop(position):
                    del self._strips[event.channel]

    def _of(self, channels: Sequence[str]) -> list[_ChannelPositions]:
        return [strip for channel in channels if (strip := self._strips.get(channel)) is not None]

    def _evict(self) -> None:
        self.floor = self._order.popleft()
        event = self._events.pop(self.floor, None)
        if event is not None:
            self._bytes -= _size(event)
            if self._strips[event.channel].drop_first():
                del self._strips[event.channel]


def _size(event: Event) -> int:
    return len(event.frame) + len(event.data) + _OVERHEAD_BYTES
