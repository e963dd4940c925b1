"""Runs a batch of units of work in one transaction: as plainly as it goes, as carefully as it must.

Plain first, because savepoints cost more than the work. A unit that fails before it wrote anything fails alone.
One that fails after a write takes the batch back, and it runs again with a savepoint around each unit. Should the
transaction itself vanish (a ROLLBACK inside SQLite) or its COMMIT be refused, each unit gets a transaction of its
own, so that only the guilty one fails.
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

# Rows that one transaction may change, so that nobody waits long for it; the unit that passes it is its last.
BATCH_ROWS = 2_000
# How long the units of one transaction may take together, for rows do not all cost the same: as above.
BATCH_SECONDS = 0.02


class _RetryNeeded(Exception):
    """The transaction cannot stand as it ran: it was taken back and must run more carefully."""


class BatchRunner:
    """Runs batches on the one connection that writes.

    `in_doubt` is set when the disk has failed: what is on it is then unknown, and nothing more may be written.
    """

    def __init__(self, tx: Connection) -> None:
        self._tx = tx
        self._raw = engine.raw_connection(tx)
        self.in_doubt = False

    def run(self, works: Sequence[QueuedUnit]) -> tuple[Batch, Sequence[QueuedUnit]]:
        """Run, commit, and give every unit its result or error; never raises.

        Returns the batch of those that ran, and the units for which it had no room.
        """
        # One alone needs no second look: its own transaction is as careful as it gets.
        for careful in (False, True) if len(works) > 1 else ():
            try:
                return self._transact(works, careful=careful)
            except _RetryNeeded:
                continue
            except Exception as error:
                return self._fail_all(works, error), ()
        return self._one_by_one(works), ()

    def _one_by_one(self, works: Sequence[QueuedUnit]) -> Batch:
        together = Batch(works)
        for work in works:
            try:
                if self.in_doubt:
                    raise StorageUnavailable
                batch, _ = self._transact([work], careful=False)
                together.events += batch.events
                together.forgotten += batch.forgotten
            except _RetryNeeded as torn:
                work.fail(_told_by(torn.__cause__))
            except Exception as error:
                self._fail_all([work], error)
        return together

    def _transact(self, works: Sequence[QueuedUnit], *, careful: bool) -> tuple[Batch, Sequence[QueuedUnit]]:
        """One transaction: BEGIN IMMEDIATE, the units, the positions, COMMIT."""
        transaction = self._tx.begin()
        try:
            collected = outbox.begin(self._tx)
            ran = self._run_units(works, collected, careful=careful)
            events = self._assign_positions()
        except BaseException:
            self._roll_back(transaction)
            raise
        try:
            transaction.commit()
        except Exception as error:
            self._roll_back(transaction)
            # A deferred constraint, or a statement left open: refused, so nothing is on disk and the disk is well.
            if engine.error_code(error) in (sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_BUSY):
                raise _RetryNeeded from error
            raise
        return Batch(works[:ran], events, collected.forgotten), works[ran:]

    def _run_units(self, works: Sequence[QueuedUnit], collected: outbox.PendingEvents, *, careful: bool) -> int:
        """Run as many of the units as there is room for; returns how many."""
        raw, began_at, ran = self._raw, self._raw.total_changes, 0
        until = monotonic() + BATCH_SECONDS
        while ran < len(works) and raw.total_changes - began_at + len(collected.drafts) < BATCH_ROWS:
            if ran and monotonic() >= until:
                break
            together = 1 if careful else _joined(works, ran)
            if together == 1:
                self._run_unit(works[ran], collected, careful=careful)
            else:
                self._run_joint(works[ran : ran + together])
            # After every unit: a transaction that has vanished makes COMMIT a success that wrote nothing.
            if not raw.in_transaction:
                raise _RetryNeeded
            if careful:
                raw.execute("RELEASE unit")
            ran += together
        return ran

    def _run_unit(self, work: QueuedUnit, collected: outbox.PendingEvents, *, careful: bool) -> None:
        raw, before, mark = self._raw, self._raw.total_changes, collected.mark()
        if careful:
            raw.execute("SAVEPOINT unit")
        try:
            work.result, work.error = work.unit(self._tx), None
        except BaseException as error:
            if engine.is_storage_error(error):
                raise
            if not raw.in_transaction or (raw.total_changes != before and not careful):
                raise _RetryNeeded from error
            if careful:
                raw.execute("ROLLBACK TO unit")
            collected.rollback_to(mark)
            work.fail(_told_by(error))

    def _run_joint(self, works: Sequence[QueuedUnit]) -> None:
        joints = [work.unit for work in works if isinstance(work.unit, CoalescedUnit)]
        try:
            results = joints[0].each(self._tx, [joint.item for joint in joints])
        except BaseException as error:
            if engine.is_storage_error(error):
                raise
            raise _RetryNeeded from error
        for work, result in zip(works, results, strict=True):
            if isinstance(result, Exception):
                work.fail(result)
            else:
                work.result, work.error = result, None

    def _assign_positions(self) -> list[Event]:
        """Hand out the positions. An event that cannot be written is its unit's fault, not the batch's."""
        try:
            return outbox.assign_positions(self._tx)
        except Exception as error:
            if engine.is_storage_error(error):
                raise
            raise _RetryNeeded from error

    def _roll_back(self, transaction: RootTransaction) -> None:
        transaction.rollback()
        # SQLAlchemy believes it rolled back; a refused COMMIT leaves SQLite's transaction open.
        if self._raw.in_transaction:
            self._raw.rollback()

    def _fail_all(self, works: Sequence[QueuedUnit], error: Exception) -> Batch:
        """What a failed BEGIN, disk or COMMIT means for the callers, and for this process."""
        failure: Callable[[], Exception]
        match engine.error_code(error):
            case sqlite3.SQLITE_FULL:
                failure = StorageFull
            case sqlite3.SQLITE_BUSY:
                failure = Overloaded
            case _:
                # As PostgreSQL does after a failed fsync: the next one would say yes without having written.
                self.in_doubt = True
                failure = partial(_unavailable, error)
        for work in works:
            work.fail(failure())
        return Batch(works)


def _joined(works: Sequence[QueuedUnit], start: int) -> int:
    """How many units from here on may run in one call; 1 where they are not of one kind."""
    first, end = works[start].unit, start + 1
    if isinstance(first, CoalescedUnit):
        while end < len(works) and isinstance(unit := works[end].unit, CoalescedUnit) and unit.each is first.each:
            end += 1
    return end - start


def _unavailable(cause: BaseException) -> StorageUnavailable:
    error = StorageUnavailable()
    error.__cause__ = cause
    return error


def _told_by(error: BaseException | None) -> Exception:
    """The error that a caller can be given: a future takes no StopIteration, and nobody wants a SystemExit."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    wrapped = RuntimeError("a unit of work ended in an unheard-of way; nothing of it is written")
    wrapped.__cause__ = error
    return wrapped
