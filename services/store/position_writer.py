"""Saves the last published position while the hub serves."""

import asyncio
from pathlib import Path
from threading import Lock
from typing import Final

import structlog

from realtime.cursor import Cursor
from realtime.manager import RealtimeManager
from services.scheduling.background import BackgroundTask
from services.store import rollback_detection

# After a crash, a copy of the store is detected if it is older than this. After a clean stop, every older copy is.
INTERVAL_SECONDS: Final = 2.0


class PositionWriter:
    """Saves the published position every two seconds, if it has changed."""

    def __init__(self, path: Path, manager: RealtimeManager) -> None:
        self._path = path
        self._manager = manager
        self._saved: Cursor | None = None
        self._saving = Lock()
        self._log = structlog.get_logger("position_writer")
        self._task = BackgroundTask(
            "position writer", interval_seconds=INTERVAL_SECONDS, run_once=self.run_once, on_error=self._log_error
        )

    def start(self) -> None:
        """Start the background task."""
        self._task.start()

    async def stop(self) -> None:
        """Stop the task and save the final position; the caller publishes nothing after this."""
        if await self._task.stop():
            try:
                await self.run_once()
            except OSError as error:
                self._log_error(error)

    async def run_once(self) -> None:
        """Save the published position if it has changed. Raises OSError.

        Events are committed before they are published, so the saved position never exceeds that of the store.
        """
        published = Cursor(self._manager.options.epoch, self._manager.head)
        if published != self._saved:
            await asyncio.to_thread(self._save, published)

    def _save(self, published: Cursor) -> None:
        # Stopping the task does not stop its thread, which may then save at the same time as `stop`.
        with self._saving:
            if self._saved is None or published.position > self._saved.position:
                rollback_detection.save_position(self._path, published)
                self._saved = published

    def _log_error(self, error: Exception) -> None:
        self._log.warning("position_not_saved", error=str(error))
