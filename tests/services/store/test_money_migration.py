"""A store from before there was money: each of its jobs can be finished, in time, and its books add up."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from services.errors import Conflict
from services.jobs import closing as job_closing
from services.jobs import deadlines, hiring, lifecycle, transitions
from services.payments.reconciliation import ReconciliationRun
from services.schemas import Person
from services.store import migrate
from services.tables import jobs, transfers
from services.times import DAY
from tests.services.jobs.job_factory import NOW, TERMS, balances
from tests.services.store.old_stores import at_revision

OWNER, OTHER, ANN = (Person(id=f"{number:036d}", name=name) for number, name in enumerate(("Olga", "Otto", "Ann")))
# Each status that revision 0001 knew, with the owner.
OLD = {
    "open": OWNER,
    "assigned": OWNER,
    "in_progress": OWNER,
    "submitted": OTHER,
    "completed": OWNER,
    "cancelled": OTHER,
    "expired": OWNER,
}


@pytest.fixture
def old_store(tmp_path: Path) -> Path:
    """A store of revision 0001 with a job of 5,000 in every state, and a bid of 4,000 on it."""
    path = tmp_path / "hub.db"
    with at_revision(path, "0001") as store:
        for person in (OWNER, OTHER, ANN):
            store.execute(
                "INSERT INTO users (id, name, role, skills, created_at) VALUES (?, ?, 'client', '[]', 0)",
                (person.id, person.name),
            )
        for status, owner in OLD.items():
            hired = status in ("assigned", "in_progress", "submitted", "completed")
            store.execute(
                "INSERT INTO jobs (id, owner_id, title, description, budget, currency, status, instant_accept, untold, "
                "created_at, updated_at, expires_at) VALUES (?, ?, 'T', 'D', 5000, 'USD', 'open', 0, 0, ?, ?, ?)",
                (status, owner.id, NOW, NOW + 3, NOW + 9),
            )
            store.execute(
                "INSERT INTO bids (id, job_id, freelancer_id, message, price, status, created_at) "
                "VALUES (?, ?, ?, 'Me', 4000, 'pending', 0)",
                (f"bid-{status}", status, ANN.id),
            )
            bid = f"bid-{status}" if hired else None
            store.execute(
                "UPDATE jobs SET status = ?, hired_bid_id = ?, hired_at = ? WHERE id = ?",
                (status, bid, NOW + 2 if hired else None, status),
            )
            if hired:
                store.execute("UPDATE bids SET status = 'hired', hired_at = ? WHERE id = ?", (NOW + 2, bid))
    return path


def faults(tx: Connection) -> list[str]:
    look = ReconciliationRun(began=0)
    while look.place is not None:
        look.run_step(tx, most=2)
    assert look.rows["jobs"] == len(OLD)
    return look.faults


def test_every_job_that_is_not_over_is_paid_for_and_the_books_add_up(old: Connection) -> None:
    assert faults(old) == []
    held = {row.id: row.held for row in old.execute(select(jobs))}
    assert held == {
        "open": 5_000,
        **dict.fromkeys(("assigned", "in_progress", "submitted"), 4_000),
        **dict.fromkeys(("completed", "cancelled", "expired"), 0),
    }
    assert balances(old, OWNER, OTHER, ANN) == [(0, 13_000), (0, 4_000), (0, 0)]
    moved = [(row.kind, row.job_id, row.amount) for row in old.execute(select(transfers).order_by("seq"))]
    assert moved[:2] == [("deposit", None, 4_000), ("hold", "assigned", 4_000)]
    assert len(moved) == 8
    assert {row.created_at for row in old.execute(select(transfers))} == {NOW}


def test_every_job_can_be_finished_and_the_books_still_add_up(old: Connection) -> None:
    hiring.hire(old, bid_id="bid-open", owner_id=OWNER.id, now=NOW)
    assert balances(old, OWNER) == [(1_000, 12_000)]
    job_closing.complete(old, transitions.load_state(old, job_id="submitted"), now=NOW)
    for status in ("open", "assigned", "in_progress"):
        job_closing.close_with_refund(old, transitions.load_state(old, job_id=status), "cancelled", now=NOW)
    assert balances(old, OWNER, OTHER, ANN) == [(13_000, 0), (0, 0), (4_000, 0)]
    assert faults(old) == []


def test_every_deadline_is_kept(old: Connection) -> None:
    """The end of the expiry, of the review and of the time to deliver, at which the hub or the owner may act."""
    times = {row.id: (row.due_at, row.accepted_at) for row in old.execute(select(jobs))}
    assert times == {
        "open": (NOW + 9, None),
        "in_progress": (None, NOW + 2),
        "submitted": (NOW + 3 + 7 * DAY, NOW + 2),
        **dict.fromkeys(("assigned", "completed", "cancelled", "expired"), (None, None)),
    }
    jobs_due = deadlines.DeadlineFinder()
    assert jobs_due.find_due(old, now=NOW + 8, limit=100) == []
    assert jobs_due.find_due(old, now=NOW + 9, limit=100) == ["open"]
    assert jobs_due.find_due(old, now=NOW + 3 + 7 * DAY, limit=100) == ["open", "submitted"]
    working = transitions.load_state(old, job_id="in_progress")
    with pytest.raises(Conflict, match="has until"):
        lifecycle.requested_transition(
            working, target="cancelled", by="owner", terms=TERMS, now=NOW + 1 + TERMS.delivery_ms
        )
    assert lifecycle.requested_transition(
        working, target="cancelled", by="owner", terms=TERMS, now=NOW + 2 + TERMS.delivery_ms
    )


def test_jobs_that_have_their_times_keep_them(old_store: Path) -> None:
    with at_revision(old_store, "0004") as store:
        store.execute("UPDATE jobs SET due_at = 5 WHERE status IN ('open','submitted')")
        store.execute("UPDATE jobs SET accepted_at = 6 WHERE status IN ('in_progress','submitted')")
    migrate.upgrade(old_store)
    with closing(sqlite3.connect(old_store)) as store:
        found = store.execute("SELECT status, due_at, accepted_at FROM jobs WHERE held > 0").fetchall()
    assert set(found) == {
        ("open", 5, None),
        ("assigned", None, None),
        ("in_progress", None, 6),
        ("submitted", 5, 6),
    }


def test_the_guards_of_the_books_are_there_after_it(old: Connection) -> None:
    with pytest.raises(Exception, match="follows from a transfer"):
        old.exec_driver_sql("UPDATE accounts SET balance = balance + 1 WHERE kind = 'held'")
