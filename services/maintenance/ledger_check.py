"""Daily reconciliation of the ledger as a periodic task."""

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection

from services.payments import reconciliation
from services.payments.reconciliation import ReconciliationRun
from services.scheduling.scheduler import PeriodicTask
from services.times import DAY_MS

# A reconciliation run starts this long after the start of the previous one.
INTERVAL_MS: Final = DAY_MS
# Steps of a reconciliation run per run of the task: about 50 ms of a reader.
STEPS_PER_RUN: Final = 10
RUN_INTERVAL_SECONDS: Final = 1.0


class LedgerCheck:
    """Runs a reconciliation of the ledger once a day, in small steps.

    `on_faults(faults)` is called on a reader thread when the ledger does not balance.
    """

    def __init__(self, on_faults: Callable[[Sequence[str]], None]) -> None:
        self._on_faults = on_faults
        self._run: ReconciliationRun | None = None
        self._next_start = 0

    def find_due(self, tx: Connection, /, *, now: int, limit: int) -> Sequence[ReconciliationRun]:
        """Continue the current run; return it once it is complete if payments must be frozen or released."""
        if self._run is None:
            # A start far in the future is ignored: the clock was set back.
            if self._next_start - INTERVAL_MS <= now < self._next_start:
                return []
            self._run, self._next_start = ReconciliationRun(started_at=now), now + INTERVAL_MS
        for _ in range(STEPS_PER_RUN):
            self._run.run_step(tx)
        if self._run.checkpoint is not None:
            return []
        run, self._run = self._run, None
        if run.faults:
            self._on_faults(run.faults)
        return [run] if run.faults or reconciliation.freeze_reason(tx) else []

    def record_results(self, tx: Connection, /, *, found: Sequence[ReconciliationRun], now: int) -> None:
        """Freeze payments, or lift the freeze."""
        for run in found:
            reconciliation.record_result(tx, started_at=run.started_at, faults=run.faults, now=now)


def task(on_faults: Callable[[Sequence[str]], None]) -> PeriodicTask:
    """Return the periodic task. `on_faults(faults)` is called on a reader thread when the ledger does not balance."""
    check = LedgerCheck(on_faults)
    return PeriodicTask("ledger check", RUN_INTERVAL_SECONDS, check.find_due, check.record_results)
