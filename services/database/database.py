"""The store: `read` and `write` run plain functions over a connection; the one place that knows which engine."""

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

# Reads that may be under way or wait for a reader; beyond that OVERLOADED.
WAITING_READS = 1_024


class Database:
    """One SQLite file: a writer thread with group commit, and several query-only readers.

    `on_commit` is called on the event loop with each committed batch that has something to tell, in order, before
    anybody who waits in `write` goes on. `on_doubt` is called once when a failed disk has left it unknown what is
    written: the process should then stop itself; writes are refused from there on, reads go on.
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
        self._writer = Writer(path, wal_bytes=wal_bytes, settle=self._settle)

    async def start(self) -> None:
        """Open the file, which must have been migrated. Raises sqlite.CannotOpen. A Database starts only once."""
        self._loop = asyncio.get_running_loop()
        self._writer.start()
        self._open = True

    async def stop(self) -> None:
        """Refuse new work, finish and answer what was accepted, close readers first and the writer last."""
        if not self._open:
            return
        self._open = False
        await self._loop.run_in_executor(None, self._writer.drain)
        # The writer's last answers are callbacks of this loop; let them run before anything closes.
        await asyncio.sleep(0)
        if self._reads:
            await asyncio.gather(*self._reads, return_exceptions=True)
        await self._readers.close()
        await self._loop.run_in_executor(None, self._writer.close)

    @property
    def queued_writes(self) -> int:
        """Units of work that wait for the writer."""
        return self._writer.waiting

    @property
    def storage_failed(self) -> bool:
        """Whether a failed disk has ended writing."""
        return self._writer.in_doubt

    async def write(self, unit: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a unit of work on the writer; when this returns, its rows and events are on disk.

        The unit is a plain function without effects but rows: it may be run more than once, and its exception
        is raised here with nothing of it written. A caller who is cancelled does not stop it. Raises Overloaded
        and StorageFull (nothing was written) and StorageUnavailable (unknown).
        """
        return await self._submit(lambda tx: unit(tx, *args, **kwargs))

    async def write_coalesced(
        self, each: Callable[[Connection, Sequence[Item]], Sequence[T | DomainError]], item: Item
    ) -> T:
        """Like `write`, for a unit that runs in one call with those of its kind that wait beside it: see `Joint`."""
        return await self._submit(CoalescedUnit(each, item))

    def _submit(self, unit: Callable[[Connection], T]) -> asyncio.Future[T]:
        if not self._open:
            raise Overloaded
        future: asyncio.Future[T] = self._loop.create_future()
        self._writer.submit(QueuedUnit(unit, future))
        return future

    async def read(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a plain function on a reader's thread, in one snapshot of the store; it must fetch what it gives back.

        Shielded: a caller who is cancelled leaves no transaction behind. Raises Overloaded when too many wait, and
        StorageUnavailable when the file cannot be read.
        """
        if not self._open or len(self._reads) >= WAITING_READS:
            raise Overloaded
        task = self._loop.create_task(self._read(lambda tx: query(tx, *args, **kwargs)))
        self._reads.add(task)
        task.add_done_callback(self._read_ended)
        return await asyncio.shield(task)

    def _read_ended(self, task: asyncio.Task[Any]) -> None:
        self._reads.discard(task)
        # Looked at, because nobody may wait for it any more, and then asyncio would log its error.
        if not task.cancelled():
            task.exception()

    async def _read(self, query: Callable[[Connection], T]) -> T:
        try:
            return await self._readers.run(query)
        except (DBAPIError, sqlite3.Error) as error:
            if engine.is_read_error(error):
                raise StorageUnavailable from error
            raise

    def _settle(self, batch: Batch) -> None:
        # The loop is closed only when nobody is left who could wait for an answer.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._finish, batch)

    def _finish(self, batch: Batch) -> None:
        """On the loop: tell first, then answer."""
        try:
            if batch.events or batch.forgotten:
                self._on_commit(batch)
        finally:
            for work in batch.works:
                if work.future.done():
                    continue
                if work.error is None:
                    work.future.set_result(work.result)
                else:
                    work.future.set_exception(work.error)
            if self._writer.in_doubt and not self._storage_failure_reported:
                self._storage_failure_reported = True
                self._on_storage_failure()
