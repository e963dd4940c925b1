"""Concurrent hires from many processes: the constraints of the store let one of them succeed.

In the product a lock on the data directory allows one writing process. `Database` itself does not take that lock.
"""

import json
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from services.database.database import Database
from services.schemas import Person
from tests.services.jobs import marketplace
from tests.support.server import ROOT

PROCESSES = 4
BIDS = 10


class Racers:
    """Processes that hire for the same jobs at the same time."""

    def __init__(self, store: Path, owner: Person) -> None:
        self._exits = ExitStack()
        command = [sys.executable, "-m", "tests.support.processes.hires", str(store), owner.id]
        self._processes = [
            self._exits.enter_context(
                subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(PROCESSES)
        ]
        assert [self._read_line(process) for process in self._processes] == ["ready\n"] * PROCESSES

    def race(self, bids: list[str], hires: int) -> list[dict[str, Any]]:
        """Run `hires` hires of each process at the same time, each starting at another bid; return every result."""
        for index, process in enumerate(self._processes):
            assert process.stdin is not None
            process.stdin.write(f"{hires} {' '.join(islice(cycle(bids), index, index + len(bids)))}\n")
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.flush()
        return [result for process in self._processes for result in json.loads(self._read_line(process))]

    def stop(self) -> list[int]:
        """Close the processes and return their exit codes."""
        self._exits.close()
        return [process.returncode for process in self._processes]

    def _read_line(self, process: "subprocess.Popen[str]") -> str:
        assert process.stdout is not None
        return process.stdout.readline()


@pytest.fixture
async def owner(database: Database) -> Person:
    return await database.write(marketplace.person, "Olga", "client")


async def create_jobs_with_bids(database: Database, owner: Person, jobs: int, bids: int) -> dict[str, list[str]]:
    def create(tx: Connection) -> dict[str, list[str]]:
        freelancers = [marketplace.person(tx, f"F{n}") for n in range(bids)]
        posted = [marketplace.post(tx, owner) for _ in range(jobs)]
        return {job.id: [marketplace.bid(tx, job, freelancer).id for freelancer in freelancers] for job in posted}

    return await database.write(create)


def check(store: Path, results: list[dict[str, Any]], job: str, bids: list[str]) -> None:
    """Check that one hire succeeded, all others got the error, and the store contains exactly one hire."""
    (hired,) = [result["hired"] for result in results if "hired" in result]
    errors = [result for result in results if "hired" not in result]
    assert errors == [{"error": "GigNotOpen", "currentStatus": "assigned", "hiredBidId": hired}] * (len(results) - 1)
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as rows:
        assert rows.execute("SELECT status, hired_bid_id FROM jobs WHERE id = ?", (job,)).fetchall() == [
            ("assigned", hired)
        ]
        statuses = dict(rows.execute("SELECT id, status FROM bids WHERE job_id = ?", (job,)).fetchall())
        assert statuses == dict.fromkeys(bids, "rejected") | {hired: "hired"}
        notifications = rows.execute(
            "SELECT n.type, b.id FROM notifications n JOIN bids b ON b.freelancer_id = n.user_id"
            " WHERE b.job_id = ?1 AND n.data ->> 'jobId' = ?1 ORDER BY b.id",
            (job,),
        ).fetchall()
        assert notifications == [("hired" if bid == hired else "bid_rejected", bid) for bid in sorted(bids)]
        hire_events = (
            "SELECT count(*) FROM events WHERE subject = ? AND type = 'job_updated'"
            " AND CAST(data AS TEXT) ->> 'status' = 'assigned'"
        )
        assert rows.execute(hire_events, (job,)).fetchone() == (1,)
        assert rows.execute("PRAGMA foreign_key_check").fetchall() == []
        assert rows.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_one_of_many_hires_from_four_processes_succeeds(
    database: Database, store: Path, owner: Person, deep: bool
) -> None:
    # Each job is one race, which the start decides. Hence more races with fewer hires after the long one.
    races = [250, *[BIDS] * 25] if deep else [50, *[BIDS] * 7]
    bids_by_job = await create_jobs_with_bids(database, owner, len(races), BIDS)
    await database.stop()
    racers = Racers(store, owner)
    results = [racers.race(bids, hires) for bids, hires in zip(bids_by_job.values(), races, strict=True)]
    assert racers.stop() == [0] * PROCESSES
    assert [len(result) for result in results] == [PROCESSES * hires for hires in races]
    for result, (job, bids) in zip(results, bids_by_job.items(), strict=True):
        check(store, result, job, bids)
