"""Upkeep: the one background task; heartbeats, rotation, stalled streams, and forgetting who has left."""

import asyncio
import logging
from collections.abc import Callable

from realtime.admission import Admission
from realtime.options import RealtimeOptions
from realtime.registry import Registry
from realtime.session import Session
from realtime.stalls import Stalls
from realtime.wheel import Wheel

_log = logging.getLogger(__name__)


class Upkeep:
    """What time brings; `tick` is one turn, `run` goes on for ever."""

    def __init__(
        self,
        options: RealtimeOptions,
        wheel: Wheel,
        stalls: Stalls,
        registry: Registry,
        admission: Admission,
        close: Callable[[Session], None],
    ) -> None:
        """`close` is called for a stream that was aborted because it stalled."""
        self._options = options
        self._wheel = wheel
        self._stalls = stalls
        self._registry = registry
        self._admission = admission
        self._close = close
        self._next_sweep = 0.0

    def tick(self, now: float) -> None:
        """Do what is due at `now`, monotonic seconds."""
        self._wheel.turn(now)
        for session in self._stalls.find(self._registry, now):
            session.sink.abort()
            self._close(session)
        if now >= self._next_sweep:
            # A user leaves memory at most a tenth late.
            self._next_sweep = now + self._options.idle_seconds / 10
            self._registry.sweep(now - self._options.idle_seconds)
            self._admission.sweep(now)

    async def run(self, clock: Callable[[], float]) -> None:
        """Tick until cancelled."""
        while True:
            await asyncio.sleep(self._options.tick_seconds)
            try:
                self.tick(clock())
            except Exception:
                # One bad turn must not leave every stream without heartbeats for good.
                _log.exception("a turn of the wheel failed")
