"""Stalls: finds the streams whose client takes nothing any more, those that were told to end included."""

from collections.abc import Iterable

from realtime.ports import Sink
from realtime.stream import Stream


class StallDetector:
    """Looked at now and then, not at every write: a stalled stream is found within 1.2 × the time it may stall."""

    def __init__(self, stall_seconds: float) -> None:
        """0 seconds: nobody ever stalls."""
        self._seconds = stall_seconds
        self._next_look = 0.0
        # Sinks that were ended with bytes still unsent, and when that is enough.
        self._leaving: list[tuple[float, Sink]] = []

    def watch_closing(self, sink: Sink, now: float) -> None:
        """Watch a sink that was ended: it may take as long to finish as a stream may stall."""
        if self._seconds > 0 and not sink.is_drained:
            self._leaving.append((now + self._seconds, sink))

    def find_stalled(self, sessions: Iterable[Stream], now: float) -> list[Stream]:
        """The sessions to be dropped at `now` (monotonic seconds); ended sinks that are late are aborted here."""
        if self._seconds <= 0 or now < self._next_look:
            return []
        self._next_look = now + self._seconds / 5
        self._abort_overdue(now)
        return [session for session in sessions if not session.sink.is_drained and self._is_stalled(session, now)]

    def _is_stalled(self, session: Stream, now: float) -> bool:
        unsent = session.sink.buffered_bytes()
        # What it has taken, give or take the transport's framing, and what was on its way before the stream: less than
        # nothing, until that is taken. Less than before is no progress.
        taken = session.bytes_written - unsent
        if session.progress is None or taken > session.progress[0]:
            session.progress = (taken, now)
            return False
        return now - session.progress[1] >= self._seconds

    def _abort_overdue(self, now: float) -> None:
        still = [(deadline, sink) for deadline, sink in self._leaving if not sink.is_drained]
        for deadline, sink in still:
            if deadline <= now:
                sink.abort()
        self._leaving = [(deadline, sink) for deadline, sink in still if deadline > now]
