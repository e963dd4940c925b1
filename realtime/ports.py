"""Protocols that other layers implement: Sink and History."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from realtime.event import Event


class Sink(Protocol):
    """The output of one stream. All methods are called on the loop; none blocks, awaits or raises."""

    @property
    def is_drained(self) -> bool:
        """Whether `buffered_bytes` is 0. Read for each event and stream, so implementations should store it."""

    def write(self, chunk: bytes) -> None:
        """Write bytes; ignored when the transport is closed or the sink was ended.

        Must not call the manager before it returns.
        """

    def buffered_bytes(self) -> int:
        """Return the number of bytes that were written but not yet accepted by the transport."""

    def end(self, last: bytes = b"") -> None:
        """Write `last`, then close after all written bytes."""

    def abort(self) -> None:
        """Close immediately and discard buffered bytes."""

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Call `callback` once from the loop when `buffered_bytes` is 0. A new callback replaces the previous one.

        Never calls it before `on_drain` or `write` has returned. Extra calls of the callback are harmless.
        """


@dataclass(frozen=True, slots=True)
class EventPage:
    """The next events for a reader, in order of position.

    `next_position` is the reader's position after this page: the position of the last event when the page is full,
    otherwise the head of the log at the time of the read. It is never less than the position before.
    """

    events: list[Event]
    next_position: int


@dataclass(frozen=True, slots=True)
class MissedCounts:
    """The number of events after a position; each count stops at one more than its limit.

    `trimmed`: some of the events were deleted by retention (retracted events do not count). `head`: the last position
    of the log.
    """

    own: int
    shared: int
    trimmed: bool
    head: int


class History(Protocol):
    """The log of durable events. Implementations hold no snapshot between two calls."""

    async def read_after(self, channels: Sequence[str], position: int, limit: int) -> EventPage:
        """Return at most `limit` events of `channels` after `position`."""
        ...

    async def count_missed(
        self, channels: Sequence[str], own_channel: str, position: int, *, own_limit: int, shared_limit: int
    ) -> MissedCounts:
        """Count the events after `position`: in `own_channel`, and in the other `channels` together."""
        ...
