"""Constraints of the store: they reject a second hire whatever statement is run."""

from dataclasses import dataclass

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from services.jobs import hiring
from tests.services.jobs.marketplace import NOW, bid, people, post


@dataclass
class Scene:
    """Two jobs of one owner with two bids each; the first job has hired its first bid."""

    job: str
    hired: str
    rejected: str
    other: str
    pending: str
    pending_too: str


@pytest.fixture
def scene(tx: Connection) -> Scene:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    job, other = post(tx, olga), post(tx, olga)
    hired, rejected, pending, pending_too = [
        bid(tx, on_job, freelancer).id for on_job in (job, other) for freelancer in (ann, bob)
    ]
    hiring.hire(tx, bid_id=hired, owner_id=olga.id, now=NOW)
    return Scene(job.id, hired, rejected, other.id, pending, pending_too)


def rejection(tx: Connection, scene: Scene, statement: str) -> str:
    """Run a statement that must fail and return the error message of the store."""
    with pytest.raises(IntegrityError) as raised:
        tx.execute(text(statement), vars(scene))
    return str(raised.value.orig)


def disable_foreign_keys(tx: Connection) -> None:
    """Defer the checks, as if foreign keys were off, which is the default of the SQLite shell."""
    tx.execute(text("PRAGMA defer_foreign_keys=ON"))


HIRE = "UPDATE bids SET status = 'hired', hired_at = 1, rejected_at = NULL WHERE id = "
ASSIGN = "UPDATE jobs SET status = 'assigned', held = 1, hired_at = 1, hired_bid_id = "


def test_second_hired_bid_is_rejected_when_foreign_keys_are_off(tx: Connection, scene: Scene) -> None:
    disable_foreign_keys(tx)
    assert rejection(tx, scene, f"{HIRE} :rejected") == "UNIQUE constraint failed: bids.job_id"


INCONSISTENT_PAIRS = {
    "a bid is hired, its job names none": f"{HIRE} :pending",
    "the job names another of its bids": f"{ASSIGN} :rejected WHERE id = :job",
    "the job no longer names its hired bid": (
        "UPDATE jobs SET status = 'cancelled', held = 0, hired_at = NULL, hired_bid_id = NULL WHERE id = :job"
    ),
    "the hired bid moves to another job": "UPDATE bids SET job_id = :other WHERE id = :hired",
    "the hired bid is deleted": "DELETE FROM bids WHERE id = :hired",
    "the job names a bid of another job": f"{ASSIGN} :hired WHERE id = :other",
    "the job names an unknown bid": f"{ASSIGN} 'nothing' WHERE id = :other",
}


@pytest.mark.parametrize("statement", INCONSISTENT_PAIRS.values(), ids=INCONSISTENT_PAIRS.keys())
def test_foreign_keys_require_job_and_hired_bid_to_match(tx: Connection, scene: Scene, statement: str) -> None:
    assert rejection(tx, scene, statement) == "FOREIGN KEY constraint failed"


INCONSISTENT_ROWS = [
    ("UPDATE jobs SET status = 'assigned', held = 1 WHERE id = :other", "ck_jobs_hired_has_bid"),
    ("UPDATE jobs SET status = 'open', held = budget WHERE id = :job", "ck_jobs_open_has_no_bid"),
    ("UPDATE jobs SET hired_at = NULL WHERE id = :job", "ck_jobs_hired_at_with_bid"),
    ("UPDATE bids SET status = 'hired' WHERE id = :pending", "ck_bids_hired_time"),
    ("UPDATE bids SET hired_at = 1 WHERE id = :pending", "ck_bids_hired_time"),
    ("UPDATE bids SET status = 'rejected' WHERE id = :pending", "ck_bids_rejected_time"),
    ("UPDATE bids SET rejected_at = 1 WHERE id = :pending", "ck_bids_rejected_time"),
    ("UPDATE bids SET status = 'maybe' WHERE id = :pending", "ck_bids_status"),
    ("UPDATE jobs SET status = 'maybe' WHERE id = :other", "ck_jobs_status"),
    ("UPDATE jobs SET bid_count = -1 WHERE id = :other", "ck_jobs_bid_count"),
]


@pytest.mark.parametrize(
    ("statement", "constraint"), INCONSISTENT_ROWS, ids=[f"{n} {name}" for n, (_, name) in enumerate(INCONSISTENT_ROWS)]
)
def test_check_constraints_require_columns_to_match_the_status(
    tx: Connection, scene: Scene, statement: str, constraint: str
) -> None:
    assert rejection(tx, scene, statement) == f"CHECK constraint failed: {constraint}"


def test_second_pending_bid_of_a_freelancer_is_rejected(tx: Connection, scene: Scene) -> None:
    again = (
        "INSERT INTO bids (id, job_id, freelancer_id, message, price, status, created_at)"
        " SELECT 'second', job_id, freelancer_id, message, price, status, created_at FROM bids WHERE id = :pending"
    )
    assert rejection(tx, scene, again) == "UNIQUE constraint failed: bids.job_id, bids.freelancer_id"
