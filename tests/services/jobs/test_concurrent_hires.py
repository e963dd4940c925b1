"""Hires from several processes at once, each with the file open for itself: the store alone sees to it that one wins.

In the product only one process writes (a lock on the data folder keeps the others out); `Database` does not know of
that lock, so here it is not there.
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
TIMES = 250
BIDS = 10
# One job is one race, and the start decides it; so there are more races, with fewer hires each.
RACES = 25


class Racers:
    """The processes: each hires the bids it is given so many times at once."""

    def __init__(self, store: Path, owner: Person, times: int) -> None:
        self._ends = ExitStack()
        command = [sys.executable, "-m", "tests.support.processes.hires", str(store), owner.id, str(times)]
        self._racers = [
            self._ends.enter_context(
                subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(PROCESSES)
        ]
        assert [self._say(racer) for racer in self._racers] == ["ready\n"] * PROCESSES

    def race(self, bids: list[str]) -> list[dict[str, Any]]:
        """Let all hire at once; what came of each hire. No two begin with the same bid."""
        for place, racer in enumerate(self._racers):
            assert racer.stdin is not None
            racer.stdin.write(" ".join(islice(cycle(bids), place, place + len(bids))) + "\n")
        for racer in self._racers:
            assert racer.stdin is not None
            racer.stdin.flush()
        return [answer for racer in self._racers for answer in json.loads(self._say(racer))]

    def end(self) -> list[int]:
        """Let them go; their exit codes."""
        self._ends.close()
        return [racer.returncode for racer in self._racers]

    def _say(self, racer: "subprocess.Popen[str]") -> str:
        assert racer.stdout is not None
        return racer.stdout.readline()


@pytest.fixture
async def owner(database: Database) -> Person:
    return await database.write(marketplace.person, "Olga", "client")


async def jobs_with_bids(database: Database, owner: Person, jobs: int, bids: int) -> dict[str, list[str]]:
    def make(tx: Connection) -> dict[str, list[str]]:
        freelancers = [marketplace.person(tx, f"F{n}") for n in range(bids)]
        posted = [marketplace.post(tx, owner) for _ in range(jobs)]
        return {job.id: [marketplace.bid(tx, job, who).id for who in freelancers] for job in posted}

    return await database.write(make)


def check(store: Path, answers: list[dict[str, Any]], job: str, bids: list[str]) -> None:
    """One won, all others were told so, and the store holds what one hire leaves behind."""
    (won,) = [answer["hired"] for answer in answers if "hired" in answer]
    lost = [answer for answer in answers if "hired" not in answer]
    assert lost == [{"error": "GigNotOpen", "currentStatus": "assigned", "hiredBidId": won}] * (len(answers) - 1)
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as rows:
        assert rows.execute("SELECT status, hired_bid_id FROM jobs WHERE id = ?", (job,)).fetchall() == [
            ("assigned", won)
        ]
        statuses = dict(rows.execute("SELECT id, status FROM bids WHERE job_id = ?", (job,)).fetchall())
        assert statuses == dict.fromkeys(bids, "rejected") | {won: "hired"}
        told = rows.execute(
            "SELECT n.type, b.id FROM notifications n JOIN bids b ON b.freelancer_id = n.user_id"
            " WHERE b.job_id = ?1 AND n.data ->> 'jobId' = ?1 ORDER BY b.id",
            (job,),
        ).fetchall()
        assert told == [("hired" if one == won else "bid_rejected", one) for one in sorted(bids)]
        hires = (
            "SELECT count(*) FROM events WHERE subject = ? AND type = 'job_updated'"
            " AND CAST(data AS TEXT) ->> 'status' = 'assigned'"
        )
        assert rows.execute(hires, (job,)).fetchone() == (1,)
        assert rows.execute("PRAGMA foreign_key_check").fetchall() == []
        assert rows.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def race(database: Database, store: Path, owner: Person, *, jobs: int, times: int) -> None:
    fields = await jobs_with_bids(database, owner, jobs, BIDS)
    await database.stop()
    racers = Racers(store, owner, times)
    answers = {job: racers.race(bids) for job, bids in fields.items()}
    assert racers.end() == [0] * PROCESSES
    for job, bids in fields.items():
        check(store, answers[job], job, bids)


async def test_of_a_thousand_hires_from_four_processes_one_wins(database: Database, store: Path, owner: Person) -> None:
    await race(database, store, owner, jobs=1, times=TIMES)


async def test_each_of_many_races_has_one_winner(database: Database, store: Path, owner: Person) -> None:
    await race(database, store, owner, jobs=RACES, times=BIDS)
