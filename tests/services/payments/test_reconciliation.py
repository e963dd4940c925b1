"""Reconciliation of the ledger: faults, freezing payments, and the daily check."""

import pytest
from sqlalchemy import Connection, text

from services.errors import PaymentsFrozen
from services.jobs import bidding, closing, deadlines, editing, hiring, listing, transitions
from services.jobs.editing import JobEdit
from services.maintenance import ledger_check
from services.payments import reconciliation, registration, wallet
from services.payments.reconciliation import ReconciliationRun
from services.scheduling.scheduler import PeriodicTask
from services.times import DAY_MS
from tests.services.jobs.job_factory import (
    FUNDS,
    NOW,
    PostedJob,
    balances,
    bid,
    change_status,
    create_job,
    person,
    post,
)

TRIGGERS = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ('accounts', 'transfers')"


def reconcile(tx: Connection, max_rows: int = reconciliation.MAX_ROWS_PER_STEP) -> ReconciliationRun:
    """Return a complete run."""
    run = ReconciliationRun(started_at=NOW)
    while run.checkpoint is not None:
        run.run_step(tx, max_rows=max_rows)
    return run


def tamper(tx: Connection, *statements: str) -> None:
    """Drop the triggers and then change the rows, as an operator with access to the file could."""
    for (name,) in tx.exec_driver_sql(TRIGGERS).all():
        tx.exec_driver_sql(f"DROP TRIGGER {name}")
    tx.exec_driver_sql("PRAGMA ignore_check_constraints=ON")
    for statement in statements:
        assert tx.execute(text(statement)).rowcount == 1, statement


def create_jobs_in_every_state(tx: Connection) -> dict[str, PostedJob]:
    """Create a job in each state with deposits and withdrawals; return the jobs by state."""
    jobs = {status: create_job(tx, status) for status in ("open", "assigned", "in_progress", "submitted", "completed")}
    for status in ("cancelled", "expired", "deleted"):
        jobs[status] = create_job(tx)
        close(tx, jobs[status], status)
    wallet.withdraw(tx, user_id=jobs["completed"].ann.id, amount=1_000, now=NOW)
    editing.edit(tx, job_id=jobs["open"].job.id, owner_id=jobs["open"].owner.id, edit=JobEdit(budget=7_000), now=NOW)
    return jobs


def close(tx: Connection, posted: PostedJob, status: str) -> None:
    closing.close_with_refund(tx, transitions.load_state(tx, job_id=posted.job.id), status, now=NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize("max_rows", [1, 2, 3, 500])
def test_ledger_written_by_units_of_work_has_no_faults(tx: Connection, max_rows: int) -> None:
    create_jobs_in_every_state(tx)
    run = reconcile(tx, max_rows)
    assert run.faults == []
    counts = {part: tx.execute(text(f"SELECT count(*) FROM {part}")).scalar_one() for part in run.rows}
    assert run.rows == counts
    assert min(counts.values()) > 7


def test_empty_ledger_has_no_faults(tx: Connection) -> None:
    run = reconcile(tx)
    assert (run.faults, run.rows) == ([], {"accounts": 1, "jobs": 0, "transfers": 0})


AMOUNT = "UPDATE transfers SET amount = amount + 1 WHERE kind = '{}' AND job_id = '{}'"

TAMPERED = {
    "a balance": ("UPDATE accounts SET balance = balance + 1 WHERE id = 'available:{owner}'", "has a balance"),
    "a changed external balance": ("UPDATE accounts SET balance = balance - 5 WHERE id = 'external'", "add up to"),
    "a held balance": (
        "UPDATE accounts SET balance = balance - 1 WHERE id = 'held:{owner}'",
        "the jobs of its owner hold",
    ),
    "a job's hold": ("UPDATE jobs SET held = held + 1 WHERE id = '{assigned}'", "its transfers add up to"),
    "a price": ("UPDATE bids SET price = price + 1 WHERE job_id = '{assigned}' AND status = 'hired'", "price"),
    "a paid price": (
        "UPDATE bids SET price = 1 WHERE job_id = '{completed}' AND status = 'hired'",
        "was paid",
    ),
    "an amount": (AMOUNT.format("hold", "{submitted}"), "does not continue"),
    "a payment": (AMOUNT.format("payment", "{completed}"), "does not continue"),
    "a running balance": ("UPDATE transfers SET to_balance = 1 WHERE kind = 'payment'", "does not continue"),
    "a first balance": ("UPDATE transfers SET from_balance = 1 WHERE seq = 1", "does not continue"),
    "a deleted deposit": ("DELETE FROM transfers WHERE seq = 1", "does not continue"),
    "a deleted last transfer": (
        "DELETE FROM transfers WHERE seq = (SELECT max(seq) FROM transfers)",
        "its transfers add up to",
    ),
    "a deleted refund": ("DELETE FROM transfers WHERE kind = 'refund' AND job_id = '{cancelled}'", "final transfers"),
    "a payment to another user": (
        "UPDATE transfers SET to_account = 'available:{other}' WHERE kind = 'payment'",
        "neither its owner",
    ),
    "a hold of another user": (
        "UPDATE transfers SET from_account = 'available:{other}', to_account = 'held:{other}' "
        "WHERE kind = 'hold' AND job_id = '{cancelled}'",
        "neither its owner",
    ),
    "a reopened completed job": (
        "UPDATE jobs SET status = 'in_progress' WHERE id = '{completed}'",
        "price",
    ),
    "a completed cancelled job": (
        "UPDATE jobs SET status = 'completed' WHERE id = '{cancelled}'",
        "was paid",
    ),
    "a cancelled open job": ("UPDATE jobs SET status = 'cancelled' WHERE id = '{open}'", "final transfers"),
    "a transfer after the final one": (
        "INSERT INTO transfers (id, kind, amount, from_account, from_balance, to_account, to_balance, job_id, "
        "created_at) VALUES ('x', 'hold', 1, 'available:{owner}', 0, 'held:{owner}', 0, '{expired}', 0)",
        "final transfers, or",
    ),
}


@pytest.mark.parametrize(("sql", "expected"), TAMPERED.values(), ids=TAMPERED)
@pytest.mark.parametrize("max_rows", [2, 500])
def test_changed_row_is_reported_as_a_fault(tx: Connection, sql: str, expected: str, max_rows: int) -> None:
    jobs = create_jobs_in_every_state(tx)
    owner = jobs["assigned"].owner
    other = jobs["open"].owner
    names = {status: posted.job.id for status, posted in jobs.items()} | {"owner": owner.id, "other": other.id}
    tamper(tx, sql.format(**names))
    faults = reconcile(tx, max_rows).faults
    assert faults
    assert any(expected in fault for fault in faults), faults


def test_balance_changed_together_with_its_transfer_is_reported(tx: Connection) -> None:
    posted = create_job(tx, "completed")
    account_id = f"available:{posted.ann.id}"
    tamper(
        tx,
        f"UPDATE accounts SET balance = 9000 WHERE id = '{account_id}'",
        f"UPDATE transfers SET to_balance = 9000 WHERE to_account = '{account_id}'",
        "UPDATE accounts SET balance = balance - 5000 WHERE id = 'external'",
    )
    assert any("does not continue" in fault for fault in reconcile(tx).faults)


def test_run_reports_a_bounded_number_of_faults(tx: Connection) -> None:
    owner = person(tx, "Olga", "client", FUNDS)
    for _ in range(30):
        post(tx, owner, budget=10)
    tamper(tx)
    tx.execute(text("UPDATE jobs SET held = 11"))
    assert len(reconcile(tx, 7).faults) == reconciliation.MAX_FAULTS


def test_closed_jobs_without_transfers_are_no_fault(tx: Connection) -> None:
    posted = create_job(tx, "completed")
    tamper(tx)
    tx.execute(text("DELETE FROM transfers WHERE job_id IS NOT NULL"))
    tx.execute(text("DELETE FROM accounts WHERE kind = 'held'"))
    tx.execute(text(f"DELETE FROM accounts WHERE id = 'available:{posted.ann.id}'"))
    tx.execute(text(f"UPDATE accounts SET balance = {FUNDS} WHERE kind = 'available'"))
    assert reconcile(tx).faults == []


def test_run_between_writes_reports_no_false_faults(tx: Connection) -> None:
    jobs = create_jobs_in_every_state(tx)
    run = ReconciliationRun(started_at=NOW)
    transitions_left = iter([("in_progress", "assigned"), ("submitted", "in_progress"), ("cancelled", "submitted")])
    while run.checkpoint is not None:
        run.run_step(tx, max_rows=3)
        wallet.deposit(tx, user_id=jobs["open"].owner.id, amount=7, now=NOW)
        for target, status in [next(transitions_left, (None, ""))]:
            if target is not None:
                change_status(tx, jobs[status].job, jobs[status].ann, target)  # type: ignore[arg-type]
    assert run.faults == []


# Frozen payments


def test_faults_freeze_payments_until_a_later_run_finds_none(tx: Connection) -> None:
    ann = person(tx, "Ann", "client", 100)
    reconciliation.record_result(tx, started_at=NOW, faults=["first", "second"], now=NOW + 5)
    assert reconciliation.freeze_reason(tx) == "first"
    with pytest.raises(PaymentsFrozen):
        wallet.withdraw(tx, user_id=ann.id, amount=1, now=NOW)
    # A run that started before the freeze may have read older rows.
    reconciliation.record_result(tx, started_at=NOW + 5, faults=[], now=NOW + 9)
    assert reconciliation.freeze_reason(tx) == "first"
    reconciliation.record_result(tx, started_at=NOW + 6, faults=["third"], now=NOW + 9)
    assert reconciliation.freeze_reason(tx) == "third"
    reconciliation.record_result(tx, started_at=NOW + 10, faults=[], now=NOW + 11)
    assert reconciliation.freeze_reason(tx) is None
    wallet.withdraw(tx, user_id=ann.id, amount=1, now=NOW)


def freeze(tx: Connection) -> None:
    reconciliation.record_result(tx, started_at=NOW, faults=["a test"], now=NOW)


@pytest.mark.parametrize("status", ["assigned", "in_progress", "submitted"])
def test_jobs_move_but_do_not_close_while_payments_are_frozen(tx: Connection, status: str) -> None:
    posted = create_job(tx, status)
    freeze(tx)
    before = balances(tx, posted.owner, posted.ann)
    with pytest.raises(PaymentsFrozen):
        change_status(tx, posted.job, posted.ann, "cancelled")
    if status == "assigned":
        change_status(tx, posted.job, posted.ann, "in_progress")
    elif status == "in_progress":
        change_status(tx, posted.job, posted.ann, "submitted")
    else:
        with pytest.raises(PaymentsFrozen):
            change_status(tx, posted.job, posted.owner, "completed")
        change_status(tx, posted.job, posted.owner, "in_progress", note="Once more")
    assert balances(tx, posted.owner, posted.ann) == before


def test_open_job_allows_only_changes_without_transfers_when_frozen(tx: Connection) -> None:
    posted = create_job(tx, instant_accept=True)
    eve = person(tx, "Eve")
    freeze(tx)
    bid_id = bid(tx, posted.job, eve)
    editing.edit(tx, job_id=posted.job.id, owner_id=posted.owner.id, edit=JobEdit(title="Other"), now=NOW)
    for unit in (
        lambda: editing.edit(tx, job_id=posted.job.id, owner_id=posted.owner.id, edit=JobEdit(budget=4_999), now=NOW),
        lambda: hiring.hire(tx, bid_id=bid_id, owner_id=posted.owner.id, now=NOW),
        lambda: change_status(tx, posted.job, eve, "in_progress"),
        lambda: change_status(tx, posted.job, posted.owner, "cancelled"),
        lambda: close(tx, posted, "deleted"),
        lambda: post(tx, posted.owner),
    ):
        with pytest.raises(PaymentsFrozen):
            unit()
    bidding.withdraw(tx, bid_id=bid_id, freelancer_id=eve.id, now=NOW)
    assert listing.get_job(tx, job_id=posted.job.id).title == "Other"


def test_due_jobs_are_not_found_while_payments_are_frozen(tx: Connection) -> None:
    posted = create_job(tx, expires_at=NOW + 5)
    assert deadlines.DeadlineFinder().find_due(tx, now=NOW + 5, limit=10) == [posted.job.id]
    freeze(tx)
    assert deadlines.DeadlineFinder().find_due(tx, now=NOW + 5, limit=10) == []
    reconciliation.record_result(tx, started_at=NOW + 1, faults=[], now=NOW + 6)
    deadlines.process_due(tx, found=deadlines.DeadlineFinder().find_due(tx, now=NOW + 6, limit=10), now=NOW + 6)
    assert listing.get_job(tx, job_id=posted.job.id).status == "expired"


def test_register_gives_no_opening_balance_while_frozen(tx: Connection) -> None:
    account = {"email": "a@example.org", "password_hash": "x", "name": "A", "role": "client"}
    freeze(tx)
    ann = registration.register(tx, opening_balance=500, now=NOW, **account)
    assert wallet.get_wallet(tx, user_id=ann.id, currency="USD").available == 0
    reconciliation.record_result(tx, started_at=NOW + 1, faults=[], now=NOW + 1)
    bob = registration.register(tx, opening_balance=500, now=NOW, **{**account, "email": "b@example.org"})
    assert wallet.get_wallet(tx, user_id=bob.id, currency="USD").available == 500


# The daily check


@pytest.fixture
def faults() -> list[str]:
    """The faults that the task has reported."""
    return []


@pytest.fixture
def task(faults: list[str]) -> PeriodicTask:
    """The periodic task of the ledger check."""
    return ledger_check.task(faults.extend)


def run_until_idle(tx: Connection, task: PeriodicTask, now: int) -> int:
    """Return the number of runs that had work, at most 50."""
    for index in range(50):
        found = task.find(tx, now=now, limit=100)
        if not found and index:
            return index
        task.process(tx, found=found, now=now)
    return 50


def test_ledger_check_runs_at_start_and_once_a_day(tx: Connection, task: PeriodicTask, faults: list[str]) -> None:
    posted = create_job(tx)
    run_until_idle(tx, task, NOW)
    tamper(tx, "UPDATE jobs SET held = held + 1")
    run_until_idle(tx, task, NOW + DAY_MS - 1)
    assert (reconciliation.freeze_reason(tx), faults) == (None, [])
    assert run_until_idle(tx, task, NOW + DAY_MS) < 3
    assert posted.owner.id in str(reconciliation.freeze_reason(tx))
    assert len(faults) > 0
    tx.execute(text("UPDATE jobs SET held = held - 1"))
    run_until_idle(tx, task, NOW + 2 * DAY_MS)
    assert reconciliation.freeze_reason(tx) is None
    # The check still runs when the clock was set back by a year.
    tx.execute(text("UPDATE jobs SET held = held - 1"))
    run_until_idle(tx, task, NOW - 365 * DAY_MS)
    assert reconciliation.freeze_reason(tx) is not None


def test_ledger_check_splits_a_long_run_into_short_steps(
    tx: Connection, task: PeriodicTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_jobs_in_every_state(tx)
    steps, step = list[ReconciliationRun](), ReconciliationRun.run_step

    def short_step(run: ReconciliationRun, tx: Connection) -> None:
        steps.append(run)
        step(run, tx, max_rows=2)

    monkeypatch.setattr(ReconciliationRun, "run_step", short_step)
    counts = list[int]()
    while not counts or counts[-1]:
        steps.clear()
        assert task.find(tx, now=NOW, limit=100) == []
        counts.append(len(steps))
    assert max(counts) == ledger_check.STEPS_PER_RUN
    assert len(counts) > 3
