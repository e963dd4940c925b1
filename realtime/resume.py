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
class Verdict:
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


class Judge:
    """Compares cursors with the ring, or else with the log."""

    def __init__(self, options: RealtimeOptions, backlog: Backlog, history: History) -> None:
        self._options = options
        self._backlog = backlog
        self._history = history

    def now(
        self, cursor: Cursor | None, malformed: bool, channels: Sequence[str], own_channel: str, head: int
    ) -> Verdict | None:
        """The verdict as far as memory knows; None: ask the log. `head` is the last position published."""
        if malformed:
            return Verdict.reset("malformed")
        if cursor is None:
            return Verdict.fresh()
        if cursor.epoch != self._options.epoch:
            return Verdict.reset("epoch_changed")
        # Past the head: committed and not yet published, or never.
        if cursor.position > head or not self._backlog.covers(cursor.position):
            return None
        own = [channel for channel in channels if channel == own_channel]
        return self._weigh(
            cursor.position,
            self._backlog.count(own, cursor.position),
            self._backlog.count(_shared(channels, own_channel), cursor.position),
        )

    async def log(self, cursor: Cursor, channels: Sequence[str], own_channel: str) -> Verdict:
        """The verdict as the log has it, for a cursor of this epoch."""
        missed = await self._history.missed(
            channels,
            own_channel,
            cursor.position,
            own_limit=self._options.backlog,
            shared_limit=self._options.shared_backlog,
        )
        if cursor.position > missed.head:
            return Verdict.reset("ahead")
        if missed.trimmed:
            return Verdict.reset("trimmed")
        return self._weigh(cursor.position, missed.own, missed.shared)

    def _weigh(self, position: int, own: int, shared: int) -> Verdict:
        if exceeds(own, self._options.backlog) or exceeds(shared, self._options.shared_backlog):
            return Verdict.reset("trimmed")
        return Verdict.resume(position)


def _shared(channels: Sequence[str], own_channel: str) -> list[str]:
    return [channel for channel in channels if channel != own_channel]
