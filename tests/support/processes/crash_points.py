"""A process that does one act on copies of a store and is killed at every statement of it, one after the other.

`python -m tests.support.processes.crash_points STORE FOLDER ACT` (the act as JSON) prints a line for each life:
`killed N STATEMENT`, then `told N` (killed after COMMIT, before the answer), then `lived N`. The store that life N
leaves behind is FOLDER/N/hub.db.
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
# Far more statements than any act has.
MOST: Final = 500
# So little memory that SQLite writes into its log before COMMIT: a kill then leaves a part of the transaction there.
_NO_CACHE: Final = "PRAGMA cache_size=1"


class Act(msgspec.Struct, frozen=True):
    """A request: a hire of `bid`, or a job that is to go to `target`."""

    user: str
    role: Role
    bid: str = ""
    job: str = ""
    target: JobStatus | None = None
    review_ms: int = 1


def ask(tx: Connection, act: Act, now: int) -> bytes:
    """Do it, once for its key: the answer as it was given first."""
    work = partial(_do, act=act, now=now)
    return idempotency.run_once(tx, caller=act.user, key="key", digest=b"", now=now, act=work).body


def _do(tx: Connection, act: Act, now: int) -> Any:
    if act.target is None:
        return hiring.hire(tx, bid_id=act.bid, owner_id=act.user, now=now).response
    terms = Deadlines(review_ms=act.review_ms, delivery_ms=1)
    user = Person(id=act.user, name="Somebody")
    return status_change.change_status(
        tx, job_id=act.job, user=user, role=act.role, target=act.target, deadlines=terms, now=now
    ).job


class Failpoint:
    """Counts statements once it is armed, and kills this process at the n-th."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.count = 0
        self.armed = False

    def reach(self, what: str) -> None:
        """A statement is about to begin."""
        if not self.armed:
            return
        self.count += 1
        if self.count == self.n:
            say("killed" if what else "told", self.n, *what.split()[:4])
            os.kill(os.getpid(), signal.SIGKILL)


async def life(path: Path, act: Act, failpoint: Failpoint) -> None:
    """A hub's store from its start to the answer, or to the failpoint."""
    database = Database(path, on_commit=lambda batch: failpoint.reach(""))
    await database.start()
    # The writer does nothing now until it is asked.
    failpoint.armed = True
    await database.write(ask, act, NOW)
    failpoint.armed = False
    await database.stop()


def watch(failpoint: Failpoint) -> Callable[[Any, Any], None]:
    """Have SQLite itself say what it runs, statements inside of triggers too."""

    def on_connect(connection: Any, _record: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute(_NO_CACHE)
            connection.set_trace_callback(failpoint.reach)

    return on_connect


def say(*words: object) -> None:
    """One write to the pipe: a line is there whole or not at all."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def main(store: Path, folder: Path, act: Act) -> None:
    """One life for each statement: each in a process of its own, made from this one, which does nothing else."""
    for n in range(1, MOST):
        path = folder / str(n) / "hub.db"
        path.parent.mkdir()
        shutil.copy(store, path)
        child = os.fork()
        if child == 0:
            _child(path, act, Failpoint(n))
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            say("lived" if status == 0 else "failed", n)
            return


def _child(path: Path, act: Act, failpoint: Failpoint) -> NoReturn:
    try:
        event.listen(Pool, "connect", watch(failpoint))
        asyncio.run(life(path, act, failpoint))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), msgspec.json.decode(sys.argv[3], type=Act))
