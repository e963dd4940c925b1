"""Housekeeping: the one background task of the realtime layer."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from realtime.admission import AdmissionControl
from realtime.idle_users import IdleUsers
from realtime.options import RealtimeOptions
from realtime.stalled_streams import StallDetector
from realtime.stream import Stream
from realtime.stream_registry import StreamRegistry
from realtime.stream_timers import TimerWheel

_log = logging.getLogger(__name__)


class Housekeeping:
    """Heartbeats, rotation, stalled streams, rate limit state and idle users. `run` calls `tick` until cancelled."""

    def __init__(
        self,
        options: RealtimeOptions,
        timers: TimerWheel,
        stall_detector: StallDetector,
        registry: StreamRegistry,
        admission: AdmissionControl,
        idle_users: IdleUsers,
        *,
        on_stalled: Callable[[Stream], None],
        on_users_idle: Callable[[Sequence[str]], None],
    ) -> None:
        """`on_stalled` is called for an aborted stream, `on_users_idle` for users without a stream for too long."""
        self._options = options
        self._timers = timers
        self._stall_detector = stall_detector
        self._registry = registry
        self._admission = admission
        self._idle_users = idle_users
        self._on_stalled = on_stalled
        self._on_users_idle = on_users_idle

    def tick(self, now: float) -> None:
        """Do everything that is due at `now` (monotonic seconds)."""
        self._timers.advance(now)
        for stream in self._stall_detector.find_stalled(self._registry, now):
            stream.sink.abort()
            self._on_stalled(stream)
        self._admission.sweep(now)
        if user_ids := self._idle_users.take_expired(now):
            self._on_users_idle(user_ids)

    async def run(self, clock: Callable[[], float]) -> None:
        """Call `tick` at every interval until cancelled."""
        while True:
            await asyncio.sleep(self._options.tick_seconds)
            try:
                self.tick(clock())
            except Exception:
                # The task continues, because streams would otherwise get no more heartbeats.
                _log.exception("housekeeping_failed")
