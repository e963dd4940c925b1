"""A store from before there was money keeps its jobs, in their order, and they are found, counted and suggested."""

from pathlib import Path

from sqlalchemy import text

from services.database.sqlite import engine as sqlite_engine
from services.jobs import listing
from services.jobs.search_query import JobFilter
from services.store import migrate
from tests.services.store.old_stores import at_revision


def test_jobs_of_the_first_form_are_indexed_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    with at_revision(path, "0001") as store:
        store.execute("INSERT INTO users (id, name, role, created_at) VALUES ('ann', 'Ann', 'client', 0)")
        for number, status in ((3, "open"), (1, "expired"), (2, "open")):
            store.execute(
                "INSERT INTO jobs (id, owner_id, title, description, budget, currency, skills, status, instant_accept,"
                " created_at, updated_at, untold) VALUES (?, 'ann', ?, 'd', 5, 'USD', '[\"sql\"]', ?, 0, 0, 0, 0)",
                (f"job-{number}", f"Logo {number}", status),
            )
    migrate.upgrade(path)
    engine = sqlite_engine.writer_engine(path)
    with engine.connect() as tx:
        titles = [job.title for job in listing.list_jobs(tx, wanted=JobFilter(text="log")).items]
        assert titles == ["Logo 3", "Logo 2", "Logo 1"]
        assert listing.suggest(tx, text="sq").skills == ["sql"]
        assert tx.execute(text("SELECT name, jobs FROM skills")).all() == [("sql", 3)]
        assert tx.execute(text("SELECT * FROM totals")).all() == [(1, 2, 0, 0, 0)]
    engine.dispose()
