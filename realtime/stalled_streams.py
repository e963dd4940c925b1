"""StallDetector: finds streams whose client no longer reads."""

from collections.abc import Iterable

from realtime.ports import Sink
from realtime.stream import Stream


class StallDetector:
    """Finds streams whose client no longer reads, including streams that are closing.

    Checks run at intervals, not at each write: a stall is found within 1.2 times the stall time.
    """

    def __init__(self, stall_seconds: float) -> None:
        """`stall_seconds` is how long a client may read nothing; 0 disables the detection."""
        self._stall_seconds = stall_seconds
        self._next_check_at = 0.0
        # Sinks that were ended with buffered bytes, each with its deadline in monotonic seconds.
        self._closing: list[tuple[float, Sink]] = []

    def watch_closing(self, sink: Sink, now: float) -> None:
        """Watch a sink that was ended: it must drain within the stall time."""
        if self._stall_seconds > 0 and not sink.is_drained:
            self._closing.append((now + self._stall_seconds, sink))

    def find_stalled(self, streams: Iterable[Stream], now: float) -> list[Stream]:
        """Return the stalled streams at `now` (monotonic seconds), and abort closing sinks past their deadline."""
        if self._stall_seconds <= 0 or now < self._next_check_at:
            return []
        self._next_check_at = now + self._stall_seconds / 5
        self._abort_overdue(now)
        return [stream for stream in streams if not stream.sink.is_drained and self._is_stalled(stream, now)]

    def _is_stalled(self, stream: Stream, now: float) -> bool:
        buffered = stream.sink.buffered_bytes()
        # The bytes that the client has read. The transport's framing and bytes written before the stream make the
        # number too small, even negative. Only an increase is progress.
        read = stream.bytes_written - buffered
        if stream.progress is None or read > stream.progress[0]:
            stream.progress = (read, now)
            return False
        return now - stream.progress[1] >= self._stall_seconds

    def _abort_overdue(self, now: float) -> None:
        undrained = [(deadline, sink) for deadline, sink in self._closing if not sink.is_drained]
        for deadline, sink in undrained:
            if deadline <= now:
                sink.abort()
        self._closing = [(deadline, sink) for deadline, sink in undrained if deadline > now]
