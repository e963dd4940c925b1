"""RateLimiter: GCRA with one timestamp per key and an injected clock."""

import heapq
import re
from dataclasses import dataclass
from typing import Final, Self

_UNIT_SECONDS: Final = {"second": 1.0, "minute": 60.0, "hour": 3_600.0, "day": 86_400.0}
_PATTERN = re.compile(r"([0-9]{1,9})/(second|minute|hour|day)", re.ASCII)
_NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `count` hits per `per_seconds`; the burst is the whole count.

    Raises ValueError when one of them is not positive.
    """

    count: int
    per_seconds: float

    def __post_init__(self) -> None:
        if self.count < 1 or not self.per_seconds > 0:
            raise ValueError("a limit needs a positive count and a positive time")

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse `"100/minute"` (second, minute, hour or day). `"0"` returns None, which means no limit.

        Raises ValueError for any other text.
        """
        if text == "0":
            return None
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise ValueError(f"not a rate limit like 100/minute: {text!r}")
        count = int(match[1])
        return cls(count, _UNIT_SECONDS[match[2]]) if count else None


@dataclass(frozen=True, slots=True)
class RateLimitResult:
    """The result of a hit. `remaining` more hits are allowed now.

    `retry_after` is the time until the next hit is allowed, `reset_after` the time until the bucket is full again,
    both in seconds.
    """

    allowed: bool
    remaining: int
    retry_after: float
    reset_after: float


# The result for every key when there is no limit.
UNLIMITED: Final = RateLimitResult(True, 2**31 - 1, 0.0, 0.0)


class RateLimiter:
    """Generic cell rate algorithm (ITU-T I.371), with a burst of the whole count.

    Each key stores one number: the time at which its bucket is full again. The number is an integer (nanoseconds times
    count), so rounding never allows or loses a hit.

    `max_keys` bounds the memory. A new key beyond it replaces the key whose bucket is full first, so the smallest
    consumption is lost. An attacker who wants to clear a used bucket by inventing keys would have to spend more than
    that bucket on every one of the `max_keys` keys.
    """

    __slots__ = ("_full_at", "_heap", "_interval", "_limit", "_max_keys", "_window")

    def __init__(self, limit: RateLimit | None, max_keys: int) -> None:
        """Without a limit, every hit is allowed and nothing is stored. Raises ValueError when `max_keys` is below 1."""
        if max_keys < 1:
            raise ValueError("max_keys must be at least 1")
        self._limit = limit
        self._max_keys = max_keys
        self._interval = round(limit.per_seconds * _NANOSECONDS) if limit else 0
        self._window = self._interval * limit.count if limit else 0
        self._full_at: dict[str, int] = {}
        # One entry per key. Its time may be earlier than the key's number, so that hits do not update the heap.
        self._heap: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._full_at)

    def hit(self, key: str, now: float) -> RateLimitResult:
        """Count one hit if the limit allows it, and return the result. `now` is in seconds of a monotonic clock."""
        if self._limit is None:
            return UNLIMITED
        instant = self._instant(now)
        self._drop_full(instant)
        result = self._result(key, instant, hits=1)
        if result.allowed:
            self._store(key, max(self._full_at.get(key, instant), instant) + self._interval)
        return result

    def peek(self, key: str, now: float) -> RateLimitResult:
        """Return whether a hit would be allowed now, and how many; counts nothing."""
        if self._limit is None:
            return UNLIMITED
        return self._result(key, self._instant(now), hits=0)

    def sweep(self, now: float) -> None:
        """Remove the keys whose buckets are full again: they equal new keys."""
        if self._limit is None:
            return
        instant = self._instant(now)
        while self._heap and self._heap[0][0] <= instant:
            self._update_top(full_by=instant)

    def _result(self, key: str, instant: int, hits: int) -> RateLimitResult:
        assert self._limit is not None
        full_at = max(self._full_at.get(key, instant), instant)
        available = (self._window - (full_at - instant)) // self._interval
        unit = _NANOSECONDS * self._limit.count
        if available < 1:
            wait = full_at + self._interval - self._window - instant
            return RateLimitResult(False, 0, wait / unit, (full_at - instant) / unit)
        return RateLimitResult(True, available - hits, 0.0, (full_at + hits * self._interval - instant) / unit)

    def _store(self, key: str, full_at: int) -> None:
        if key not in self._full_at:
            while len(self._full_at) >= self._max_keys:
                self._update_top(full_by=None)
            heapq.heappush(self._heap, (full_at, key))
        self._full_at[key] = full_at

    def _drop_full(self, instant: int) -> None:
        """Remove at most two full buckets. A hit adds at most one, so memory shrinks even without `sweep`."""
        for _ in range(2):
            if self._heap and self._heap[0][0] <= instant:
                self._update_top(full_by=instant)

    def _update_top(self, full_by: int | None) -> None:
        """Update the top of the heap, or remove its key if the bucket is full at `full_by` (None: in any case)."""
        stored, key = self._heap[0]
        full_at = self._full_at[key]
        if full_at > stored and (full_by is None or full_at > full_by):
            heapq.heapreplace(self._heap, (full_at, key))
        else:
            heapq.heappop(self._heap)
            del self._full_at[key]

    def _instant(self, now: float) -> int:
        assert self._limit is not None
        return round(now * _NANOSECONDS) * self._limit.count
