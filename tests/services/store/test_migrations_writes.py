"""A store of revision 0006 keeps what is found in it, whatever moves afterwards, and loses only what nobody reads."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from services.jobs import listing
from services.jobs.search_query import JobFilter
from services.migrations.versions.m0005_jobs import FILL
from tests.services.store.old_stores import at_revision

_JOB = (
    "INSERT INTO jobs (seq, id, owner_id, title, description, budget, currency, status, held, instant_accept, untold,"
    " created_at, updated_at) VALUES (?, ?, 'olga', 'Fix it', 'd', 64, 'USD', 'open', 64, 0, 0, 0, 0)"
)


@pytest.fixture
def old_store(tmp_path: Path) -> Path:
    """Revision 0006: three jobs of the same budget; one was cancelled and one deleted there."""
    path = tmp_path / "hub.db"
    with at_revision(path, "0006") as store:
        store.execute("INSERT INTO users (id, name, role, created_at) VALUES ('olga', 'Olga', 'client', 0)")
        for seq, name in enumerate(("open", "cancelled", "deleted"), start=1):
            store.execute(_JOB, (seq, name))
        store.execute("UPDATE jobs SET status = id, held = 0 WHERE id <> 'open'")
    return path


def found(tx: Connection, **wanted: object) -> list[str]:
    return [job.id for job in listing.list_jobs(tx, wanted=JobFilter(**wanted)).items]  # type: ignore[arg-type]


def terms(tx: Connection) -> set[tuple[object, ...]]:
    return {tuple(row) for row in tx.execute(text("SELECT DISTINCT term, doc, col FROM job_terms"))}


def test_what_was_indexed_before_moves_on_by_status_and_by_budget(old: Connection) -> None:
    assert (found(old, status="open"), found(old, status="cancelled")) == (["open"], ["cancelled"])
    old.execute(text("UPDATE jobs SET status = 'expired', held = 0 WHERE id = 'open'"))
    old.execute(text("UPDATE jobs SET budget = 9 WHERE id = 'cancelled'"))
    assert found(old, status="open") == []
    assert found(old, status="expired", min_budget=64, max_budget=64) == ["open"]
    assert found(old, max_budget=63) == ["cancelled"]
    kept = terms(old)
    old.execute(text("INSERT INTO job_index (job_index) VALUES ('integrity-check')"))
    old.execute(text("INSERT INTO job_index (job_index) VALUES ('delete-all')"))
    old.execute(text(FILL))
    assert kept == terms(old)


def test_the_indexes_that_no_plan_has_are_gone(old: Connection) -> None:
    named = set(old.execute(text("SELECT name FROM sqlite_master WHERE type = 'index'")).scalars())
    assert not named & {"ix_notifications_unread", "ix_pushes_created_at"}
    assert {"ix_notifications_visible", "ix_pushes_due_at"} <= named


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE jobs SET status = 'lost' WHERE id = 'open'",
        "UPDATE jobs SET status = 'submitted', held = 0 WHERE id = 'open'",
        "UPDATE users SET role = 'king'",
    ],
)
def test_what_may_be_in_a_row_is_what_it_was(old: Connection, change: str) -> None:
    with pytest.raises(Exception, match="CHECK constraint failed: ck_"):
        old.execute(text(change))
