"""The verdict on a cursor: start afresh, resume after it, or fetch everything (reset)."""

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
    """How a stream begins: `resume` has the position to go on from, `reset` the reason why not."""

    kind: Literal["fresh", "resume", "reset"]
    position: int | None = None
    reason: ResetReason | None = None

    @classmethod
    def fresh(cls) -> Self:
        """Nothing was missed: nothing was ever read."""
        return cls("fresh")

    @classmethod
    def resume(cls, position: int) -> Self:
        """Everything past `position` can be given."""
        return cls("resume", position=position)

    @classmethod
    def reset(cls, reason: ResetReason) -> Self:
        """What was missed cannot be given, or not all of it."""
        return cls("reset", reason=reason)

    @property
    def recovered(self) -> bool:
        """Whether the stream gets exactly what it has missed."""
        return self.kind == "resume"


class ResumePolicy:
    """Compares cursors with the ring, or else with the log."""

    def __init__(self, options: RealtimeOptions, backlog: Backlog, history: History) -> None:
        self._options = options
        self._backlog = backlog
        self._history = history

    def from_memory(
        self, cursor: Cursor | None, malformed: bool, channels: Sequence[str], own_channel: str, head: int
    ) -> ResumeDecision | None:
        """The verdict as far as memory knows; None: ask the log. `head` is the last position published."""
        if malformed:
            return ResumeDecision.reset("malformed")
        if cursor is None:
            return ResumeDecision.fresh()
        if cursor.epoch != self._options.epoch:
            return ResumeDecision.reset("epoch_changed")
        # Past the head: committed and not yet published, or never.
        if cursor.position > head or not self._backlog.covers(cursor.position):
            return None
        own = [channel for channel in channels if channel == own_channel]
        return self._within_limits(
            cursor.position,
            self._backlog.count(own, cursor.position),
            self._backlog.count(_shared(channels, own_channel), cursor.position),
        )

    async def from_log(self, cursor: Cursor, channels: Sequence[str], own_channel: str) -> ResumeDecision:
        """The verdict as the log has it, for a cursor of this epoch."""
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
