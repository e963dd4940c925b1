"""TimerWheel: heartbeats and rotation of all streams without one timer per stream."""

from collections.abc import Callable
from datetime import UTC, datetime
from math import ceil
from random import Random
from typing import Final

from realtime.cursor import Cursor
from realtime.event import heartbeat_frame
from realtime.fan_out import FanOut
from realtime.options import RealtimeOptions
from realtime.stream import Stream

# Jitter spreads streams that were opened together.
_HEARTBEAT_JITTER: Final = 0.1
_ROTATE_JITTER: Final = 0.2


class TimerWheel:
    """Holds each stream in the slot of its next heartbeat, or of its rotation if that comes first."""

    def __init__(
        self,
        fan_out: FanOut,
        options: RealtimeOptions,
        random: Random,
        wall_clock: Callable[[], int],
        rotate: Callable[[Stream], None],
    ) -> None:
        """`wall_clock` returns milliseconds since 1970; `rotate` is called for a stream whose rotation is due."""
        self._fan_out = fan_out
        self._options = options
        self._random = random
        self._wall_clock = wall_clock
        self._rotate = rotate
        self._tick_seconds = options.tick_seconds
        self._slots: dict[int, dict[Stream, None]] = {}

    def add(self, stream: Stream, now: float) -> None:
        """Add a stream that opens at `now` (monotonic seconds)."""
        if self._options.rotate_seconds > 0:
            stream.rotate_at = now + self._options.rotate_seconds * self._jittered(_ROTATE_JITTER)
        self._schedule(stream, now)

    def remove(self, stream: Stream) -> None:
        """Remove a stream; does nothing if the wheel does not hold it."""
        if stream.wheel_slot is not None:
            stream.wheel_slot.pop(stream, None)
            stream.wheel_slot = None

    def advance(self, now: float) -> None:
        """Process every slot that is due at `now` (monotonic seconds)."""
        due = [slot for slot in self._slots if slot * self._tick_seconds <= now]
        if due:
            server_time = rfc3339(self._wall_clock())
            frames: dict[int, bytes] = {}
            for slot in sorted(due):
                # A copy, because a rotated stream is removed from its slot meanwhile.
                for stream in tuple(self._slots.pop(slot)):
                    self._process(stream, now, server_time, frames)

    def _process(self, stream: Stream, now: float, server_time: str, frames: dict[int, bytes]) -> None:
        if stream.rotate_at is not None and stream.rotate_at <= now:
            self._rotate(stream)
            return
        # Skip streams that are catching up or whose client is not reading.
        if stream.state == "live" and stream.sink.is_drained:
            position = self._fan_out.delivered_position(stream)
            frame = frames.get(position)
            if frame is None:
                cursor = str(Cursor(self._options.epoch, position))
                frame = frames[position] = heartbeat_frame({"serverTime": server_time}, cursor)
            stream.write(frame)
        self._schedule(stream, now)

    def _schedule(self, stream: Stream, now: float) -> None:
        due = now + self._options.heartbeat_seconds * self._jittered(_HEARTBEAT_JITTER)
        if stream.rotate_at is not None:
            due = min(due, stream.rotate_at)
        # Rounded up: a slot processed too early would miss the rotation of its streams.
        stream.wheel_slot = self._slots.setdefault(ceil(due / self._tick_seconds), {})
        stream.wheel_slot[stream] = None

    def _jittered(self, jitter: float) -> float:
        """Return a random factor between 1 - `jitter` and 1 + `jitter`."""
        return 1 - jitter + 2 * jitter * self._random.random()


def rfc3339(milliseconds: int) -> str:
    """Return milliseconds since 1970 as RFC 3339 text: `1970-01-01T00:00:00.000Z`."""
    seconds, rest = divmod(milliseconds, 1_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"
