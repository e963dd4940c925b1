"""Upkeep: the one background task; heartbeats, rotation, stalled streams, and forgetting who has left."""

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
    """What time brings; `tick` is one turn, `run` goes on for ever."""

    def __init__(
        self,
        options: RealtimeOptions,
        wheel: TimerWheel,
        stalls: StallDetector,
        registry: StreamRegistry,
        admission: AdmissionControl,
        absent: IdleUsers,
        *,
        on_stalled: Callable[[Stream], None],
        on_users_idle: Callable[[Sequence[str]], None],
    ) -> None:
        """`close` is called for a stream that was aborted because it stalled, `forget` for users long without one."""
        self._options = options
        self._wheel = wheel
        self._stalls = stalls
        self._registry = registry
        self._admission = admission
        self._absent = absent
        self._close = on_stalled
        self._forget = on_users_idle

    def tick(self, now: float) -> None:
        """Do what is due at `now`, monotonic seconds."""
        self._wheel.advance(now)
        for session in self._stalls.find_stalled(self._registry, now):
            session.sink.abort()
            self._close(session)
        self._admission.sweep(now)
        if gone := self._absent.take_expired(now):
            self._forget(gone)

    async def run(self, clock: Callable[[], float]) -> None:
        """Tick until cancelled."""
        while True:
            await asyncio.sleep(self._options.tick_seconds)
            try:
                self.tick(clock())
            except Exception:
                # One bad turn must not leave every stream without heartbeats for good.
                _log.exception("a turn of the wheel failed")
