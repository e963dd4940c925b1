"""A process that runs one request on copies of a store and is killed at one statement of each run.

`python -m tests.support.processes.crash_points STORE FOLDER REQUEST POINTS` (the request as JSON; POINTS is `all` or
`sample`) prints a line for each run: `finished 0`, then `killed N TABLE STATEMENT`, with the table that the statement
writes or its first word, then `committed N` (killed after COMMIT, before the response). The store that run N leaves
is FOLDER/N/hub.db.
"""

import asyncio
import os
import re
import shutil
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec
from sqlalchemy import Connection, event
from sqlalchemy.pool import Pool

from services.database import idempotency
from services.database.database import Database
from services.jobs import hiring, status_change
from services.jobs.lifecycle import Deadlines
from services.jobs.schemas import JobStatus
from services.schemas import Person, Role

NOW: Final = 1_700_000_000_000
# With so little cache SQLite writes to its log before COMMIT, so that a kill leaves a part of the transaction there.
_NO_CACHE: Final = "PRAGMA cache_size=1"
# The statements of the finished run.
_STATEMENTS: Final = "statements.json"
_WRITE: Final = re.compile(r"\b(?:INSERT(?: OR \w+)? INTO|UPDATE|DELETE FROM) (\w+)")


class Request(msgspec.Struct, frozen=True):
    """A request: the hire of a bid, or a status change of a job to `target`."""

    user_id: str
    role: Role
    bid_id: str = ""
    job_id: str = ""
    target: JobStatus | None = None
    review_ms: int = 1


def run_request(tx: Connection, request: Request, now: int) -> bytes:
    """Run the request with an idempotency key and return the response of its first run."""
    work = partial(_run, request=request, now=now)
    return idempotency.run_once(tx, caller=request.user_id, key="key", digest=b"", now=now, act=work).body


def _run(tx: Connection, request: Request, now: int) -> Any:
    if request.target is None:
        return hiring.hire(tx, bid_id=request.bid_id, owner_id=request.user_id, now=now).response
    deadlines = Deadlines(review_ms=request.review_ms, delivery_ms=1)
    user = Person(id=request.user_id, name="A user")
    return status_change.change_status(
        tx, job_id=request.job_id, user=user, role=request.role, target=request.target, deadlines=deadlines, now=now
    ).job


def written_table(statement: str) -> str | None:
    """Return the table that a statement writes, without those that its triggers write."""
    write = _WRITE.search(statement)
    return write and write[1]


def sample_points(statements: list[str]) -> list[int]:
    """Return the first statement, the first write of each table, the last statement, COMMIT and the moment after it.

    SQLite reports each step of a trigger as the statement that fired it: the last step of each is a point, too.
    """
    points = {1, len(statements) - 2, len(statements) - 1, len(statements)}
    first_writes: dict[str, int] = {}
    trigger_steps: dict[str, int] = {}
    for n, statement in enumerate(statements, 1):
        if table := written_table(statement):
            first_writes.setdefault(table, n)
            if n > 1 and statement == statements[n - 2]:
                trigger_steps[table] = n
    return sorted(points | set(first_writes.values()) | set(trigger_steps.values()))


class CrashPoint:
    """Records statements once it is armed, and kills this process at statement number `n`; 0 kills it never."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.statements: list[str] = []
        self.armed = False

    def reach(self, statement: str) -> None:
        """Called before each statement, and with an empty one after COMMIT."""
        if not self.armed:
            return
        self.statements.append(statement)
        if len(self.statements) == self.n:
            if statement:
                words = statement.split()
                print_line("killed", self.n, written_table(statement) or words[0], *words[:4])
            else:
                print_line("committed", self.n)
            os.kill(os.getpid(), signal.SIGKILL)


async def run_once(path: Path, request: Request, crash_point: CrashPoint) -> None:
    """Open the store, run the request and close the store, unless the crash point is reached."""
    database = Database(path, on_commit=lambda batch: crash_point.reach(""))
    await database.start()
    # The writer is idle until the request.
    crash_point.armed = True
    await database.write(run_request, request, NOW)
    crash_point.armed = False
    await database.stop()


def trace_statements(crash_point: CrashPoint) -> Callable[[Any, Any], None]:
    """Return a listener that makes SQLite report every statement, including those of triggers."""

    def on_connect(connection: Any, _record: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute(_NO_CACHE)
            connection.set_trace_callback(crash_point.reach)

    return on_connect


def print_line(*words: object) -> None:
    """Print a line with one write, so that a kill never leaves half a line in the pipe."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def main(store: Path, folder: Path, request: Request, points: str) -> None:
    """Fork one process that finishes, then one for each point; this process does nothing else."""
    finished = _fork(store, folder / "0", request, CrashPoint(0))
    print_line("finished" if finished == 0 else "failed", 0)
    statements = msgspec.json.decode((folder / "0" / _STATEMENTS).read_bytes(), type=list[str])
    for n in sample_points(statements) if points == "sample" else range(1, len(statements) + 1):
        if not os.WIFSIGNALED(_fork(store, folder / str(n), request, CrashPoint(n))):
            print_line("failed", n)


def _fork(store: Path, folder: Path, request: Request, crash_point: CrashPoint) -> int:
    """Run the request on a copy of the store in a fork of this process; return the status of its end."""
    folder.mkdir()
    shutil.copy(store, folder / "hub.db")
    child = os.fork()
    if child == 0:
        _run_child(folder, request, crash_point)
    return os.waitpid(child, 0)[1]


def _run_child(folder: Path, request: Request, crash_point: CrashPoint) -> NoReturn:
    try:
        event.listen(Pool, "connect", trace_statements(crash_point))
        asyncio.run(run_once(folder / "hub.db", request, crash_point))
        (folder / _STATEMENTS).write_bytes(msgspec.json.encode(crash_point.statements))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), msgspec.json.decode(sys.argv[3], type=Request), sys.argv[4])
