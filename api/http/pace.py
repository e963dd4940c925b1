"""A limit that requests meet: what is counted, and the error that says which limit it was and when to come back."""

from collections.abc import Callable

from realtime.rate_limiter import RateLimit, RateLimiter, RateLimitResult
from services.errors import RateLimited

# Keys remembered by each limiter: 20 MB at the very most, and only while that many are being spent.
MAX_KEYS = 100_000


class NamedRateLimit:
    """One limiter, and what it counts is called. `clock` gives seconds and does not go back."""

    def __init__(self, name: str, limit: RateLimit | None, clock: Callable[[], float]) -> None:
        self._name, self._limit, self._clock = name, limit, clock
        self._limiter = RateLimiter(limit, MAX_KEYS)

    def try_hit(self, key: str) -> bool:
        """Count one, if there is room."""
        return self._limiter.hit(key, self._clock()).allowed

    def hit(self, key: str) -> None:
        """Count one. Raises RateLimited."""
        raise_if_exceeded(self._name, self._limit, self._limiter.hit(key, self._clock()))

    def check(self, key: str) -> None:
        """Count nothing. Raises RateLimited where there is no room."""
        raise_if_exceeded(self._name, self._limit, self._limiter.peek(key, self._clock()))


def raise_if_exceeded(name: str, limit: RateLimit | None, verdict: RateLimitResult) -> None:
    """Raises RateLimited when the verdict is no."""
    if limit is not None and not verdict.allowed:
        raise exceeded(name, limit, verdict)


def exceeded(name: str, limit: RateLimit, verdict: RateLimitResult) -> RateLimited:
    """The error for whoever met this limit."""
    return RateLimited(
        name,
        count=limit.count,
        window=limit.per_seconds,
        remaining=verdict.remaining,
        retry_after=verdict.retry_after or limit.per_seconds / limit.count,
    )
