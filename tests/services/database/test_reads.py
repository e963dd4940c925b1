"""What the store promises to those who read: one moment, bounds, nothing left behind by who is cancelled."""

import asyncio
import gc
import random
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, column, event, select, table
from sqlalchemy.exc import IntegrityError, OperationalError

from services.database import database as database_database
from services.database import outbox
from services.database.database import Database
from services.database.open_errors import CannotOpenStore
from services.database.sqlite import engine as sqlite_engine
from services.database.statements import Statement
from services.errors import Overloaded

Together = Callable[..., Awaitable[list[Any]]]


@pytest.fixture
def store(store: Path) -> Path:
    """With a table of this file's own."""
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("CREATE TABLE things (place INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)")
    return store


def add(tx: Connection, name: str) -> str:
    """One row and one event."""
    tx.exec_driver_sql("INSERT INTO things (name) VALUES (?)", (name,))
    outbox.append(tx, "jobs", "added", {"name": name}, now=0)
    return name


def names(tx: Connection) -> list[str]:
    return list(tx.exec_driver_sql("SELECT name FROM things ORDER BY place").scalars())


_NAMES = Statement(select(column("name")).select_from(table("things")))


def names_past_core(tx: Connection) -> list[str]:
    return [name for (name,) in _NAMES.all(tx, {})]


def pragmas(tx: Connection) -> dict[str, Any]:
    asked = ("journal_mode", "synchronous", "foreign_keys", "query_only", "trusted_schema", "temp_store")
    return {name: tx.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in asked}


async def test_every_connection_has_the_pragmas_it_needs(database: Database) -> None:
    both = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "temp_store": 2}
    # Triggers run on the writer alone, and those that write to the search index need a trusted schema.
    assert await database.write(pragmas) == {**both, "query_only": 0, "trusted_schema": 1}
    async with Held(database, sqlite_engine.MAX_READERS - 1):
        assert await database.read(pragmas) == {**both, "query_only": 1, "trusted_schema": 0}


def test_a_pragma_that_is_not_obeyed_is_noticed() -> None:
    engine = sqlite_engine.writer_engine(Path(":memory:"))
    with pytest.raises(CannotOpenStore, match="journal_mode=wal for this file: it stays at memory"):
        engine.connect()
    engine.dispose()


async def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(OperationalError, match="readonly"):
        await database.read(lambda tx: tx.exec_driver_sql("INSERT INTO things (name) VALUES ('x')"))
    assert await database.read(names) == []


async def test_a_foreign_key_is_enforced(database: Database) -> None:
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        await database.write(
            lambda tx: tx.exec_driver_sql("INSERT INTO inboxes (user_id, seq, unread, unseen) VALUES ('nobody',0,0,0)")
        )


class Held:
    """So many readers kept busy in the middle of a statement."""

    def __init__(self, database: Database, count: int) -> None:
        self._database = database
        self._count = count
        self._leave = threading.Event()
        self._entered = threading.Semaphore(0)

    def _wait(self) -> int:
        self._entered.release()
        assert self._leave.wait(20)
        return 0

    def hold(self, tx: Connection) -> None:
        """Wait inside a statement, on the reader's thread."""
        sqlite_engine.raw_connection(tx).create_function("hold", 0, self._wait)
        tx.exec_driver_sql("SELECT hold()")

    async def __aenter__(self) -> "Held":
        self._reads = [asyncio.create_task(self._database.read(self.hold)) for _ in range(self._count)]
        for _ in range(self._count):
            await asyncio.to_thread(self._entered.acquire)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leave.set()
        await asyncio.gather(*self._reads, return_exceptions=True)


async def test_a_read_does_not_wait_for_a_slow_one(database: Database) -> None:
    async with Held(database, sqlite_engine.MAX_READERS - 1):
        assert await database.read(names) == []


async def test_a_write_does_not_wait_for_readers(database: Database) -> None:
    async with Held(database, sqlite_engine.MAX_READERS):
        assert await database.write(add, "one") == "one"


async def test_a_read_that_finds_no_reader_is_refused(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_engine, "MAX_READER_WAIT_SECONDS", 0.05)
    database = Database(store)
    await database.start()
    async with Held(database, sqlite_engine.MAX_READERS):
        with pytest.raises(Overloaded):
            await database.read(names)
    assert await database.read(names) == []
    await database.stop()


async def test_reads_that_wait_are_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_database, "MAX_READS", sqlite_engine.MAX_READERS + 1)
    async with Held(database, sqlite_engine.MAX_READERS):
        waiting = asyncio.create_task(database.read(names))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await database.read(names)
    # It was not for want of time: the one before is still served.
    assert await waiting == []


@pytest.mark.parametrize("ask", [names, names_past_core])
async def test_a_read_sees_one_moment(database: Database, ask: Callable[[Connection], list[str]]) -> None:
    held = Held(database, 0)
    await database.write(add, "before")

    def twice(tx: Connection) -> tuple[list[str], list[str]]:
        first = ask(tx)
        held.hold(tx)
        return first, ask(tx)

    reading = asyncio.create_task(database.read(twice))
    await asyncio.to_thread(held._entered.acquire)
    await database.write(add, "after")
    held._leave.set()
    assert await reading == (["before"], ["before"])
    assert await database.read(names) == ["before", "after"]


async def test_two_hundred_cancelled_reads_leave_every_reader_usable(database: Database) -> None:
    opened: list[object] = []
    event.listen(database._readers._engine, "connect", lambda connection, record: opened.append(connection))
    chance = random.Random(1)
    for _ in range(200):
        reading = asyncio.create_task(database.read(names))
        for _ in range(chance.randrange(12)):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    async with Held(database, sqlite_engine.MAX_READERS - 1):
        assert await database.read(names) == []
    # What was cancelled may still be giving its reader back.
    async with asyncio.timeout(10):
        await asyncio.gather(*database._reads, return_exceptions=True)
    assert not database._reads
    # None was thrown away either.
    assert len(opened) == sqlite_engine.MAX_READERS


async def test_a_read_that_is_cancelled_inside_a_statement_gives_its_reader_back(database: Database) -> None:
    for _ in range(3):
        async with Held(database, sqlite_engine.MAX_READERS) as held:
            for reading in held._reads:
                reading.cancel()
    async with Held(database, sqlite_engine.MAX_READERS - 1):
        assert await database.read(names) == []


async def test_a_cancelled_read_that_fails_complains_to_nobody(database: Database) -> None:
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    held = Held(database, 0)

    def fail(tx: Connection) -> None:
        held.hold(tx)
        raise ZeroDivisionError

    reading = asyncio.create_task(database.read(fail))
    await asyncio.to_thread(held._entered.acquire)
    (task,) = database._reads
    reading.cancel()
    held._leave.set()
    await asyncio.wait([task])
    del reading, task
    gc.collect()
    assert complaints == []


async def test_stopping_waits_for_the_reads_under_way(store: Path) -> None:
    database = Database(store)
    await database.start()
    held = Held(database, 1)
    async with held:
        stopping = asyncio.create_task(database.stop())
        await asyncio.sleep(0)
        assert not stopping.done()
    await stopping
    assert all(reading.done() and not reading.exception() for reading in held._reads)
