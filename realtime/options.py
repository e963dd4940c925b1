"""Limits and intervals of the realtime layer."""

from dataclasses import dataclass
from typing import Final

from realtime.rate_limiter import RateLimit

_CONNECT_LIMIT: Final = RateLimit(60, 60.0)
_SEND_LIMIT: Final = RateLimit(100, 60.0)
# With shorter ticks, the timer would cost more than the work of a slot.
_MIN_TICK_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class RealtimeOptions:
    """All times are in seconds. A limit of 0 (for a rate limit: None) disables the limit."""

    epoch: str
    # How many missed events a reconnecting stream may replay: of the user channel, and of all shared channels together.
    max_replay: int = 100
    max_shared_replay: int = 1_000
    # How much one stream may buffer while its transport has not accepted everything.
    queue_events: int = 100
    queue_bytes: int = 256 * 1024
    # Writes per loop iteration, at about 10 µs each. A request takes two or three iterations, so slices stay short.
    writes_per_slice: int = 256
    # Events per page. A stream that catches up gets one page before its sink is checked again.
    page_events: int = 100
    max_streams: int = 50_000
    max_streams_per_user: int = 10
    max_streams_per_address: int = 100
    connect_limit: RateLimit | None = _CONNECT_LIMIT
    send_limit: RateLimit | None = _SEND_LIMIT
    # How many users each rate limiter remembers: at most 20 MB.
    limiter_keys: int = 100_000
    idle_seconds: float = 300.0
    heartbeat_seconds: float = 15.0
    rotate_seconds: float = 900.0
    stall_seconds: float = 10.0
    backlog_events: int = 20_000
    backlog_bytes: int = 32 * 1024 * 1024

    def __post_init__(self) -> None:
        if self.heartbeat_seconds <= 0:
            raise ValueError("heartbeat_seconds must be positive")

    @property
    def tick_seconds(self) -> float:
        """The interval of housekeeping: at most 0.5 seconds, shorter when heartbeats or timeouts are short."""
        intervals = [self.heartbeat_seconds / 30, 0.5]
        intervals += [seconds / 10 for seconds in (self.rotate_seconds, self.stall_seconds) if seconds > 0]
        return max(min(intervals), _MIN_TICK_SECONDS)


def exceeds(count: int, limit: int) -> bool:
    """Return whether `count` is over the limit. A limit of 0 disables the check."""
    return 0 < limit < count
