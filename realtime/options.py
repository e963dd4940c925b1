"""The knobs of the realtime ring, with the defaults that the contract names."""

from dataclasses import dataclass
from typing import Final

from realtime.rate_limiter import RateLimit

_CONNECTS: Final = RateLimit(60, 60.0)
_SENDS: Final = RateLimit(100, 60.0)
# Below this a wheel slot is more timer than work.
_SHORTEST_TICK: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class RealtimeOptions:
    """Times in seconds; a limit of 0 (a rate limit of None) is off."""

    epoch: str
    # What a stream that comes back may have missed, of its user's channel and of the shared ones together.
    max_replay: int = 100
    max_shared_replay: int = 1_000
    # What may wait for one stream whose transport has not taken everything yet.
    queue_events: int = 100
    queue_bytes: int = 256 * 1024
    # So many writes at some 10 µs, then others have the loop: an answer to them takes two or three of its turns.
    writes_per_slice: int = 256
    # One page: what a reader that catches up is given before its sink is looked at again.
    page_events: int = 100
    max_streams: int = 50_000
    max_streams_per_user: int = 10
    max_streams_per_address: int = 100
    connect_limit: RateLimit | None = _CONNECTS
    send_limit: RateLimit | None = _SENDS
    # How many users each limiter remembers: 20 MB at the very most.
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
        """How often the wheel turns: at most once a second is late, and fine enough for short settings."""
        shortest = [self.heartbeat_seconds / 30, 0.5]
        shortest += [wish / 10 for wish in (self.rotate_seconds, self.stall_seconds) if wish > 0]
        return max(min(shortest), _SHORTEST_TICK)


def exceeds(count: int, limit: int) -> bool:
    """Whether `count` is over the limit; 0 is no limit."""
    return 0 < limit < count
