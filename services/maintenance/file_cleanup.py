"""Deletes uploaded files that no row references."""

import asyncio

import structlog
from anyio import to_thread

from services.attachments import records
from services.attachments.file_store import FileStore
from services.database.database import Database
from services.scheduling.background import BackgroundTask

# The pauses between two rounds over all shards, and between two shards. They keep the load on the disk low.
ROUND_SECONDS = 3_600.0
SHARD_SECONDS = 0.2
SHARDS = 256
# Files that one query checks.
BATCH_SIZE = 500


class FileCleanup:
    """Deletes the files of deleted and unsent attachments: once at start, to clean up after a crash, then hourly."""

    def __init__(self, files: FileStore, database: Database) -> None:
        self._files, self._database = files, database
        self._background = BackgroundTask(
            "file-cleanup", interval_seconds=ROUND_SECONDS, run_once=self._clean_all_shards, on_error=self._log_error
        )
        self._log = structlog.get_logger("files")

    async def start(self) -> None:
        """Create the folder and start the background task. The database must be running."""
        await to_thread.run_sync(self._files.prepare)
        self._background.start()

    async def stop(self) -> None:
        """Stop after the current step."""
        await self._background.stop()

    async def clean_shard(self, shard: int) -> int:
        """Delete the unreferenced files of one shard and return their number. Raises DomainError and OSError."""
        hashes, deleted = await to_thread.run_sync(self._files.list_shard, shard), 0
        for start in range(0, len(hashes), BATCH_SIZE):
            batch = hashes[start : start + BATCH_SIZE]
            referenced = await self._database.read(records.find_referenced, hashes=batch)
            unreferenced = [hash for hash in batch if hash not in referenced]
            deleted += await to_thread.run_sync(self._files.delete, unreferenced)
        return deleted

    async def _clean_all_shards(self) -> None:
        for shard in range(SHARDS):
            try:
                await self.clean_shard(shard)
            except Exception as error:
                # An error in one shard must not stop the cleanup of the others.
                self._log_error(error)
            await asyncio.sleep(SHARD_SECONDS)

    def _log_error(self, error: Exception) -> None:
        self._log.warning("file_cleanup_failed", error=repr(error))
