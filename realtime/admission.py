"""AdmissionControl: limits on open streams and on sends per user."""

from realtime.event import ByeReason
from realtime.options import RealtimeOptions, exceeds
from realtime.rate_limiter import RateLimiter, RateLimitResult
from realtime.stream_registry import StreamRegistry


class AdmissionControl:
    """Limits on open streams, counted by the registry, and two rate limits per user."""

    def __init__(self, options: RealtimeOptions, registry: StreamRegistry) -> None:
        self._options = options
        self._registry = registry
        self._connects = RateLimiter(options.connect_limit, options.limiter_keys)
        self._sends = RateLimiter(options.send_limit, options.limiter_keys)

    def stream_rejection(self, user_id: str, address: str, now: float) -> ByeReason | None:
        """Return why a stream is rejected, or None. None counts as one connect. `now` in monotonic seconds."""
        if exceeds(len(self._registry) + 1, self._options.max_streams):
            return "overloaded"
        if exceeds(len(self._registry.for_user(user_id)) + 1, self._options.max_streams_per_user):
            return "too_many_streams"
        if exceeds(self._registry.count_for_address(address) + 1, self._options.max_streams_per_address):
            return "too_many_streams"
        return None if self._connects.hit(user_id, now).allowed else "overloaded"

    def send_rejection(self, user_id: str, now: float) -> RateLimitResult:
        """Count one send if the limit allows it, and return the result. `now` in monotonic seconds."""
        return self._sends.hit(user_id, now)

    def sweep(self, now: float) -> None:
        """Drop the rate limit state of users whose allowance is complete again."""
        self._connects.sweep(now)
        self._sends.sweep(now)
