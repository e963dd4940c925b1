"""A store of revision 0004 keeps its hires and the order of its bids and comments; what was typed in NFD is found."""

import sqlite3
from contextlib import closing
from pathlib import Path
from unicodedata import normalize

import pytest
from sqlalchemy import Connection, text

from services.accounts import profiles, users
from services.jobs import bidding, bids, comments, listing, posting
from services.jobs.search_query import JobFilter
from services.schemas import Person
from services.store import migrate
from tests.services.jobs.job_factory import NOW
from tests.services.store.old_stores import at_revision

OLGA, ANN = Person(id="olga", name="Olga"), Person(id="ann", name="Ann")
TITLE, SKILLS = normalize("NFD", "Café"), normalize("NFD", '["Café","Ébène"]')
_JOB = (
    "INSERT INTO jobs (seq, id, owner_id, title, description, budget, currency, category, skills,"
    " status, bid_count, instant_accept, held, created_at, updated_at, untold) VALUES"
    " (?, ?, 'olga', ?, 'd', 5, 'USD', ?, ?, 'open', 1, 0, 5, 0, 0, 0)"
)
_BID = (
    "INSERT INTO bids (id, job_id, freelancer_id, message, price, status, created_at)"
    " VALUES (?, ?, 'ann', 'Me', 5, ?, 0)"
)


@pytest.fixture
def old_store(tmp_path: Path) -> Path:
    """Revision 0004: an open job with bids and comments whose ids do not sort as they came, and a job that is done."""
    path = tmp_path / "hub.db"
    with at_revision(path, "0004") as store:
        store.execute("INSERT INTO users (id, name, role, created_at) VALUES ('olga', 'Olga', 'client', 0)")
        store.execute(
            "INSERT INTO users (id, name, role, skills, created_at) VALUES ('ann', 'Ann', 'freelancer', ?, 0)",
            (SKILLS,),
        )
        store.execute(_JOB, (1, "open", TITLE, TITLE, SKILLS))
        store.execute(_JOB, (2, "done", "Plain", None, "[]"))
        for name, status in (("c", "withdrawn"), ("a", "withdrawn"), ("b", "pending")):
            store.execute(_BID, (name, "open", status))
            store.execute(
                "INSERT INTO comments (id, job_id, author_id, text, created_at) VALUES (?, 'open', 'ann', ?, 0)",
                (name, name),
            )
        store.execute(_BID, ("won", "done", "pending"))
        store.execute("UPDATE jobs SET status='assigned', hired_bid_id='won', hired_at=1 WHERE id='done'")
        store.execute("UPDATE bids SET status='hired', hired_at=1 WHERE id='won'")
        store.execute("UPDATE jobs SET status='completed', held=0 WHERE id='done'")
    return path


def test_bids_and_comments_stay_in_the_order_in_which_they_came(old: Connection) -> None:
    assert [item.id for item in bids.list_for_job(old, job_id="open", reader_id="olga").items] == ["b", "a", "c"]
    assert [item.id for item in comments.list_comments(old, job_id="open").items] == ["b", "a", "c"]
    bidding.withdraw(old, bid_id="b", freelancer_id="ann", now=NOW)
    latest = bidding.place(old, job_id="open", freelancer=ANN, message="Me", price=5, now=NOW)
    said = comments.create(old, job_id="open", author=OLGA, text="Hello", now=NOW)
    assert bids.list_for_freelancer(old, freelancer_id="ann").items[0] == latest
    assert comments.list_comments(old, job_id="open").items[0] == said


def test_what_was_hired_stays_hired_and_what_refers_to_bids_still_does(old: Connection) -> None:
    assert posting.one(old, job_id="done").hired_bid_id == "won"
    with pytest.raises(Exception, match="FOREIGN KEY"):
        old.execute(text("UPDATE bids SET status = 'hired', hired_at = 1 WHERE id = 'b'"))
    with pytest.raises(Exception, match="FOREIGN KEY"):
        old.execute(text("UPDATE jobs SET hired_bid_id = 'b' WHERE id = 'done'"))


def test_what_each_user_did_is_counted(old: Connection) -> None:
    assert [profiles.get_profile(old, user_id=user_id).jobs_done for user_id in ("olga", "ann")] == [1, 1]


def test_what_was_typed_in_another_spelling_is_found(old: Connection) -> None:
    for wanted in (JobFilter(text="café"), JobFilter(category="Café"), JobFilter(skills=["ébène"])):
        assert [job.title for job in listing.list_jobs(old, wanted=wanted).items] == ["Café"]
    assert listing.suggest(old, text="Éb").skills == ["Ébène"]
    account = users.find_by_id(old, user_id="ann")
    assert account is not None
    assert account.user.skills == ("Café", "Ébène")


def test_a_store_that_holds_nothing_unusual_is_not_written_anew(old_store: Path) -> None:
    with closing(sqlite3.connect(old_store)) as store:
        store.execute("PRAGMA trusted_schema=ON")
        store.execute("UPDATE jobs SET title = 'Plain', category = 'Café', skills = '[\"Café\"]'")
        store.execute("CREATE TRIGGER wrote BEFORE UPDATE ON jobs BEGIN SELECT RAISE(ABORT, 'written'); END")
        store.commit()
    migrate.upgrade(old_store)
