"""Killed with -9 at every statement of a hire, a payment and a refund: all or nothing, and one answer for one key."""

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
from tests.support.processes.crash_points import NOW, Act, ask
from tests.support.server import ROOT

Dump = dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Case:
    """An act on a job: how it stands before, who asks for what, and how everything stands after it."""

    before: str
    who: str
    more: dict[str, Any]
    after: str
    bids: tuple[str, str]
    money: list[tuple[int, int]]
    letters: dict[str, list[str]]
    events: list[str]
    target: str | None = None
    review_ms: int = 1


CASES = {
    "hire": Case(
        before="open",
        who="owner",
        more={},
        after="assigned",
        bids=("hired", "rejected"),
        money=[(FUNDS - 4_000, 4_000), (0, 0)],
        letters={"owner": [], "ann": ["hired"], "bob": ["bid_rejected"]},
        events=["job_updated"],
    ),
    "take": Case(
        before="open",
        who="ann",
        target="in_progress",
        more={"instant_accept": True},
        after="in_progress",
        bids=("hired", "rejected"),
        money=[(FUNDS - 5_000, 5_000), (0, 0)],
        letters={"owner": ["job_accepted"], "ann": ["hired"], "bob": ["bid_rejected"]},
        events=["job_updated", "job_accepted"],
    ),
    "complete": Case(
        before="submitted",
        who="owner",
        target="completed",
        more={},
        after="completed",
        bids=("hired", "rejected"),
        money=[(FUNDS - 4_000, 0), (4_000, 0)],
        letters={"owner": ["job_completed"], "ann": ["payment_released"], "bob": []},
        events=["job_completed"],
    ),
    "submit and complete": Case(
        before="in_progress",
        who="ann",
        target="submitted",
        review_ms=0,
        more={},
        after="completed",
        bids=("hired", "rejected"),
        money=[(FUNDS - 4_000, 0), (4_000, 0)],
        letters={"owner": ["job_submitted", "job_completed"], "ann": ["payment_released"], "bob": []},
        events=["job_updated", "job_completed"],
    ),
    "refund of an open job": Case(
        before="open",
        who="owner",
        target="cancelled",
        more={},
        after="cancelled",
        bids=("rejected", "rejected"),
        money=[(FUNDS, 0), (0, 0)],
        letters={"owner": ["job_refunded"], "ann": ["job_cancelled"], "bob": ["job_cancelled"]},
        events=["job_refunded"],
    ),
    "refund of a job at work": Case(
        before="in_progress",
        who="ann",
        target="cancelled",
        more={},
        after="cancelled",
        bids=("hired", "rejected"),
        money=[(FUNDS, 0), (0, 0)],
        letters={"owner": ["job_refunded"], "ann": ["job_cancelled"], "bob": []},
        events=["job_refunded"],
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_kill_at_any_statement_leaves_all_or_nothing_and_the_same_key_gets_the_same_answer(
    store: Path, tmp_path: Path, name: str
) -> None:
    case = CASES[name]
    g, act, start = await prepared(store, case)
    lives = tmp_path / "lives"
    lives.mkdir()
    lines = kill_everywhere(store, lives, act)
    # Every statement from BEGIN to COMMIT, then after COMMIT and before the answer, and at last it lived.
    assert lines[0][:3] == ["killed", "1", "BEGIN"]
    assert [line[0] for line in lines] == ["killed"] * (len(lines) - 2) + ["told", "lived"]
    assert lines[-3][2] == "COMMIT"
    assert len(lines) > 12
    for what, n, *statement in lines:
        done = await look(lives / n / "hub.db", case, g, act, start)
        assert done == (what != "killed"), f"killed at {n}, {statement}"


async def prepared(store: Path, case: Case) -> tuple[PostedJob, Act, Dump]:
    """The job as it stands before, the request, and all that is on disk."""
    database = Database(store)
    await database.start()
    g: PostedJob = await database.write(create_job, case.before, **case.more)
    who: Person = getattr(g, case.who)
    role: Role = "client" if case.who == "owner" else "freelancer"
    hers = await database.read(bid_of, g)
    act = msgspec.convert(
        {
            "user": who.id,
            "role": role,
            "bid": hers,
            "job": g.job.id,
            "target": case.target,
            "review_ms": case.review_ms,
        },
        Act,
    )
    start = await database.read(dump)
    await database.stop()
    return g, act, start


def kill_everywhere(store: Path, lives: Path, act: Act) -> list[list[str]]:
    command = [sys.executable, "-m", "tests.support.processes.crash_points", str(store), str(lives)]
    done = subprocess.run(
        [*command, msgspec.json.encode(act).decode()], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split() for line in done.stdout.splitlines()]


async def look(path: Path, case: Case, g: PostedJob, act: Act, start: Dump) -> bool:
    """What a life has left: nothing or all of it (then True); and what a repeat of the request makes of it."""
    batches: list[Any] = []
    database = Database(path, on_commit=batches.append)
    await database.start()
    found = await database.read(dump)
    done = found != start
    if done:
        await database.read(check_after, case, g, start)
    await database.read(check_ledger)
    first = await database.write(ask, act, NOW + 1)
    if done:
        assert batches == []
        assert await database.read(dump) == found
    await database.read(check_after, case, g, start)
    second = await database.write(ask, act, NOW + 2)
    assert first == second
    (kept,) = (await database.read(dump))["idempotent_responses"]
    assert first in kept
    await database.read(check_ledger)
    await database.read(check_file)
    await database.stop()
    return done


def check_after(tx: Connection, /, case: Case, g: PostedJob, start: Dump) -> None:
    """All of it has happened, and once."""
    now = dump(tx)
    (job,) = tx.execute(select(tables.jobs)).all()
    assert (job.status, job.held) == (case.after, case.money[0][1])
    assert (bid_statuses(tx, g.job)[g.ann.id], bid_statuses(tx, g.job)[g.bob.id]) == case.bids
    assert balances(tx, g.owner, g.ann) == case.money
    for who, types in case.letters.items():
        assert news(now, start, "notifications", user_id=getattr(g, who).id) == types
    assert news(now, start, "events", channel="jobs") == case.events
    assert len(now["idempotent_responses"]) == len(start["idempotent_responses"]) + 1


def check_file(tx: Connection, /) -> None:
    assert tx.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
    assert tx.exec_driver_sql("PRAGMA foreign_key_check").all() == []


def bid_of(tx: Connection, /, g: PostedJob) -> str:
    bids = tables.bids.c
    wanted = select(bids.id).where(bids.job_id == g.job.id, bids.freelancer_id == g.ann.id)
    return str(tx.execute(wanted).scalar_one())


def dump(tx: Connection, /) -> Dump:
    """Every row of every table, in the order of their making."""
    return {
        table.name: [tuple(row) for row in tx.execute(select(table).order_by(*table.primary_key))]
        for table in tables.metadata.sorted_tables
    }


def news(now: Dump, start: Dump, table: str, **where: str) -> list[str]:
    """The types of a table's new rows, of somebody or on a channel."""
    ((column, wanted),) = where.items()
    names = [each.name for each in tables.metadata.tables[table].columns]
    at: Callable[[str], int] = names.index
    fresh = [row for row in now[table] if row not in start[table] and row[at(column)] == wanted]
    return [str(row[at("type")]) for row in fresh]
