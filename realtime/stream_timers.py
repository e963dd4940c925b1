"""The wheel: heartbeats and rotation of all streams by one clock hand, with no timer per stream."""

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

# So that streams that were opened together spread out.
_HEARTBEAT_JITTER: Final = 0.1
_ROTATE_JITTER: Final = 0.2


class TimerWheel:
    """Each stream is in the slot of its next heartbeat, or of its rotation if that comes first."""

    def __init__(
        self,
        flow: FanOut,
        options: RealtimeOptions,
        random: Random,
        wall: Callable[[], int],
        rotate: Callable[[Stream], None],
    ) -> None:
        """`wall` gives milliseconds since the epoch; `rotate` is told of a stream that has been open long enough."""
        self._flow = flow
        self._options = options
        self._random = random
        self._wall = wall
        self._rotate = rotate
        self._tick = options.tick_seconds
        self._slots: dict[int, dict[Stream, None]] = {}

    def add(self, session: Stream, now: float) -> None:
        """Take in a stream that opens at `now` (monotonic seconds)."""
        if self._options.rotate_seconds > 0:
            session.rotate_at = now + self._options.rotate_seconds * self._jittered(_ROTATE_JITTER)
        self._place(session, now)

    def remove(self, session: Stream) -> None:
        """Let a stream go; no harm if it is not there."""
        if session.wheel_slot is not None:
            session.wheel_slot.pop(session, None)
            session.wheel_slot = None

    def advance(self, now: float) -> None:
        """Serve every slot that is due."""
        due = [slot for slot in self._slots if slot * self._tick <= now]
        if due:
            stamp = rfc3339(self._wall())
            frames: dict[int, bytes] = {}
            for slot in sorted(due):
                # A copy: whoever is sent round leaves it meanwhile.
                for session in tuple(self._slots.pop(slot)):
                    self._serve(session, now, stamp, frames)

    def _serve(self, session: Stream, now: float, stamp: str, frames: dict[int, bytes]) -> None:
        if session.rotate_at is not None and session.rotate_at <= now:
            self._rotate(session)
            return
        # One who is being fed, or does not read, gets no heartbeat on top.
        if session.state == "live" and session.sink.is_drained:
            position = self._flow.delivered_position(session)
            frame = frames.get(position)
            if frame is None:
                here = str(Cursor(self._options.epoch, position))
                frame = frames[position] = heartbeat_frame({"serverTime": stamp}, here)
            session.write(frame)
        self._place(session, now)

    def _place(self, session: Stream, now: float) -> None:
        due = now + self._options.heartbeat_seconds * self._jittered(_HEARTBEAT_JITTER)
        if session.rotate_at is not None:
            due = min(due, session.rotate_at)
        # Up: never early, so that a rotation that is due is seen as due.
        session.wheel_slot = self._slots.setdefault(ceil(due / self._tick), {})
        session.wheel_slot[session] = None

    def _jittered(self, jitter: float) -> float:
        return 1 - jitter + 2 * jitter * self._random.random()


def rfc3339(milliseconds: int) -> str:
    """Milliseconds since the epoch → `1970-01-01T00:00:00.000Z` (RFC 3339)."""
    seconds, rest = divmod(milliseconds, 1_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"
