"""A process that runs one request on copies of a store and is killed at each statement in turn.

`python -m tests.support.processes.crash_points STORE FOLDER REQUEST` (the request as JSON) prints a line for each run:
`killed N STATEMENT`, then `committed N` (killed after COMMIT, before the response), then `finished N`. The store that
run N leaves is FOLDER/N/hub.db.
"""

import asyncio
import os
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
# Far more statements than any request runs.
MAX_RUNS: Final = 500
# With so little cache SQLite writes to its log before COMMIT, so that a kill leaves a part of the transaction there.
_NO_CACHE: Final = "PRAGMA cache_size=1"


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


class CrashPoint:
    """Counts statements once it is armed, and kills this process at statement number `n`."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.count = 0
        self.armed = False

    def reach(self, statement: str) -> None:
        """Called before each statement, and with an empty one after COMMIT."""
        if not self.armed:
            return
        self.count += 1
        if self.count == self.n:
            print_line("killed" if statement else "committed", self.n, *statement.split()[:4])
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


def main(store: Path, folder: Path, request: Request) -> None:
    """Fork one process for each statement; this process does nothing else."""
    for n in range(1, MAX_RUNS):
        path = folder / str(n) / "hub.db"
        path.parent.mkdir()
        shutil.copy(store, path)
        child = os.fork()
        if child == 0:
            _run_child(path, request, CrashPoint(n))
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            print_line("finished" if status == 0 else "failed", n)
            return


def _run_child(path: Path, request: Request, crash_point: CrashPoint) -> NoReturn:
    try:
        event.listen(Pool, "connect", trace_statements(crash_point))
        asyncio.run(run_once(path, request, crash_point))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), msgspec.json.decode(sys.argv[3], type=Request))
