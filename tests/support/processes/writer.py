"""A process that only writes to a store, for tests that kill or trace it.

`python -m tests.support.processes.writer MODE FILE [NAMES…]` prints unbuffered lines: `ready`, `sent NAME`,
`batch N` (number of events), `published POSITION NAME`, `ack NAME RESULT`, `rejected NAME ERROR`, `storage-failed`,
`rows N`, `stopped`.

MODE `rounds` makes twenty rounds of eight concurrent writes, `singles` sixty writes one after the other; both end by
themselves. `flood` runs sixteen callers without end, which first repeat NAMES: writes sent before and not answered.
With HUB_TEST_UNSAFE=1 the store does not sync before it answers, to show that the tests detect this.
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

_INSERT = insert(announcements)
CALLER_COUNT = 16


def print_line(*words: object) -> None:
    """Print a line with one write, so that a pipe has all of it or nothing, and strace sees when."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def add(tx: Connection, name: str) -> str:
    """Write one row, one event and one stored response."""

    def act(tx: Connection) -> str:
        tx.execute(_INSERT, {"id": name, "title": f"<{name}>", "body": "b", "priority": "low", "created_at": 0})
        outbox.append(tx, "jobs", "added", {"name": name}, now=0)
        return outbox.next_cursor(tx)

    return idempotency.run_once(tx, caller="test", key=name, digest=b"", now=0, act=act).body.decode()


def count_rows(tx: Connection) -> int:
    """Return how many names the store has."""
    return tx.execute(select(func.count()).select_from(announcements)).scalar_one()


def publish(batch: Batch) -> None:
    """Print the events of a committed batch, as the hub would send them to streams."""
    print_line("batch", len(batch.events))
    for event in batch.events:
        print_line("published", event.position, event.data.decode()[9:-2])


async def write(database: Database, name: str) -> None:
    """Write a name and print the result."""
    print_line("sent", name)
    try:
        print_line("ack", name, await database.write(add, name))
    except DomainError as error:
        print_line("rejected", name, type(error).__name__)


async def main(mode: str, path: Path, names: list[str]) -> None:
    """Run one of the modes."""
    database = Database(path, on_commit=publish, on_storage_failure=lambda: print_line("storage-failed"))
    await database.start()
    print_line("ready")
    if mode == "rounds":
        for number in range(20):
            await asyncio.gather(*(write(database, f"{number:02}-{caller}") for caller in range(8)))
    elif mode == "singles":
        for number in range(60):
            await write(database, f"{number:02}")
    else:
        repeated, numbers = iter(names), itertools.count()

        async def flood(caller: int) -> None:
            while True:
                await write(database, next(repeated, None) or f"{os.getpid()}-{caller}-{next(numbers)}")

        await asyncio.gather(*(flood(caller) for caller in range(CALLER_COUNT)))
    print_line("rows", await database.read(count_rows))
    await database.stop()
    print_line("stopped")


if __name__ == "__main__":
    if os.environ.get("HUB_TEST_UNSAFE"):
        engine._WRITER_PRAGMAS = tuple(pragma.replace("=FULL", "=NORMAL") for pragma in engine._WRITER_PRAGMAS)
        engine._WRITER_EXPECTED["synchronous"] = 1
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
