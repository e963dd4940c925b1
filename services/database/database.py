"""Database: runs queries on readers and units of work on the single writer."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from services.database.sqlite import engine
from services.database.sqlite.readers import ReaderPool
from services.database.sqlite.writer import Writer
from services.database.units import Batch, CoalescedUnit, QueuedUnit
from services.errors import DomainError, Overloaded, StorageUnavailable

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")

# Reads that run or wait for a reader; further reads raise Overloaded.
MAX_READS = 1_024


class Database:
    """One SQLite file: a writer thread with group commit, and several query-only readers.

    `on_commit` is called on the event loop with each committed batch that has events or removals, in commit order,
    before the callers of `write` continue. `on_storage_failure` is called once when the disk has failed and it is
    unknown what is stored. The process should then stop. From that moment writes are refused; reads continue.
    """

    def __init__(
        self,
        path: Path,
        *,
        wal_bytes: int = 64 * 1024 * 1024,
        on_commit: Callable[[Batch], None] = lambda batch: None,
        on_storage_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_commit = on_commit
        self._on_storage_failure = on_storage_failure
        self._storage_failure_reported = False
        self._open = False
        self._reads: set[asyncio.Task[Any]] = set()
        self._readers = ReaderPool(path)
        self._writer = Writer(path, wal_bytes=wal_bytes, on_batch_done=self._on_batch_done)

    async def start(self) -> None:
        """Open the migrated file. Raises CannotOpenStore. A Database starts only once."""
        self._loop = asyncio.get_running_loop()
        self._writer.start()
        self._open = True

    async def stop(self) -> None:
        """Refuse new work, finish the accepted work, close the readers and then the writer."""
        if not self._open:
            return
        self._open = False
        await self._loop.run_in_executor(None, self._writer.drain)
        # The last results arrive as callbacks of this loop. They must run before the connections close.
        await asyncio.sleep(0)
        if self._reads:
            await asyncio.gather(*self._reads, return_exceptions=True)
        await self._readers.close()
        await self._loop.run_in_executor(None, self._writer.close)

    @property
    def queued_writes(self) -> int:
        """Number of units of work that wait for the writer."""
        return self._writer.queued_writes

    @property
    def storage_failed(self) -> bool:
        """Whether the disk has failed and writes are refused."""
        return self._writer.storage_failed

    async def write(self, unit: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a unit of work on the writer; when this returns, its rows and events are on disk.

        The unit is a plain function whose only effects are rows, because it may run more than once. An exception
        of the unit is raised here, and nothing of the unit is stored. Cancelling the caller does not stop the unit.
        Raises Overloaded and StorageFull (nothing is stored) and StorageUnavailable (the result is unknown).
        """
        return await self._submit(lambda tx: unit(tx, *args, **kwargs))

    async def write_coalesced(
        self, each: Callable[[Connection, Sequence[Item]], Sequence[T | DomainError]], item: Item
    ) -> T:
        """Like `write`, for units that run in one call with queued units of the same kind: see `CoalescedUnit`."""
        return await self._submit(CoalescedUnit(each, item))

    def _submit(self, unit: Callable[[Connection], T]) -> asyncio.Future[T]:
        if not self._open:
            raise Overloaded
        future: asyncio.Future[T] = self._loop.create_future()
        self._writer.submit(QueuedUnit(unit, future))
        return future

    async def read(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a plain function on a reader's thread, in one snapshot of the store. It must fetch its rows itself.

        The call is shielded: cancelling the caller does not leave a transaction open. Raises Overloaded when too
        many reads wait, and StorageUnavailable when the file cannot be read.
        """
        if not self._open or len(self._reads) >= MAX_READS:
            raise Overloaded
        task = self._loop.create_task(self._read(lambda tx: query(tx, *args, **kwargs)))
        self._reads.add(task)
        task.add_done_callback(self._read_ended)
        return await asyncio.shield(task)

    def _read_ended(self, task: asyncio.Task[Any]) -> None:
        self._reads.discard(task)
        # Retrieve the exception: without a waiting caller asyncio would log it.
        if not task.cancelled():
            task.exception()

    async def _read(self, query: Callable[[Connection], T]) -> T:
        try:
            return await self._readers.run(query)
        except (DBAPIError, sqlite3.Error) as error:
            if engine.is_read_error(error):
                raise StorageUnavailable from error
            raise

    def _on_batch_done(self, batch: Batch) -> None:
        # A closed loop means that no caller waits for a result.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._publish_and_complete, batch)

    def _publish_and_complete(self, batch: Batch) -> None:
        """Publish the batch, then complete its units. Runs on the event loop."""
        try:
            if batch.events or batch.forgotten:
                self._on_commit(batch)
        finally:
            for unit in batch.units:
                if unit.future.done():
                    continue
                if unit.error is None:
                    unit.future.set_result(unit.result)
                else:
                    unit.future.set_exception(unit.error)
            if self._writer.storage_failed and not self._storage_failure_reported:
                self._storage_failure_reported = True
                self._on_storage_failure()
