"""Removes uploaded files that no row names any more: their message was deleted, or they were never sent."""

import asyncio

import structlog
from anyio import to_thread

from services.attachments import records
from services.attachments.file_store import FileStore
from services.database.database import Database
from services.scheduling.background import BackgroundTask

# Between two rounds over all shelves, and between two shelves, so that nobody notices.
ROUND_SECONDS = 3_600.0
SHELF_SECONDS = 0.2
SHARDS = 256
AT_ONCE = 500


class FileCleanup:
    """One round at the start, for what a crash has left, then one every hour."""

    def __init__(self, files: FileStore, database: Database) -> None:
        self._files, self._database = files, database
        self._background = BackgroundTask("file-collector", self._run)
        self._log = structlog.get_logger("files")

    async def start(self) -> None:
        """Make the folder and begin; the database must run."""
        await to_thread.run_sync(self._files.prepare)
        self._background.start()

    async def stop(self) -> None:
        """End after the step that is under way."""
        await self._background.stop()

    async def collect(self, shelf: int) -> int:
        """Remove what nobody needs on one shelf; returns how many. Raises DomainError and OSError."""
        old, dropped = await to_thread.run_sync(self._files.list_shard, shelf), 0
        for start in range(0, len(old), AT_ONCE):
            part = old[start : start + AT_ONCE]
            known = await self._database.read(records.find_referenced, hashes=part)
            dropped += await to_thread.run_sync(self._files.delete, [each for each in part if each not in known])
        return dropped

    async def _run(self) -> None:
        while True:
            for shelf in range(SHARDS):
                try:
                    await self.collect(shelf)
                except Exception as error:
                    # One bad shelf must not end it.
                    self._log.warning("files_not_collected", error=repr(error))
                await asyncio.sleep(SHELF_SECONDS)
            await asyncio.sleep(ROUND_SECONDS)
