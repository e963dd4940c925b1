"""The writer thread: takes every waiting unit of work, runs them in one transaction, one COMMIT, one fsync.

A batch runs plain first, because savepoints cost more than the work. A unit that fails before it wrote anything
fails alone. One that fails after a write takes the batch back, and it runs again with a savepoint around each
unit; should the transaction itself vanish (a ROLLBACK inside SQLite), once more with a transaction for each.
"""

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from realtime.event import Event
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from services import outbox, sqlite
from services.errors import Overloaded, StorageFull, StorageUnavailable

# Bounds of a batch: its units share one fsync, and each of them waits for all of them.
BATCH_UNITS = 256
BATCH_ROWS = 2_000
# Units that may wait for the writer; beyond that nothing is accepted (OVERLOADED).
WAITING_UNITS = 4_096
# A checkpoint that a reader holds up gives in after this long, and is tried again later.
CHECKPOINT_BUSY_MS = 50
CHECKPOINT_PAUSE_SECONDS = 1.0


class _Torn(Exception):
    """The batch cannot stand as it ran: take it back and run it more carefully."""


@dataclass(slots=True)
class Work:
    """One unit of work on its way to the disk and back."""

    unit: Callable[[Connection], Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


@dataclass(slots=True)
class Batch:
    """What one COMMIT carried: the units it answers and what may now be told."""

    works: Sequence[Work]
    events: list[Event] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)


class Writer:
    """Owns the one connection that writes. `settle` is called on this thread with each finished batch."""

    def __init__(self, path: Path, *, wal_bytes: int, settle: Callable[[Batch], None]) -> None:
        self._engine = sqlite.writer_engine(path)
        self._wal = path.with_name(path.name + "-wal")
        self._wal_bytes = wal_bytes
        self._settle = settle
        self._waiting: deque[Work] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._next_checkpoint = 0.0
        self._thread = threading.Thread(target=self._run, name="writer")
        self.in_doubt = False

    @property
    def waiting(self) -> int:
        """Units that no batch has taken yet."""
        return len(self._waiting)

    def start(self) -> None:
        """Open the file and begin to work. Raises what opening it raises."""
        self._tx = self._engine.connect()
        self._raw = sqlite.raw(self._tx)
        self._thread.start()

    def submit(self, work: Work) -> None:
        """Queue a unit. Raises Overloaded or StorageUnavailable, and then nothing of it will ever be written."""
        with self._wake:
            if self.in_doubt:
                raise StorageUnavailable
            if self._stopping or len(self._waiting) >= WAITING_UNITS:
                raise Overloaded
            self._waiting.append(work)
            self._wake.notify()

    def drain(self) -> None:
        """Accept nothing more; returns when everything accepted has been answered. Blocks."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def close(self) -> None:
        """Close the file, after `drain` and after the readers have gone."""
        if self._thread.ident is not None:
            self._tx.close()
        self._engine.dispose()

    def _run(self) -> None:
        while works := self._take():
            batch = Batch(works)
            if self.in_doubt:
                _fail(works, StorageUnavailable())
            else:
                self._write(batch)
            self._settle(batch)
            if self._wal_is_long():
                self._truncate_wal()

    def _take(self) -> list[Work]:
        with self._wake:
            while not self._waiting and not self._stopping:
                self._wake.wait()
            return [self._waiting.popleft() for _ in range(min(BATCH_UNITS, len(self._waiting)))]

    def _write(self, batch: Batch) -> None:
        """Run a batch as carefully as it needs, and never let an exception out."""
        for attempt in (self._plain, self._with_savepoints):
            try:
                self._commit(batch, attempt)
                return
            except _Torn:
                continue
            except Exception as error:
                _fail(batch.works, self._judge(error))
                return
        self._one_by_one(batch)

    def _one_by_one(self, batch: Batch) -> None:
        for work in batch.works:
            alone = Batch([work])
            try:
                self._commit(alone, self._plain)
            except _Torn as torn:
                work.result, work.error = None, torn.__cause__ or StorageUnavailable()
            except Exception as error:
                _fail([work], self._judge(error))
            batch.events += alone.events
            batch.forgotten += alone.forgotten

    def _commit(self, batch: Batch, attempt: Callable[[Connection, Batch], None]) -> None:
        """One transaction: BEGIN IMMEDIATE, the units, the positions, COMMIT."""
        tx = self._tx
        try:
            with tx.begin():
                collected = outbox.begin(tx)
                attempt(tx, batch)
                events = outbox.seal(tx)
        except BaseException:
            # SQLAlchemy believes it rolled back; a refused COMMIT leaves SQLite's transaction open.
            if self._raw.in_transaction:
                self._raw.rollback()
            raise
        batch.events = events
        batch.forgotten = collected.forgotten

    def _plain(self, tx: Connection, batch: Batch) -> None:
        collected: outbox.Outbox = tx.info["outbox"]
        began_at = self._raw.total_changes
        for index, work in enumerate(batch.works):
            before, mark = self._raw.total_changes, collected.mark()
            try:
                work.result, work.error = work.unit(tx), None
            except Exception as error:
                if _is_storage(error):
                    raise
                if self._raw.total_changes != before or not self._raw.in_transaction:
                    raise _Torn from error
                collected.back_to(mark)
                work.error = error
            if not self._raw.in_transaction:
                raise _Torn
            if self._raw.total_changes - began_at > BATCH_ROWS:
                self._put_back(batch, index + 1)
                return

    def _with_savepoints(self, tx: Connection, batch: Batch) -> None:
        collected: outbox.Outbox = tx.info["outbox"]
        for work in batch.works:
            mark = collected.mark()
            try:
                with tx.begin_nested():
                    work.result, work.error = work.unit(tx), None
            except Exception as error:
                if _is_storage(error):
                    raise
                if not self._raw.in_transaction:
                    raise _Torn from error
                collected.back_to(mark)
                work.error = error
            if not self._raw.in_transaction:
                raise _Torn

    def _put_back(self, batch: Batch, index: int) -> None:
        """The batch has enough rows: the units it did not come to go first in the next one."""
        rest = batch.works[index:]
        batch.works = batch.works[:index]
        with self._wake:
            self._waiting.extendleft(reversed(rest))

    def _judge(self, error: Exception) -> Exception:
        """What a failed BEGIN, seal or COMMIT means for the callers, and for this process."""
        code = sqlite.code_of(error)
        if code == sqlite3.SQLITE_FULL:
            return StorageFull()
        if code == sqlite3.SQLITE_BUSY:
            return Overloaded()
        # A failed fsync leaves the disk unknown: nothing more is written by this process.
        self.in_doubt = True
        failure = StorageUnavailable()
        failure.__cause__ = error
        return failure

    def _wal_is_long(self) -> bool:
        now = monotonic()
        if now < self._next_checkpoint:
            return False
        self._next_checkpoint = now + CHECKPOINT_PAUSE_SECONDS
        return self._wal.exists() and self._wal.stat().st_size > self._wal_bytes

    def _truncate_wal(self) -> None:
        self._raw.execute(f"PRAGMA busy_timeout={CHECKPOINT_BUSY_MS}")
        try:
            self._raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.OperationalError as error:
            if sqlite.code_of(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                self.in_doubt = True
        finally:
            self._raw.execute(f"PRAGMA busy_timeout={sqlite.BUSY_MS}")


def _fail(works: Sequence[Work], error: BaseException) -> None:
    for work in works:
        work.result, work.error = None, error


def _is_storage(error: Exception) -> bool:
    """Whether an exception speaks of the disk and not of the unit: FULL and IOERR end the transaction."""
    return isinstance(error, DBAPIError) and sqlite.code_of(error) in (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
    )
