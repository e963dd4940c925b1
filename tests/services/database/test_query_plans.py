"""Query plans: frequent queries read one range of an index and sort nothing."""

import re
import sqlite3
from typing import Any

import pytest
from sqlalchemy import Connection, Select, insert

from services.accounts import profiles
from services.database.sqlite import engine
from services.jobs import bidding, bids, comments, deadlines, events
from services.payments import reconciliation
from services.tables import metadata
from tests.services.database.query_plans import plan
from tests.services.jobs.job_factory import NOW, bid, create_job, post

LISTS = {
    "a job's bids": (bids._FOR_JOB, "SEARCH bids USING INDEX ix_bids_job_id_seq (job_id=? AND seq<?)"),
    "one's own bids on a job": (
        bids._FOR_JOB_AND_FREELANCER,
        "SEARCH bids USING INDEX ix_bids_job_id_freelancer_id_seq (job_id=? AND freelancer_id=? AND seq<?)",
    ),
    "one's own bids": (
        bids._FOR_FREELANCER,
        "SEARCH bids USING INDEX ix_bids_freelancer_id_seq (freelancer_id=? AND seq<?)",
    ),
    "a job's comments": (
        comments._PAGE,
        "SEARCH comments USING INDEX ix_comments_job_id_seq_author_id (job_id=? AND seq<?)",
    ),
    "a profile": (profiles._FIND, "SEARCH users USING INDEX sqlite_autoindex_users_1 (id=?)"),
    "jobs that are due": (deadlines._DUE, "SEARCH jobs USING INDEX ix_jobs_due_at (due_at>? AND due_at<?)"),
    # The whole index, which contains only jobs with unpublished changes.
    "jobs with unpublished changes": (events._DUE, "SCAN jobs USING INDEX ix_jobs_unpublished"),
    "the books' accounts": (reconciliation._ACCOUNTS, "SEARCH accounts USING INDEX sqlite_autoindex_accounts_1 (id>?)"),
    "the books' jobs": (reconciliation._JOBS, "SEARCH jobs USING INDEX sqlite_autoindex_jobs_2 (id>?)"),
    "the books' transfers": (
        reconciliation._TRANSFERS,
        "SEARCH current USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    ),
}


# A subquery of one row, a page of one step and a table of one row are scanned.
_WHOLE = re.compile(r"SCAN (?!anon_\d|page\b|freezes\b)")
# The statement groups a page with the transfers of its jobs.
_SORTS = "the books' jobs"


@pytest.mark.parametrize("name", LISTS)
def test_list_query_uses_its_index(tx: Connection, name: str) -> None:
    statement: Select[*tuple[Any, ...]]
    statement, first = LISTS[name]
    steps = plan(tx, statement)
    assert first in steps, steps
    assert not [step for step in steps if step != first and _WHOLE.search(step)], steps
    assert any("TEMP B-TREE" in step for step in steps) == (name == _SORTS), steps


def test_reconciliation_reads_only_jobs_that_can_hold_money(tx: Connection) -> None:
    assert "SEARCH jobs USING INDEX ix_jobs_owner_id_status (owner_id=? AND status=?)" in plan(
        tx, reconciliation._ACCOUNTS
    )


@pytest.mark.parametrize("name", ["notifications", "events", "bids", "messages", "deliveries", "accounts", "users"])
def test_row_checks_build_no_temporary_table(tx: Connection, name: str) -> None:
    adding = (
        insert(metadata.tables[name])
        .values({column.name: None for column in metadata.tables[name].c if column.computed is None})
        .compile(tx.engine)
    )
    steps = tx.exec_driver_sql(f"EXPLAIN {adding}", (None,) * len(adding.params))
    assert "OpenEphemeral" not in [step.opcode for step in steps]


def test_repeated_statement_is_planned_once(tx: Connection) -> None:
    planned: list[object] = []

    def live() -> None:
        done = create_job(tx, "completed")
        job = post(tx, done.owner)
        taken_back = bid(tx, job, done.ann)
        bidding.withdraw(tx, bid_id=taken_back, freelancer_id=done.ann.id, now=NOW)
        bidding.place_at_budget(tx, job_id=job.id, freelancer_id=done.ann.id, budget=job.budget, now=NOW)

    def note(*what: object) -> int:
        planned.append(what)
        return sqlite3.SQLITE_OK

    # SQLite calls the authorizer when it plans; a new authorizer discards existing plans.
    engine.raw_connection(tx).set_authorizer(note)
    live()
    assert planned
    planned.clear()
    live()
    assert planned == []
