"""The hub's own look through its books: at start and once a day, a little at a time, between everything else."""

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection

from services.payments import reconciliation
from services.payments.reconciliation import ReconciliationRun
from services.scheduling.scheduler import PeriodicTask
from services.times import DAY

# A look begins this long after the one before it began.
EVERY_MS: Final = DAY
# Steps of one turn: some 50 ms of a reader, and the log is not held longer.
STEPS: Final = 10
TURN_SECONDS: Final = 1.0


class LedgerCheck:
    """A chore. `tell(faults)` hears of what does not add up, on the thread of a reader."""

    def __init__(self, tell: Callable[[Sequence[str]], None]) -> None:
        self._tell = tell
        self._look: ReconciliationRun | None = None
        self._next = 0

    def find(self, tx: Connection, /, *, now: int, limit: int) -> Sequence[ReconciliationRun]:
        """Go on with the look that is due; it is returned when it is over and there is something to settle."""
        if self._look is None:
            # Due, or begun in a future that a clock set back has made far away.
            if self._next - EVERY_MS <= now < self._next:
                return []
            self._look, self._next = ReconciliationRun(began=now), now + EVERY_MS
        for _ in range(STEPS):
            self._look.run_step(tx)
        if self._look.place is not None:
            return []
        look, self._look = self._look, None
        if look.faults:
            self._tell(look.faults)
        return [look] if look.faults or reconciliation.freeze_reason(tx) else []

    def settle(self, tx: Connection, /, *, found: Sequence[ReconciliationRun], now: int) -> None:
        """Freeze money, or lift the freeze."""
        for look in found:
            reconciliation.record_result(tx, began=look.began, faults=look.faults, now=now)


def task(tell: Callable[[Sequence[str]], None]) -> PeriodicTask:
    """The chore; `tell(faults)` hears of what does not add up, on the thread of a reader."""
    audit = LedgerCheck(tell)
    return PeriodicTask("books", TURN_SECONDS, audit.find, audit.settle)
