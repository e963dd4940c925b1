"""The store refuses a second hire by itself, whatever the statements say that reach it."""

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
    hired, rejected, pending, pending_too = [bid(tx, where, who).id for where in (job, other) for who in (ann, bob)]
    hiring.hire(tx, bid_id=hired, owner_id=olga.id, now=NOW)
    return Scene(job.id, hired, rejected, other.id, pending, pending_too)


def refuses(tx: Connection, scene: Scene, statement: str) -> str:
    """What the store says to a statement that it must refuse."""
    with pytest.raises(IntegrityError) as caught:
        tx.execute(text(statement), vars(scene))
    return str(caught.value.orig)


def allow_orphans(tx: Connection) -> None:
    """As on a connection that does not check foreign keys, which is how SQLite's own shell opens a file."""
    tx.execute(text("PRAGMA defer_foreign_keys=ON"))


HIRE = "UPDATE bids SET status = 'hired', hired_at = 1, rejected_at = NULL WHERE id = "
ASSIGN = "UPDATE jobs SET status = 'assigned', held = 1, hired_at = 1, hired_bid_id = "


def test_two_bids_of_a_job_are_not_hired_even_where_foreign_keys_are_not_checked(tx: Connection, scene: Scene) -> None:
    allow_orphans(tx)
    assert refuses(tx, scene, f"{HIRE} :rejected") == "UNIQUE constraint failed: bids.job_id"


TORN = {
    "a bid is hired where its job names none": f"{HIRE} :pending",
    "the job names another of its bids": f"{ASSIGN} :rejected WHERE id = :job",
    "the job forgets its hired bid": (
        "UPDATE jobs SET status = 'cancelled', held = 0, hired_at = NULL, hired_bid_id = NULL WHERE id = :job"
    ),
    "the hired bid goes to another job": "UPDATE bids SET job_id = :other WHERE id = :hired",
    "the hired bid goes away": "DELETE FROM bids WHERE id = :hired",
    "the job names a bid of another": f"{ASSIGN} :hired WHERE id = :other",
    "the job names what is no bid": f"{ASSIGN} 'nothing' WHERE id = :other",
}


@pytest.mark.parametrize("statement", TORN.values(), ids=TORN.keys())
def test_a_job_and_its_hired_bid_name_each_other(tx: Connection, scene: Scene, statement: str) -> None:
    assert refuses(tx, scene, statement) == "FOREIGN KEY constraint failed"


TORN_ROWS = [
    ("UPDATE jobs SET status = 'assigned', held = 1 WHERE id = :other", "ck_jobs_hired_has_bid"),
    ("UPDATE jobs SET status = 'open', held = budget WHERE id = :job", "ck_jobs_open_has_no_bid"),
    ("UPDATE jobs SET hired_at = NULL WHERE id = :job", "ck_jobs_hired_pair"),
    ("UPDATE bids SET status = 'hired' WHERE id = :pending", "ck_bids_hired_time"),
    ("UPDATE bids SET hired_at = 1 WHERE id = :pending", "ck_bids_hired_time"),
    ("UPDATE bids SET status = 'rejected' WHERE id = :pending", "ck_bids_rejected_time"),
    ("UPDATE bids SET rejected_at = 1 WHERE id = :pending", "ck_bids_rejected_time"),
    ("UPDATE bids SET status = 'maybe' WHERE id = :pending", "ck_bids_status"),
    ("UPDATE jobs SET status = 'maybe' WHERE id = :other", "ck_jobs_status"),
    ("UPDATE jobs SET bid_count = -1 WHERE id = :other", "ck_jobs_bid_count"),
]


@pytest.mark.parametrize(
    ("statement", "constraint"), TORN_ROWS, ids=[f"{n} {name}" for n, (_, name) in enumerate(TORN_ROWS)]
)
def test_status_and_what_belongs_to_it_agree(tx: Connection, scene: Scene, statement: str, constraint: str) -> None:
    assert refuses(tx, scene, statement) == f"CHECK constraint failed: {constraint}"


def test_a_freelancer_has_no_two_pending_bids_on_a_job(tx: Connection, scene: Scene) -> None:
    again = (
        "INSERT INTO bids (id, job_id, freelancer_id, message, price, status, created_at)"
        " SELECT 'second', job_id, freelancer_id, message, price, status, created_at FROM bids WHERE id = :pending"
    )
    assert refuses(tx, scene, again) == "UNIQUE constraint failed: bids.job_id, bids.freelancer_id"
