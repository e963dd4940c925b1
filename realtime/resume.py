"""ResumePolicy: decides whether a reconnecting stream starts fresh, resumes or is reset."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

from realtime.backlog import Backlog
from realtime.cursor import Cursor
from realtime.event import ResetReason
from realtime.options import RealtimeOptions, exceeds
from realtime.ports import History


@dataclass(frozen=True, slots=True)
class ResumeDecision:
    """How a stream starts: `resume` has the position to continue from, `reset` has the reason."""

    kind: Literal["fresh", "resume", "reset"]
    position: int | None = None
    reason: ResetReason | None = None

    @classmethod
    def fresh(cls) -> Self:
        """Return the decision for a client without a cursor: it has missed nothing."""
        return cls("fresh")

    @classmethod
    def resume(cls, position: int) -> Self:
        """Return the decision to replay every event after `position`."""
        return cls("resume", position=position)

    @classmethod
    def reset(cls, reason: ResetReason) -> Self:
        """Return the decision that the missed events cannot be replayed completely."""
        return cls("reset", reason=reason)

    @property
    def recovered(self) -> bool:
        """Whether the stream receives exactly the events it missed."""
        return self.kind == "resume"


class ResumePolicy:
    """Compares cursors with the backlog, or with the log if the backlog does not cover them."""

    def __init__(self, options: RealtimeOptions, backlog: Backlog, history: History) -> None:
        self._options = options
        self._backlog = backlog
        self._history = history

    def from_memory(
        self, cursor: Cursor | None, malformed: bool, channels: Sequence[str], own_channel: str, head: int
    ) -> ResumeDecision | None:
        """Return the decision, or None if only the log can decide. `head` is the last published position."""
        if malformed:
            return ResumeDecision.reset("malformed")
        if cursor is None:
            return ResumeDecision.fresh()
        if cursor.epoch != self._options.epoch:
            return ResumeDecision.reset("epoch_changed")
        # A position after the head was either committed but not published yet, or it never existed.
        if cursor.position > head or not self._backlog.covers(cursor.position):
            return None
        own = [channel for channel in channels if channel == own_channel]
        return self._within_limits(
            cursor.position,
            self._backlog.count(own, cursor.position),
            self._backlog.count(_shared(channels, own_channel), cursor.position),
        )

    async def from_log(self, cursor: Cursor, channels: Sequence[str], own_channel: str) -> ResumeDecision:
        """Return the decision from the log, for a cursor of this epoch."""
        missed = await self._history.count_missed(
            channels,
            own_channel,
            cursor.position,
            own_limit=self._options.max_replay,
            shared_limit=self._options.max_shared_replay,
        )
        if cursor.position > missed.head:
            return ResumeDecision.reset("ahead")
        if missed.trimmed:
            return ResumeDecision.reset("trimmed")
        return self._within_limits(cursor.position, missed.own, missed.shared)

    def _within_limits(self, position: int, own: int, shared: int) -> ResumeDecision:
        if exceeds(own, self._options.max_replay) or exceeds(shared, self._options.max_shared_replay):
            return ResumeDecision.reset("trimmed")
        return ResumeDecision.resume(position)


def _shared(channels: Sequence[str], own_channel: str) -> list[str]:
    return [channel for channel in channels if channel != own_channel]
