"""Runs one batch of units in one transaction and isolates failing units.

The first attempt has no savepoints, because they cost more than the units. A unit that fails before it wrote anything
fails alone. When a unit fails after a write, the batch is rolled back and runs again with a savepoint around each
unit. When the transaction itself disappears (a ROLLBACK inside SQLite) or its COMMIT is refused, each unit runs in
its own transaction, so that only the faulty unit fails.
"""

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic

from sqlalchemy import Connection, RootTransaction

from realtime.event import Event
from services.database import outbox
from services.database.sqlite import engine
from services.database.units import Batch, CoalescedUnit, QueuedUnit
from services.errors import Overloaded, StorageFull, StorageUnavailable

# Rows that one transaction may change, which bounds the wait of its units. The unit that exceeds it is the last one.
MAX_BATCH_ROWS = 2_000
# Time that the units of one transaction may take together, because the cost of a row differs.
MAX_BATCH_SECONDS = 0.02


class _RetryNeeded(Exception):
    """The transaction was rolled back and must run again with savepoints, or in separate transactions."""


class BatchRunner:
    """Runs batches on the one connection that writes.

    `storage_failed` is set when the disk has failed: what is stored is then unknown, and nothing more may be written.
    """

    def __init__(self, tx: Connection) -> None:
        self._tx = tx
        self._raw = engine.raw_connection(tx)
        self.storage_failed = False

    def run(self, units: Sequence[QueuedUnit]) -> tuple[Batch, Sequence[QueuedUnit]]:
        """Run and commit the units, and set the result or the error of each; never raises.

        Returns the batch of the units that ran, and the units that exceed the limits of a batch.
        """
        # A single unit needs no savepoint: its own transaction isolates it.
        for with_savepoints in (False, True) if len(units) > 1 else ():
            try:
                return self._transact(units, with_savepoints=with_savepoints)
            except _RetryNeeded:
                continue
            except Exception as error:
                return self._fail_all(units, error), ()
        return self._run_separately(units), ()

    def _run_separately(self, units: Sequence[QueuedUnit]) -> Batch:
        combined = Batch(units)
        for queued in units:
            try:
                if self.storage_failed:
                    raise StorageUnavailable
                batch, _ = self._transact([queued], with_savepoints=False)
                combined.events += batch.events
                combined.forgotten += batch.forgotten
            except _RetryNeeded as retry:
                queued.fail(_catchable_error(retry.__cause__))
            except Exception as error:
                self._fail_all([queued], error)
        return combined

    def _transact(self, units: Sequence[QueuedUnit], *, with_savepoints: bool) -> tuple[Batch, Sequence[QueuedUnit]]:
        """One transaction: BEGIN IMMEDIATE, the units, the positions, COMMIT."""
        transaction = self._tx.begin()
        try:
            pending = outbox.begin(self._tx)
            ran = self._run_units(units, pending, with_savepoints=with_savepoints)
            events = self._assign_positions()
        except BaseException:
            self._roll_back(transaction)
            raise
        try:
            transaction.commit()
        except Exception as error:
            self._roll_back(transaction)
            # A deferred constraint or an open statement: COMMIT was refused, nothing is stored, and the disk works.
            if engine.error_code(error) in (sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_BUSY):
                raise _RetryNeeded from error
            raise
        return Batch(units[:ran], events, pending.forgotten), units[ran:]

    def _run_units(self, units: Sequence[QueuedUnit], pending: outbox.PendingEvents, *, with_savepoints: bool) -> int:
        """Run units until a limit of the batch is reached. Return the number of units that ran."""
        raw, changes_before, ran = self._raw, self._raw.total_changes, 0
        deadline = monotonic() + MAX_BATCH_SECONDS
        while ran < len(units) and raw.total_changes - changes_before + len(pending.events) < MAX_BATCH_ROWS:
            if ran and monotonic() >= deadline:
                break
            count = 1 if with_savepoints else _count_coalesced(units, ran)
            if count == 1:
                self._run_unit(units[ran], pending, with_savepoints=with_savepoints)
            else:
                self._run_coalesced(units[ran : ran + count])
            # Check after every unit: without a transaction COMMIT would succeed and store nothing.
            if not raw.in_transaction:
                raise _RetryNeeded
            if with_savepoints:
                raw.execute("RELEASE unit")
            ran += count
        return ran

    def _run_unit(self, queued: QueuedUnit, pending: outbox.PendingEvents, *, with_savepoints: bool) -> None:
        raw, changes_before, savepoint = self._raw, self._raw.total_changes, pending.savepoint()
        if with_savepoints:
            raw.execute("SAVEPOINT unit")
        try:
            queued.result, queued.error = queued.unit(self._tx), None
        except BaseException as error:
            if engine.is_storage_error(error):
                raise
            if not raw.in_transaction or (raw.total_changes != changes_before and not with_savepoints):
                raise _RetryNeeded from error
            if with_savepoints:
                raw.execute("ROLLBACK TO unit")
            pending.rollback_to(savepoint)
            queued.fail(_catchable_error(error))

    def _run_coalesced(self, units: Sequence[QueuedUnit]) -> None:
        coalesced = [queued.unit for queued in units if isinstance(queued.unit, CoalescedUnit)]
        try:
            results = coalesced[0].each(self._tx, [unit.item for unit in coalesced])
        except BaseException as error:
            if engine.is_storage_error(error):
                raise
            raise _RetryNeeded from error
        for queued, result in zip(units, results, strict=True):
            if isinstance(result, Exception):
                queued.fail(result)
            else:
                queued.result, queued.error = result, None

    def _assign_positions(self) -> list[Event]:
        """Assign the positions. An event that cannot be written fails its unit, not the batch."""
        try:
            return outbox.assign_positions(self._tx)
        except Exception as error:
            if engine.is_storage_error(error):
                raise
            raise _RetryNeeded from error

    def _roll_back(self, transaction: RootTransaction) -> None:
        transaction.rollback()
        # SQLAlchemy considers the transaction ended, but a refused COMMIT leaves it open in SQLite.
        if self._raw.in_transaction:
            self._raw.rollback()

    def _fail_all(self, units: Sequence[QueuedUnit], error: Exception) -> Batch:
        """Fail the units after a failed BEGIN, disk or COMMIT, and record a failure of the storage."""
        failure: Callable[[], Exception]
        match engine.error_code(error):
            case sqlite3.SQLITE_FULL:
                failure = StorageFull
            case sqlite3.SQLITE_BUSY:
                failure = Overloaded
            case _:
                # As PostgreSQL does: after a failed fsync, the next fsync may succeed without having written.
                self.storage_failed = True
                failure = partial(_unavailable, error)
        for queued in units:
            queued.fail(failure())
        return Batch(units)


def _count_coalesced(units: Sequence[QueuedUnit], start: int) -> int:
    """Return how many units from `start` on may run in one call; 1 when the next one is of another kind."""
    first, end = units[start].unit, start + 1
    if isinstance(first, CoalescedUnit):
        while end < len(units) and isinstance(unit := units[end].unit, CoalescedUnit) and unit.each is first.each:
            end += 1
    return end - start


def _unavailable(cause: BaseException) -> StorageUnavailable:
    error = StorageUnavailable()
    error.__cause__ = cause
    return error


def _catchable_error(error: BaseException | None) -> Exception:
    """Return an error that a future accepts: not StopIteration, and not SystemExit."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    wrapped = RuntimeError("a unit of work raised an exception that cannot be passed on; nothing of it is stored")
    wrapped.__cause__ = error
    return wrapped
