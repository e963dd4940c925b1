"""How much services may send to one recipient; off unless HUB_SERVICE_RATE_LIMIT says otherwise."""

from collections import Counter
from collections.abc import Callable, Sequence

from api.http.pace import MAX_KEYS, exceeded
from realtime.rate_limiter import RateLimit, RateLimiter


class RecipientRateLimit:
    """One bucket per recipient, whichever service sends. `clock` gives seconds that do not go back."""

    def __init__(self, limit: RateLimit | None, clock: Callable[[], float]) -> None:
        self._limit, self._clock = limit, clock
        self._limiter = RateLimiter(limit, MAX_KEYS)

    @property
    def unlimited(self) -> bool:
        """Whether there is nothing to count."""
        return self._limit is None

    def hit(self, user_ids: Sequence[str]) -> None:
        """Count one notification for each; all or, with RateLimited, none."""
        if self._limit is None:
            return
        now, wanted = self._clock(), Counter(user_ids)
        for user_id, number in wanted.items():
            verdict = self._limiter.peek(user_id, now)
            if verdict.remaining < number:
                raise exceeded("notifications to one recipient", self._limit, verdict)
        for user_id in user_ids:
            self._limiter.hit(user_id, now)
