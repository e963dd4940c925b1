"""What others implement for this ring: where bytes go (Sink) and where the past is kept (History)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from realtime.event import Event


class Sink(Protocol):
    """The way to one client. All methods are called on the loop; none blocks, awaits or raises."""

    @property
    def is_drained(self) -> bool:
        """Whether `pressure` is 0: asked for each event and stream, so it is better kept than found out."""

    def write(self, chunk: bytes) -> None:
        """Hand over bytes; ignored once the transport is gone or the sink was ended.

        Must not call back into the manager before it returns.
        """

    def buffered_bytes(self) -> int:
        """How many bytes were handed over but not yet taken by the transport."""

    def end(self, last: bytes = b"") -> None:
        """Close after what was written, and `last`."""

    def abort(self) -> None:
        """Close now, without what was written."""

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, from the loop, when `pressure` has come back to 0; the last one asked for counts.

        Never calls it before `on_drain` or `write` has returned. Calling it more often does no harm.
        """


@dataclass(frozen=True, slots=True)
class EventPage:
    """The next events for a reader, in order of position.

    `upto` is where the reader now stands: the last event's position when the page is full, else the log's head as of
    this read (never less than where it stood).
    """

    events: list[Event]
    next_position: int


@dataclass(frozen=True, slots=True)
class MissedCounts:
    """How much lies behind a position, counted up to one past the limits.

    `trimmed`: some of it is no longer kept (what was taken back on purpose does not count); `head`: the log's last
    position.
    """

    own: int
    shared: int
    trimmed: bool
    head: int


class History(Protocol):
    """The log of durable events, read without holding anything between two calls."""

    async def read_after(self, channels: Sequence[str], position: int, limit: int) -> EventPage:
        """The next events of `channels` past `position`, at most `limit`."""
        ...

    async def count_missed(
        self, channels: Sequence[str], own_channel: str, position: int, *, own_limit: int, shared_limit: int
    ) -> MissedCounts:
        """Count what lies past `position`, in `own_channel` and in the other `channels` together."""
        ...
