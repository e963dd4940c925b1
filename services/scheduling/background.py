"""BackgroundTask: one asyncio task with start and stop."""

import asyncio
from collections.abc import Awaitable, Callable


class BackgroundTask:
    """Calls `run_once` every `interval_seconds` until it is stopped.

    An exception of `run_once` is passed to `on_error`, and the task continues. When `run_once` returns True, more work
    is due, and the next call follows after `pause_seconds` instead.
    """

    def __init__(
        self,
        name: str,
        *,
        interval_seconds: float,
        run_once: Callable[[], Awaitable[object]],
        on_error: Callable[[Exception], None],
        pause_seconds: float = 0.0,
    ) -> None:
        self._name, self._interval, self._pause = name, interval_seconds, pause_seconds
        self._run_once, self._on_error = run_once, on_error
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the task; the first call of `run_once` follows at once."""
        self._task = asyncio.get_running_loop().create_task(self._repeat(), name=self._name)

    async def stop(self) -> bool:
        """Cancel the task and wait for its end. Return whether it was started."""
        if self._task is None:
            return False
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        return True

    async def _repeat(self) -> None:
        while True:
            try:
                more = await self._run_once() is True
            except Exception as error:
                self._on_error(error)
                more = False
            await asyncio.sleep(self._pause if more else self._interval)
