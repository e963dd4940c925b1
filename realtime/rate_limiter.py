"""A rate limiter that is pure: GCRA, one number per key, the clock is passed in."""

import heapq
import re
from dataclasses import dataclass
from typing import Final, Self

_SECONDS: Final = {"second": 1.0, "minute": 60.0, "hour": 3_600.0, "day": 86_400.0}
_FORM = re.compile(r"([0-9]{1,9})/(second|minute|hour|day)", re.ASCII)
_NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many hits in so many seconds, and as many at once."""

    count: int
    per_seconds: float

    def __post_init__(self) -> None:
        if self.count < 1 or not self.per_seconds > 0:
            raise ValueError("a limit needs a positive count and a positive time")

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """`"100/minute"` (second, minute, hour or day); `"0"` is None, no limit at all.

        Raises ValueError on anything else.
        """
        if text == "0":
            return None
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(f"not a rate limit like 100/minute: {text!r}")
        count = int(match[1])
        return cls(count, _SECONDS[match[2]]) if count else None


@dataclass(frozen=True, slots=True)
class RateLimitResult:
    """May it go on? `remaining` more would pass now; in seconds: until the next passes, until the bucket is full."""

    allowed: bool
    remaining: int
    retry_after: float
    reset_after: float


# What everybody gets when there is no limit.
UNLIMITED: Final = RateLimitResult(True, 2**31 - 1, 0.0, 0.0)


class RateLimiter:
    """Generic cell rate algorithm (ITU-T I.371), with a burst of the whole count.

    A key's one number is the time at which its bucket is full again, kept in integers (nanoseconds × count), so that
    no rounding ever lets a hit through or loses one.

    Memory is bounded by `max_keys`. A new key beyond it takes the place of the bucket that is, or will be, full first:
    what is forgotten is always the least. To wipe out the spent bucket of somebody (or one's own) by making up keys,
    one would have to spend more than was spent from it, on every one of `max_keys` keys.
    """

    __slots__ = ("_full_at", "_heap", "_limit", "_max_keys", "_step", "_window")

    def __init__(self, limit: RateLimit | None, max_keys: int) -> None:
        """No limit lets everything pass and remembers nothing. Raises ValueError when `max_keys` is below 1."""
        if max_keys < 1:
            raise ValueError("max_keys must be at least 1")
        self._limit = limit
        self._max_keys = max_keys
        self._step = round(limit.per_seconds * _NANOSECONDS) if limit else 0
        self._window = self._step * limit.count if limit else 0
        self._full_at: dict[str, int] = {}
        # One entry per key, no later than its number: enough to find the smallest without touching the heap on hits.
        self._heap: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._full_at)

    def hit(self, key: str, now: float) -> RateLimitResult:
        """Take one from the key's bucket if there is one; `now` in seconds of any clock that does not go back."""
        if self._limit is None:
            return UNLIMITED
        instant = self._instant(now)
        self._forget_some(instant)
        verdict = self._judge(key, instant, taken=1)
        if verdict.allowed:
            self._remember(key, max(self._full_at.get(key, instant), instant) + self._step)
        return verdict

    def peek(self, key: str, now: float) -> RateLimitResult:
        """Whether a hit would pass now, and how many; takes nothing."""
        if self._limit is None:
            return UNLIMITED
        return self._judge(key, self._instant(now), taken=0)

    def sweep(self, now: float) -> None:
        """Forget the keys whose buckets are full again: they are like new ones."""
        if self._limit is None:
            return
        instant = self._instant(now)
        while self._heap and self._heap[0][0] <= instant:
            self._settle_top(drop_until=instant)

    def _judge(self, key: str, instant: int, taken: int) -> RateLimitResult:
        assert self._limit is not None
        full_at = max(self._full_at.get(key, instant), instant)
        room = (self._window - (full_at - instant)) // self._step
        unit = _NANOSECONDS * self._limit.count
        if room < 1:
            wait = full_at + self._step - self._window - instant
            return RateLimitResult(False, 0, wait / unit, (full_at - instant) / unit)
        return RateLimitResult(True, room - taken, 0.0, (full_at + taken * self._step - instant) / unit)

    def _remember(self, key: str, full_at: int) -> None:
        if key not in self._full_at:
            while len(self._full_at) >= self._max_keys:
                self._settle_top(drop_until=None)
            heapq.heappush(self._heap, (full_at, key))
        self._full_at[key] = full_at

    def _forget_some(self, instant: int) -> None:
        """More than one hit can add: so what is kept follows what is spent, whether or not anybody sweeps."""
        for _ in range(2):
            if self._heap and self._heap[0][0] <= instant:
                self._settle_top(drop_until=instant)

    def _settle_top(self, drop_until: int | None) -> None:
        """Bring the heap's top up to date, or forget its key (if it is full by `drop_until`; None: in any case)."""
        noted, key = self._heap[0]
        full_at = self._full_at[key]
        if full_at > noted and (drop_until is None or full_at > drop_until):
            heapq.heapreplace(self._heap, (full_at, key))
        else:
            heapq.heappop(self._heap)
            del self._full_at[key]

    def _instant(self, now: float) -> int:
        assert self._limit is not None
        return round(now * _NANOSECONDS) * self._limit.count
