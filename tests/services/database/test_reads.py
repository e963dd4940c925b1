"""Database reads: one snapshot, bounds, and no leak by cancelled reads."""

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
from tests.support.timeouts import TIMEOUT_SECONDS

Together = Callable[..., Awaitable[list[Any]]]


@pytest.fixture
def store(store: Path) -> Path:
    """A store with a table of this file."""
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("CREATE TABLE things (place INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)")
    return store


def add(tx: Connection, name: str) -> str:
    """Insert a row and append an event."""
    tx.exec_driver_sql("INSERT INTO things (name) VALUES (?)", (name,))
    outbox.append(tx, "jobs", "added", {"name": name}, now=0)
    return name


def names(tx: Connection) -> list[str]:
    return list(tx.exec_driver_sql("SELECT name FROM things ORDER BY place").scalars())


_NAMES = Statement(select(column("name")).select_from(table("things")))


def names_by_driver(tx: Connection) -> list[str]:
    return [name for (name,) in _NAMES.all(tx, {})]


def pragmas(tx: Connection) -> dict[str, Any]:
    pragmas = ("journal_mode", "synchronous", "foreign_keys", "query_only", "trusted_schema", "temp_store")
    return {name: tx.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in pragmas}


async def test_every_connection_has_its_pragmas(database: Database) -> None:
    both = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "temp_store": 2}
    # Only the writer runs triggers, and the triggers of the search index need a trusted schema.
    assert await database.write(pragmas) == {**both, "query_only": 0, "trusted_schema": 1}
    async with BusyReaders(database, sqlite_engine.MAX_READERS - 1):
        assert await database.read(pragmas) == {**both, "query_only": 1, "trusted_schema": 0}


def test_ignored_pragma_is_detected() -> None:
    engine = sqlite_engine.writer_engine(Path(":memory:"))
    with pytest.raises(CannotOpenStore, match="journal_mode=wal for this file: it stays at memory"):
        engine.connect()
    engine.dispose()


async def test_reader_cannot_write(database: Database) -> None:
    with pytest.raises(OperationalError, match="readonly"):
        await database.read(lambda tx: tx.exec_driver_sql("INSERT INTO things (name) VALUES ('x')"))
    assert await database.read(names) == []


async def test_foreign_keys_are_enforced(database: Database) -> None:
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        await database.write(
            lambda tx: tx.exec_driver_sql("INSERT INTO inboxes (user_id, seq, unread, unseen) VALUES ('nobody',0,0,0)")
        )


class BusyReaders:
    """Keep this many readers busy in the middle of a statement."""

    def __init__(self, database: Database, count: int) -> None:
        self._database = database
        self._count = count
        self._leave = threading.Event()
        self._entered = threading.Semaphore(0)

    def _wait(self) -> int:
        self._entered.release()
        assert self._leave.wait(TIMEOUT_SECONDS)
        return 0

    def block(self, tx: Connection) -> None:
        """Block inside a statement on the reader's thread."""
        sqlite_engine.raw_connection(tx).create_function("hold", 0, self._wait)
        tx.exec_driver_sql("SELECT hold()")

    async def __aenter__(self) -> "BusyReaders":
        self._reads = [asyncio.create_task(self._database.read(self.block)) for _ in range(self._count)]
        for _ in range(self._count):
            await asyncio.to_thread(self._entered.acquire)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leave.set()
        await asyncio.gather(*self._reads, return_exceptions=True)


async def test_read_does_not_wait_for_a_slow_read(database: Database) -> None:
    async with BusyReaders(database, sqlite_engine.MAX_READERS - 1):
        assert await database.read(names) == []


async def test_write_does_not_wait_for_readers(database: Database) -> None:
    async with BusyReaders(database, sqlite_engine.MAX_READERS):
        assert await database.write(add, "one") == "one"


async def test_read_without_a_free_reader_is_rejected(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(store)
    await database.start()
    async with BusyReaders(database, sqlite_engine.MAX_READERS):
        with monkeypatch.context() as patch:
            patch.setattr(sqlite_engine, "MAX_READER_WAIT_SECONDS", 0.05)
            with pytest.raises(Overloaded):
                await database.read(names)
    assert await database.read(names) == []
    await database.stop()


async def test_number_of_waiting_reads_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_database, "MAX_READS", sqlite_engine.MAX_READERS + 1)
    async with BusyReaders(database, sqlite_engine.MAX_READERS):
        waiting = asyncio.create_task(database.read(names))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await database.read(names)
    # The earlier read is still served, so the cause is not the timeout.
    assert await waiting == []


@pytest.mark.parametrize("ask", [names, names_by_driver])
async def test_read_sees_one_snapshot(database: Database, ask: Callable[[Connection], list[str]]) -> None:
    busy = BusyReaders(database, 0)
    await database.write(add, "before")

    def twice(tx: Connection) -> tuple[list[str], list[str]]:
        first = ask(tx)
        busy.block(tx)
        return first, ask(tx)

    reading = asyncio.create_task(database.read(twice))
    await asyncio.to_thread(busy._entered.acquire)
    await database.write(add, "after")
    busy._leave.set()
    assert await reading == (["before"], ["before"])
    assert await database.read(names) == ["before", "after"]


async def test_cancelled_reads_leave_every_reader_usable(database: Database) -> None:
    opened: list[object] = []
    event.listen(database._readers._engine, "connect", lambda connection, record: opened.append(connection))
    chance = random.Random(1)
    for _ in range(200):
        reading = asyncio.create_task(database.read(names))
        for _ in range(chance.randrange(12)):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    async with BusyReaders(database, sqlite_engine.MAX_READERS - 1):
        assert await database.read(names) == []
    # A cancelled read may still be returning its reader.
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await asyncio.gather(*database._reads, return_exceptions=True)
    assert not database._reads
    # No reader was discarded.
    assert len(opened) == sqlite_engine.MAX_READERS


async def test_read_cancelled_during_a_statement_returns_its_reader(database: Database) -> None:
    for _ in range(3):
        async with BusyReaders(database, sqlite_engine.MAX_READERS) as busy:
            for reading in busy._reads:
                reading.cancel()
    async with BusyReaders(database, sqlite_engine.MAX_READERS - 1):
        assert await database.read(names) == []


async def test_cancelled_failing_read_logs_no_error(database: Database) -> None:
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    busy = BusyReaders(database, 0)

    def fail(tx: Connection) -> None:
        busy.block(tx)
        raise ZeroDivisionError

    reading = asyncio.create_task(database.read(fail))
    await asyncio.to_thread(busy._entered.acquire)
    (task,) = database._reads
    reading.cancel()
    busy._leave.set()
    await asyncio.wait([task])
    del reading, task
    gc.collect()
    assert complaints == []


async def test_stop_waits_for_running_reads(store: Path) -> None:
    database = Database(store)
    await database.start()
    busy = BusyReaders(database, 1)
    async with busy:
        stopping = asyncio.create_task(database.stop())
        await asyncio.sleep(0)
        assert not stopping.done()
    await stopping
    assert all(reading.done() and not reading.exception() for reading in busy._reads)
