"""Crash safety: a kill at any statement of a hire, payment or refund leaves all of it or nothing.

Without --deep, the kills are a sample of the statements.
"""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, select

from services import tables
from services.database.database import Database
from services.schemas import Person, Role
from tests.services.jobs.job_factory import FUNDS, PostedJob, balances, bid_statuses, check_ledger, create_job
from tests.support.processes.crash_points import NOW, Request, run_request
from tests.support.server import ROOT

Dump = dict[str, list[tuple[Any, ...]]]

# Tables that only triggers write; the sample includes the last step of each trigger.
WRITTEN_BY_TRIGGERS = {"accounts", "skills", "statistics", "users"}


@dataclass(frozen=True)
class Case:
    """A request on a job: the status before, the user and the target, and the state after it."""

    status_before: str
    user: str
    fields: dict[str, Any]
    status_after: str
    bids: tuple[str, str]
    balances: list[tuple[int, int]]
    notifications: dict[str, list[str]]
    events: list[str]
    target: str | None = None
    review_ms: int = 1


CASES = {
    "hire": Case(
        status_before="open",
        user="owner",
        fields={},
        status_after="assigned",
        bids=("hired", "rejected"),
        balances=[(FUNDS - 4_000, 4_000), (0, 0)],
        notifications={"owner": [], "ann": ["hired"], "bob": ["bid_rejected"]},
        events=["job_updated"],
    ),
    "instant accept": Case(
        status_before="open",
        user="ann",
        target="in_progress",
        fields={"instant_accept": True},
        status_after="in_progress",
        bids=("hired", "rejected"),
        balances=[(FUNDS - 5_000, 5_000), (0, 0)],
        notifications={"owner": ["job_accepted"], "ann": ["hired"], "bob": ["bid_rejected"]},
        events=["job_updated", "job_accepted"],
    ),
    "complete": Case(
        status_before="submitted",
        user="owner",
        target="completed",
        fields={},
        status_after="completed",
        bids=("hired", "rejected"),
        balances=[(FUNDS - 4_000, 0), (4_000, 0)],
        notifications={"owner": ["job_completed"], "ann": ["payment_released"], "bob": []},
        events=["job_completed"],
    ),
    "submit and complete": Case(
        status_before="in_progress",
        user="ann",
        target="submitted",
        review_ms=0,
        fields={},
        status_after="completed",
        bids=("hired", "rejected"),
        balances=[(FUNDS - 4_000, 0), (4_000, 0)],
        notifications={"owner": ["job_submitted", "job_completed"], "ann": ["payment_released"], "bob": []},
        events=["job_updated", "job_completed"],
    ),
    "refund of an open job": Case(
        status_before="open",
        user="owner",
        target="cancelled",
        fields={},
        status_after="cancelled",
        bids=("rejected", "rejected"),
        balances=[(FUNDS, 0), (0, 0)],
        notifications={"owner": ["job_refunded"], "ann": ["job_cancelled"], "bob": ["job_cancelled"]},
        events=["job_refunded"],
    ),
    "refund of a job in progress": Case(
        status_before="in_progress",
        user="ann",
        target="cancelled",
        fields={},
        status_after="cancelled",
        bids=("hired", "rejected"),
        balances=[(FUNDS, 0), (0, 0)],
        notifications={"owner": ["job_refunded"], "ann": ["job_cancelled"], "bob": []},
        events=["job_refunded"],
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_killed_request_leaves_all_or_nothing_and_is_repeatable(
    store: Path, tmp_path: Path, deep: bool, name: str
) -> None:
    case = CASES[name]
    posted, request, start = await prepare(store, case)
    runs = tmp_path / "runs"
    runs.mkdir()
    lines = kill_at_statements(store, runs, request, "all" if deep else "sample")
    # One run finished. The others were killed at statements from BEGIN to COMMIT, and before the response.
    assert [line[0] for line in lines] == ["finished", *["killed"] * (len(lines) - 2), "committed"]
    assert lines[1][1:3] == ["1", "BEGIN"]
    assert lines[-2][2] == "COMMIT"
    assert not deep or [int(n) for _, n, *_ in lines] == list(range(len(lines)))
    killed_at = {line[2] for line in lines if line[0] == "killed"}
    for outcome, n, *statement in lines:
        changed = await check_run(runs / n / "hub.db", case, posted, request, start)
        assert bool(changed) == (outcome != "killed"), f"killed at {n}, {statement}"
        assert changed - WRITTEN_BY_TRIGGERS <= killed_at


async def prepare(store: Path, case: Case) -> tuple[PostedJob, Request, Dump]:
    """Create the job of the case; return it with the request and the content of the store."""
    database = Database(store)
    await database.start()
    posted: PostedJob = await database.write(create_job, case.status_before, **case.fields)
    user: Person = getattr(posted, case.user)
    role: Role = "client" if case.user == "owner" else "freelancer"
    ann_bid = await database.read(bid_of, posted)
    request = msgspec.convert(
        {
            "user_id": user.id,
            "role": role,
            "bid_id": ann_bid,
            "job_id": posted.job.id,
            "target": case.target,
            "review_ms": case.review_ms,
        },
        Request,
    )
    start = await database.read(dump)
    await database.stop()
    return posted, request, start


def kill_at_statements(store: Path, runs: Path, request: Request, points: str) -> list[list[str]]:
    """Run the request and kill it at `all` points or at a `sample`; return the words that are printed for each run."""
    command = [sys.executable, "-m", "tests.support.processes.crash_points", str(store), str(runs)]
    completed = subprocess.run(
        [*command, msgspec.json.encode(request).decode(), points], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (completed.returncode, completed.stderr) == (0, "")
    return [line.split() for line in completed.stdout.splitlines()]


async def check_run(path: Path, case: Case, posted: PostedJob, request: Request, start: Dump) -> set[str]:
    """Check the store of a run and two repetitions of the request; return the tables that the run changed."""
    batches: list[Any] = []
    database = Database(path, on_commit=batches.append)
    await database.start()
    found = await database.read(dump)
    changed = {table for table in found if found[table] != start[table]}
    if changed:
        await database.read(check_after, case, posted, start)
    await database.read(check_ledger)
    first = await database.write(run_request, request, NOW + 1)
    if changed:
        assert batches == []
        assert await database.read(dump) == found
    await database.read(check_after, case, posted, start)
    second = await database.write(run_request, request, NOW + 2)
    assert first == second
    (stored,) = (await database.read(dump))["idempotent_responses"]
    assert first in stored
    await database.read(check_ledger)
    await database.read(check_file)
    await database.stop()
    return changed


def check_after(tx: Connection, /, case: Case, posted: PostedJob, start: Dump) -> None:
    """Check that all changes of the request were made exactly once."""
    now = dump(tx)
    (job,) = tx.execute(select(tables.jobs)).all()
    assert (job.status, job.held) == (case.status_after, case.balances[0][1])
    assert (bid_statuses(tx, posted.job)[posted.ann.id], bid_statuses(tx, posted.job)[posted.bob.id]) == case.bids
    assert balances(tx, posted.owner, posted.ann) == case.balances
    for name, types in case.notifications.items():
        assert new_types(now, start, "notifications", user_id=getattr(posted, name).id) == types
    assert new_types(now, start, "events", channel="jobs") == case.events
    assert len(now["idempotent_responses"]) == len(start["idempotent_responses"]) + 1


def check_file(tx: Connection, /) -> None:
    assert tx.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
    assert tx.exec_driver_sql("PRAGMA foreign_key_check").all() == []


def bid_of(tx: Connection, /, posted: PostedJob) -> str:
    bids = tables.bids.c
    statement = select(bids.id).where(bids.job_id == posted.job.id, bids.freelancer_id == posted.ann.id)
    return str(tx.execute(statement).scalar_one())


def dump(tx: Connection, /) -> Dump:
    """Return all rows of all tables, ordered by primary key."""
    return {
        table.name: [tuple(row) for row in tx.execute(select(table).order_by(*table.primary_key))]
        for table in tables.metadata.sorted_tables
    }


def new_types(now: Dump, start: Dump, table: str, **where: str) -> list[str]:
    """Return the types of a table's new rows of one user or one channel."""
    ((column, value),) = where.items()
    names = [table_column.name for table_column in tables.metadata.tables[table].columns]
    index: Callable[[str], int] = names.index
    new_rows = [row for row in now[table] if row not in start[table] and row[index(column)] == value]
    return [str(row[index("type")]) for row in new_rows]
