"""Admission: who may open one more stream, and who may send one more thing."""

from realtime.event import ByeReason
from realtime.options import RealtimeOptions, exceeds
from realtime.rate_limiter import RateLimiter, RateLimitResult
from realtime.stream_registry import StreamRegistry


class AdmissionControl:
    """Caps on open streams, counted by the registry, and the two rates per user."""

    def __init__(self, options: RealtimeOptions, registry: StreamRegistry) -> None:
        self._options = options
        self._registry = registry
        self._connects = RateLimiter(options.connect_limit, options.limiter_keys)
        self._sends = RateLimiter(options.send_limit, options.limiter_keys)

    def stream_rejection(self, user_id: str, address: str, now: float) -> ByeReason | None:
        """Why not, or None; a yes counts as one connect. `now` in monotonic seconds."""
        if exceeds(len(self._registry) + 1, self._options.max_streams):
            return "overloaded"
        if exceeds(len(self._registry.for_user(user_id)) + 1, self._options.max_streams_per_user):
            return "too_many_streams"
        if exceeds(self._registry.count_for_address(address) + 1, self._options.max_streams_per_address):
            return "too_many_streams"
        return None if self._connects.hit(user_id, now).allowed else "overloaded"

    def send_rejection(self, user_id: str, now: float) -> RateLimitResult:
        """Count one send, if the limit allows it."""
        return self._sends.hit(user_id, now)

    def sweep(self, now: float) -> None:
        """Forget the users who could not be told from new ones."""
        self._connects.sweep(now)
        self._sends.sweep(now)
