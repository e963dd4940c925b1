"""The books are added up again, in steps; what was tampered with is found, and money stands still until it is not."""

import pytest
from sqlalchemy import Connection, text

from services.errors import PaymentsFrozen
from services.jobs import bidding, closing, deadlines, editing, hiring, listing, posting, transitions
from services.jobs.editing import JobEdit
from services.maintenance import ledger_check
from services.payments import reconciliation, registration, wallet
from services.payments.reconciliation import ReconciliationRun
from services.scheduling.scheduler import PeriodicTask
from services.times import DAY_MS
from tests.services.jobs.job_factory import FUNDS, NOW, PostedJob, balances, bid, create_job, person, post, change_status

TRIGGERS = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ('accounts', 'transfers')"


def looked(tx: Connection, most: int = reconciliation.MAX_ROWS_PER_STEP) -> ReconciliationRun:
    """A whole look."""
    look = ReconciliationRun(started_at=NOW)
    while look.checkpoint is not None:
        look.run_step(tx, max_rows=most)
    return look


def tamper(tx: Connection, *statements: str) -> None:
    """What somebody could do who may change the schema: first the guards go, then the rows change."""
    for (name,) in tx.exec_driver_sql(TRIGGERS).all():
        tx.exec_driver_sql(f"DROP TRIGGER {name}")
    tx.exec_driver_sql("PRAGMA ignore_check_constraints=ON")
    for statement in statements:
        assert tx.execute(text(statement)).rowcount == 1, statement


def everything(tx: Connection) -> dict[str, PostedJob]:
    """A job in each state, and money that came and went; by state."""
    made = {status: create_job(tx, status) for status in ("open", "assigned", "in_progress", "submitted", "completed")}
    for status in ("cancelled", "expired", "deleted"):
        made[status] = create_job(tx)
        end(tx, made[status], status)
    wallet.withdraw(tx, user_id=made["completed"].ann.id, amount=1_000, now=NOW)
    editing.edit(tx, job_id=made["open"].job.id, owner_id=made["open"].owner.id, edit=JobEdit(budget=7_000), now=NOW)
    return made


def end(tx: Connection, one: PostedJob, status: str) -> None:
    closing.close_with_refund(tx, transitions.load_state(tx, job_id=one.job.id), status, now=NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize("most", [1, 2, 3, 500])
def test_what_only_units_of_work_have_written_adds_up(tx: Connection, most: int) -> None:
    everything(tx)
    look = looked(tx, most)
    assert look.faults == []
    counted = {part: tx.execute(text(f"SELECT count(*) FROM {part}")).scalar_one() for part in look.rows}
    assert look.rows == counted
    assert min(counted.values()) > 7


def test_nothing_adds_up_to_nothing(tx: Connection) -> None:
    look = looked(tx)
    assert (look.faults, look.rows) == ([], {"accounts": 1, "jobs": 0, "transfers": 0})


AMOUNT = "UPDATE transfers SET amount = amount + 1 WHERE kind = '{}' AND job_id = '{}'"

TAMPERED = {
    "a balance": ("UPDATE accounts SET balance = balance + 1 WHERE id = 'available:{owner}'", "holds"),
    "money from nowhere": ("UPDATE accounts SET balance = balance - 5 WHERE id = 'external'", "together"),
    "held money": ("UPDATE accounts SET balance = balance - 1 WHERE id = 'held:{owner}'", "its owner's jobs say"),
    "what a job holds": ("UPDATE jobs SET held = held + 1 WHERE id = '{assigned}'", "its transfers say"),
    "a price": ("UPDATE bids SET price = price + 1 WHERE job_id = '{assigned}' AND status = 'hired'", "price"),
    "the price that was paid": (
        "UPDATE bids SET price = 1 WHERE job_id = '{completed}' AND status = 'hired'",
        "was paid",
    ),
    "an amount": (AMOUNT.format("hold", "{submitted}"), "does not go on"),
    "a payment": (AMOUNT.format("payment", "{completed}"), "does not go on"),
    "a running balance": ("UPDATE transfers SET to_balance = 1 WHERE kind = 'payment'", "does not go on"),
    "a first balance": ("UPDATE transfers SET from_balance = 1 WHERE seq = 1", "does not go on"),
    "a deposit that is gone": ("DELETE FROM transfers WHERE seq = 1", "does not go on"),
    "the last transfer gone": (
        "DELETE FROM transfers WHERE seq = (SELECT max(seq) FROM transfers)",
        "its transfers say",
    ),
    "a refund that is gone": ("DELETE FROM transfers WHERE kind = 'refund' AND job_id = '{cancelled}'", "end"),
    "a payment to somebody else": (
        "UPDATE transfers SET to_account = 'available:{stranger}' WHERE kind = 'payment'",
        "no part in it",
    ),
    "a hold of somebody else": (
        "UPDATE transfers SET from_account = 'available:{stranger}', to_account = 'held:{stranger}' "
        "WHERE kind = 'hold' AND job_id = '{cancelled}'",
        "no part in it",
    ),
    "a completed job that is not": (
        "UPDATE jobs SET status = 'in_progress' WHERE id = '{completed}'",
        "price",
    ),
    "a cancelled job that is completed": (
        "UPDATE jobs SET status = 'completed' WHERE id = '{cancelled}'",
        "was paid",
    ),
    "an open job that is over": ("UPDATE jobs SET status = 'cancelled' WHERE id = '{open}'", "end"),
    "money after the end": (
        "INSERT INTO transfers (id, kind, amount, from_account, from_balance, to_account, to_balance, job_id, "
        "created_at) VALUES ('x', 'hold', 1, 'available:{owner}', 0, 'held:{owner}', 0, '{expired}', 0)",
        "go on after the end",
    ),
}


@pytest.mark.parametrize(("sql", "said"), TAMPERED.values(), ids=TAMPERED)
@pytest.mark.parametrize("most", [2, 500])
def test_what_was_tampered_with_is_found(tx: Connection, sql: str, said: str, most: int) -> None:
    made = everything(tx)
    owner = made["assigned"].owner
    stranger = made["open"].owner
    names = {status: one.job.id for status, one in made.items()} | {"owner": owner.id, "stranger": stranger.id}
    tamper(tx, sql.format(**names))
    faults = looked(tx, most).faults
    assert faults
    assert any(said in fault for fault in faults), faults


def test_a_balance_and_its_transfer_that_were_changed_together_are_found(tx: Connection) -> None:
    one = create_job(tx, "completed")
    name = f"available:{one.ann.id}"
    tamper(
        tx,
        f"UPDATE accounts SET balance = 9000 WHERE id = '{name}'",
        f"UPDATE transfers SET to_balance = 9000 WHERE to_account = '{name}'",
        "UPDATE accounts SET balance = balance - 5000 WHERE id = 'external'",
    )
    assert any("does not go on" in fault for fault in looked(tx).faults)


def test_one_look_tells_of_so_many_faults_and_no_more(tx: Connection) -> None:
    owner = person(tx, "Olga", "client", FUNDS)
    for _ in range(30):
        post(tx, owner, budget=10)
    tamper(tx)
    tx.execute(text("UPDATE jobs SET held = 11"))
    assert len(looked(tx, 7).faults) == reconciliation.MAX_FAULTS


def test_jobs_that_were_over_before_there_was_money_are_no_fault(tx: Connection) -> None:
    one = create_job(tx, "completed")
    tamper(tx)
    tx.execute(text("DELETE FROM transfers WHERE job_id IS NOT NULL"))
    tx.execute(text("DELETE FROM accounts WHERE kind = 'held'"))
    tx.execute(text(f"DELETE FROM accounts WHERE id = 'available:{one.ann.id}'"))
    tx.execute(text(f"UPDATE accounts SET balance = {FUNDS} WHERE kind = 'available'"))
    assert looked(tx).faults == []


def test_a_look_among_writers_finds_nothing_that_is_not_there(tx: Connection) -> None:
    made = everything(tx)
    look = ReconciliationRun(started_at=NOW)
    moves = iter([("in_progress", "assigned"), ("submitted", "in_progress"), ("cancelled", "submitted")])
    while look.checkpoint is not None:
        look.run_step(tx, max_rows=3)
        wallet.deposit(tx, user_id=made["open"].owner.id, amount=7, now=NOW)
        for target, status in [next(moves, (None, ""))]:
            if target is not None:
                change_status(tx, made[status].job, made[status].ann, target)  # type: ignore[arg-type]
    assert look.faults == []


# Freezing


def test_faults_freeze_money_and_a_later_look_without_any_lets_it_go(tx: Connection) -> None:
    ann = person(tx, "Ann", "client", 100)
    reconciliation.record_result(tx, started_at=NOW, faults=["first", "second"], now=NOW + 5)
    assert reconciliation.freeze_reason(tx) == "first"
    with pytest.raises(PaymentsFrozen):
        wallet.withdraw(tx, user_id=ann.id, amount=1, now=NOW)
    # A look that began before it was frozen has seen what was before.
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
def test_while_money_is_frozen_no_job_ends_and_the_work_goes_on(tx: Connection, status: str) -> None:
    one, before = create_job(tx, status), None
    freeze(tx)
    before = balances(tx, one.owner, one.ann)
    with pytest.raises(PaymentsFrozen):
        change_status(tx, one.job, one.ann, "cancelled")
    if status == "assigned":
        change_status(tx, one.job, one.ann, "in_progress")
    elif status == "in_progress":
        change_status(tx, one.job, one.ann, "submitted")
    else:
        with pytest.raises(PaymentsFrozen):
            change_status(tx, one.job, one.owner, "completed")
        change_status(tx, one.job, one.owner, "in_progress", note="Once more")
    assert balances(tx, one.owner, one.ann) == before


def test_while_money_is_frozen_an_open_job_is_bid_on_and_edited_where_no_money_moves(tx: Connection) -> None:
    one = create_job(tx, instant_accept=True)
    eve = person(tx, "Eve")
    freeze(tx)
    offer = bid(tx, one.job, eve)
    editing.edit(tx, job_id=one.job.id, owner_id=one.owner.id, edit=JobEdit(title="Other"), now=NOW)
    for act in (
        lambda: editing.edit(tx, job_id=one.job.id, owner_id=one.owner.id, edit=JobEdit(budget=4_999), now=NOW),
        lambda: hiring.hire(tx, bid_id=offer, owner_id=one.owner.id, now=NOW),
        lambda: change_status(tx, one.job, eve, "in_progress"),
        lambda: change_status(tx, one.job, one.owner, "cancelled"),
        lambda: end(tx, one, "deleted"),
        lambda: post(tx, one.owner),
    ):
        with pytest.raises(PaymentsFrozen):
            act()
    bidding.withdraw(tx, bid_id=offer, freelancer_id=eve.id, now=NOW)
    assert listing.get_job(tx, job_id=one.job.id).title == "Other"


def test_while_money_is_frozen_what_is_due_waits_and_is_not_looked_at_again_and_again(tx: Connection) -> None:
    one = create_job(tx, expires_at=NOW + 5)
    assert deadlines.DeadlineFinder().find_due(tx, now=NOW + 5, limit=10) == [one.job.id]
    freeze(tx)
    assert deadlines.DeadlineFinder().find_due(tx, now=NOW + 5, limit=10) == []
    reconciliation.record_result(tx, started_at=NOW + 1, faults=[], now=NOW + 6)
    deadlines.process_due(tx, found=deadlines.DeadlineFinder().find_due(tx, now=NOW + 6, limit=10), now=NOW + 6)
    assert listing.get_job(tx, job_id=one.job.id).status == "expired"


def test_while_money_is_frozen_people_may_join_and_begin_with_nothing(tx: Connection) -> None:
    account = {"email": "a@example.org", "password_hash": "x", "name": "A", "role": "client"}
    freeze(tx)
    ann = registration.register(tx, opening_balance=500, now=NOW, **account)
    assert wallet.get_wallet(tx, user_id=ann.id, currency="USD").available == 0
    reconciliation.record_result(tx, started_at=NOW + 1, faults=[], now=NOW + 1)
    bob = registration.register(tx, opening_balance=500, now=NOW, **{**account, "email": "b@example.org"})
    assert wallet.get_wallet(tx, user_id=bob.id, currency="USD").available == 500


# The hub's own look


@pytest.fixture
def faults() -> list[str]:
    """What the chore has told."""
    return []


@pytest.fixture
def chore(faults: list[str]) -> PeriodicTask:
    """The chore."""
    return ledger_check.task(faults.extend)


def turns(tx: Connection, chore: PeriodicTask, now: int) -> int:
    """How many turns there was something to do in until there was nothing; at most 50."""
    for turn in range(50):
        found = chore.find(tx, now=now, limit=100)
        if not found and turn:
            return turn
        chore.process(tx, found=found, now=now)
    return 50


def test_the_hub_looks_at_start_and_once_a_day(tx: Connection, chore: PeriodicTask, faults: list[str]) -> None:
    one = create_job(tx)
    turns(tx, chore, NOW)
    tamper(tx, "UPDATE jobs SET held = held + 1")
    turns(tx, chore, NOW + DAY_MS - 1)
    assert (reconciliation.freeze_reason(tx), faults) == (None, [])
    assert turns(tx, chore, NOW + DAY_MS) < 3
    assert one.owner.id in str(reconciliation.freeze_reason(tx))
    assert len(faults) > 0
    tx.execute(text("UPDATE jobs SET held = held - 1"))
    turns(tx, chore, NOW + 2 * DAY_MS)
    assert reconciliation.freeze_reason(tx) is None
    # A clock that was set back by a year does not keep it away.
    tx.execute(text("UPDATE jobs SET held = held - 1"))
    turns(tx, chore, NOW - 365 * DAY_MS)
    assert reconciliation.freeze_reason(tx) is not None


def test_a_long_look_takes_many_short_turns(
    tx: Connection, chore: PeriodicTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything(tx)
    steps, step = list[ReconciliationRun](), ReconciliationRun.run_step

    def short_step(look: ReconciliationRun, tx: Connection) -> None:
        steps.append(look)
        step(look, tx, max_rows=2)

    monkeypatch.setattr(ReconciliationRun, "run_step", short_step)
    counts = list[int]()
    while not counts or counts[-1]:
        steps.clear()
        assert chore.find(tx, now=NOW, limit=100) == []
        counts.append(len(steps))
    assert max(counts) == ledger_check.STEPS_PER_RUN
    assert len(counts) > 3
