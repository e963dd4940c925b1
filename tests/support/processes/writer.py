"""A process with nothing but a store in it, for tests that kill it or look over its shoulder.

`python -m tests.support.processes.writer MODE FILE [NAMES…]` says on its output, one line each, unbuffered:
`ready`, `sent NAME`, `batch N` (events), `told POSITION NAME`, `ack NAME ANSWER`, `refused NAME ERROR`, `doubt`,
`rows N`, `stopped`.

MODE `rounds`: twenty rounds of eight writes at once; `singles`: sixty writes, one at a time; both end by themselves.
`flood`: sixteen callers without end, who first repeat NAMES, those that were sent before and never answered.
With HUB_TEST_UNSAFE=1 the store does not sync before it answers: to see that a test notices.
"""

import asyncio
import itertools
import os
import sys
from pathlib import Path

from sqlalchemy import Connection, func, insert, select

from services.database import idempotency, outbox
from services.database.database import Database
from services.database.sqlite import engine
from services.database.units import Batch
from services.errors import DomainError
from services.tables import announcements

_ADD = insert(announcements)
CALLERS = 16


def say(*words: object) -> None:
    """One write to the pipe: a line is there whole or not at all, and strace sees when."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def add(tx: Connection, name: str) -> str:
    """One row, one event, one answer that is kept."""

    def act(tx: Connection) -> str:
        tx.execute(_ADD, {"id": name, "title": f"<{name}>", "body": "b", "priority": "low", "created_at": 0})
        outbox.append(tx, "jobs", "added", {"name": name}, now=0)
        return outbox.next_cursor(tx)

    return idempotency.run_once(tx, caller="test", key=name, digest=b"", now=0, act=act).body.decode()


def rows(tx: Connection) -> int:
    """How many names are there."""
    return tx.execute(select(func.count()).select_from(announcements)).scalar_one()


def tell(batch: Batch) -> None:
    """What a stream would do."""
    say("batch", len(batch.events))
    for event in batch.events:
        say("told", event.position, event.data.decode()[9:-2])


async def write(database: Database, name: str) -> None:
    """Ask, and say what came of it."""
    say("sent", name)
    try:
        say("ack", name, await database.write(add, name))
    except DomainError as error:
        say("refused", name, type(error).__name__)


async def main(mode: str, path: Path, names: list[str]) -> None:
    """Run one of the modes."""
    database = Database(path, on_commit=tell, on_storage_failure=lambda: say("doubt"))
    await database.start()
    say("ready")
    if mode == "rounds":
        for n in range(20):
            await asyncio.gather(*(write(database, f"{n:02}-{caller}") for caller in range(8)))
    elif mode == "singles":
        for n in range(60):
            await write(database, f"{n:02}")
    else:
        again, numbers = iter(names), itertools.count()

        async def caller(me: int) -> None:
            while True:
                await write(database, next(again, None) or f"{os.getpid()}-{me}-{next(numbers)}")

        await asyncio.gather(*(caller(me) for me in range(CALLERS)))
    say("rows", await database.read(rows))
    await database.stop()
    say("stopped")


if __name__ == "__main__":
    if os.environ.get("HUB_TEST_UNSAFE"):
        engine._WRITER_PRAGMAS = tuple(pragma.replace("=FULL", "=NORMAL") for pragma in engine._WRITER_PRAGMAS)
        engine._WRITER_EXPECTED["synchronous"] = 1
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
