"""Keeps the store's witness up to date while the hub serves."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from realtime.cursor import Cursor
from realtime.manager import RealtimeManager
from services.store import rollback_detection

# A copy of the file is noticed if it is older than this before the last crash; after a clean stop, however young.
SECONDS: Final = 2.0


class PositionWriter:
    """Writes down every few seconds how far the log has come, if it has."""

    def __init__(self, path: Path, manager: RealtimeManager) -> None:
        self._path = path
        self._manager = manager
        self._written: Cursor | None = None
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("witness")

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run(), name="witness")

    async def stop(self) -> None:
        """Write for the last time; call it when nothing more will be published. No harm if it was never started."""
        self._stopping.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while not self._stopping.is_set():
            await self._write()
            with suppress(TimeoutError):
                async with asyncio.timeout(SECONDS):
                    await self._stopping.wait()
        await self._write()

    async def _write(self) -> None:
        """What has been published is on disk, so the witness never claims more than the store has."""
        reached = Cursor(self._manager.options.epoch, self._manager.head)
        if reached == self._written:
            return
        try:
            await asyncio.to_thread(rollback_detection.save_position, self._path, reached)
        except OSError as error:
            self._log.warning("not written", error=str(error))
        else:
            self._written = reached
