"""ReaderPool: thread round trips, replacement of broken readers and shutdown."""

import asyncio
import gc
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import Connection, Select, column, event, select, table
from sqlalchemy.exc import DBAPIError

from services.database.database import Database
from services.database.sqlite import engine
from services.database.sqlite.readers import ReaderPool
from services.database.statements import Statement
from services.errors import StorageUnavailable
from tests.support.timeouts import TIMEOUT_SECONDS

REFERENCES: Select[Any] = select(column("place")).select_from(table("things"))
PREPARED = Statement(REFERENCES)


@pytest.fixture
def store(store: Path) -> Path:
    """A store with a table of three rows."""
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("CREATE TABLE things (place INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO things VALUES (1), (2), (3)")
        connection.commit()
    return store


@pytest.fixture
async def readers(database: Database) -> ReaderPool:
    """Return the readers of a running database."""
    return database._readers


def count(tx: Connection) -> int:
    return int(tx.exec_driver_sql("SELECT count(*) FROM things").scalar_one())


def add(tx: Connection) -> None:
    tx.exec_driver_sql("INSERT INTO things DEFAULT VALUES")


def run_statements(tx: Connection) -> list[int]:
    """Execute statements of each kind and fetch all rows."""
    return [*tx.execute(REFERENCES).scalars(), *(row.place for row in PREPARED.all(tx, {})), count(tx)]


async def ended(threads: Iterable[threading.Thread]) -> None:
    """Fail unless all threads end."""
    for thread in threads:
        await asyncio.to_thread(thread.join, TIMEOUT_SECONDS)
        assert not thread.is_alive()


class Queue:
    """Replaces the queue of aiosqlite and counts its items."""

    def __init__(self, real: Any) -> None:
        self._real, self.count = real, 0

    def put_nowait(self, item: object) -> None:
        self.count += 1
        self._real.put_nowait(item)


@pytest.fixture
async def queue(readers: ReaderPool) -> AsyncIterator[Queue]:
    """Count the items sent to the one open reader."""
    await readers.run(count)
    (reader,) = readers._idle
    connection: Any = reader._connection
    queue = connection._tx = Queue(connection._tx)
    yield queue
    connection._tx = queue._real


async def test_read_costs_one_thread_round_trip(database: Database, queue: Queue) -> None:
    assert await database.read(count) == 3
    assert queue.count == 1
    assert await database.read(run_statements) == [1, 2, 3, 1, 2, 3, 3]
    assert queue.count == 2


async def test_sequential_reads_open_one_reader(database: Database, readers: ReaderPool) -> None:
    assert readers._idle == []
    assert {await database.read(lambda tx: threading.get_ident()) for _ in range(20)} != {threading.get_ident()}
    assert len(readers._idle) == 1


async def test_aiosqlite_runs_any_function_on_its_thread() -> None:
    """`services.database.sqlite.readers` needs `_execute`, `_thread` and a custom connector; two are private."""
    made_on: list[threading.Thread] = []

    def connector() -> sqlite3.Connection:
        made_on.append(threading.current_thread())
        return sqlite3.connect(":memory:")

    def add(one: int, other: int) -> tuple[threading.Thread, int]:
        return threading.current_thread(), one + other

    connection = aiosqlite.Connection(connector, iter_chunk_size=1)
    connection._thread.daemon = True
    await connection
    assert await connection._execute(add, 1, 2) == (connection._thread, 3)  # type: ignore[no-untyped-call]
    assert made_on == [connection._thread]
    with pytest.raises(ZeroDivisionError):
        await connection._execute(divmod, 1, 0)  # type: ignore[no-untyped-call]
    await connection.close()
    await ended([connection._thread])


async def test_readers_do_not_keep_the_process_alive(database: Database) -> None:
    assert await database.read(lambda tx: threading.current_thread().daemon)


async def test_waiting_reads_get_a_reader_in_order(database: Database) -> None:
    leave, entered = [threading.Event() for _ in range(engine.MAX_READERS)], threading.Semaphore(0)
    order: list[int] = []

    def hold(tx: Connection, until: threading.Event) -> None:
        entered.release()
        assert until.wait(TIMEOUT_SECONDS)

    async def read(number: int) -> None:
        await database.read(count)
        order.append(number)

    reads = [asyncio.create_task(database.read(hold, until)) for until in leave]
    for _ in reads:
        await asyncio.to_thread(entered.acquire)
    waiting = [asyncio.create_task(read(number)) for number in range(50)]
    await asyncio.sleep(0)
    # One free reader serves all of them.
    leave[0].set()
    await asyncio.gather(*waiting)
    assert order == list(range(50))
    for each in leave:
        each.set()
    await asyncio.gather(*reads)


def _close_raw_connection(tx: Connection) -> None:
    engine.raw_connection(tx).close()


def _use_closed_connection(tx: Connection) -> None:
    engine.raw_connection(tx).close()
    count(tx)


def _use_closed_raw_connection(tx: Connection) -> None:
    engine.raw_connection(tx).close()
    PREPARED.all(tx, {})


def _close_in_a_transaction(tx: Connection) -> None:
    count(tx)
    engine.raw_connection(tx).close()


def _close_by_sqlalchemy(tx: Connection) -> None:
    count(tx)
    tx.close()


def _invalidate(tx: Connection) -> None:
    count(tx)
    tx.invalidate()


@pytest.mark.parametrize(
    "break_it",
    [
        _close_raw_connection,
        _use_closed_connection,
        _use_closed_raw_connection,
        _close_in_a_transaction,
        _close_by_sqlalchemy,
        _invalidate,
    ],
)
async def test_broken_reader_is_replaced(database: Database, break_it: Callable[[Connection], None]) -> None:
    threads: set[threading.Thread] = set()

    def break_(tx: Connection) -> None:
        threads.add(threading.current_thread())
        break_it(tx)

    for _ in range(2 * engine.MAX_READERS):
        with suppress(DBAPIError, sqlite3.Error):
            await database.read(break_)
        assert await database.read(count) == 3
    assert len(threads) == 2 * engine.MAX_READERS
    await ended(threads)


async def test_failed_query_keeps_its_reader(database: Database, queue: Queue) -> None:
    def fail(tx: Connection) -> None:
        tx.exec_driver_sql("SELECT 1 FROM nowhere")

    for _ in range(5):
        with pytest.raises(DBAPIError, match="no such table"):
            await database.read(fail)
    assert await database.read(count) == 3
    assert queue.count == 6


def _keep_a_result(tx: Connection) -> object:
    rows = tx.execute(REFERENCES)
    return rows, next(iter(rows))


def _keep_a_cursor(tx: Connection) -> object:
    cursor = tx.connection.cursor()
    cursor.execute("SELECT place FROM things")
    return cursor, cursor.fetchone()


def _fail_between_rows(tx: Connection) -> object:
    for row in tx.execute(REFERENCES):
        raise LookupError(row)
    return None


@pytest.mark.parametrize("leave_open", [_keep_a_result, _keep_a_cursor, _fail_between_rows])
async def test_open_statement_does_not_keep_the_next_read_in_an_old_snapshot(
    database: Database, queue: Queue, leave_open: Callable[[Connection], object]
) -> None:
    (kept,) = await asyncio.gather(database.read(leave_open), return_exceptions=True)
    await database.write(add)
    assert await database.read(count) == 4
    # The same reader ran both.
    assert queue.count == 2
    assert kept is not None


async def test_query_raising_an_unusual_exception_is_answered(database: Database) -> None:
    for error in (StopIteration(), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()):

        def end(tx: Connection, error: BaseException = error) -> None:
            raise error

        with pytest.raises(RuntimeError, match="cannot be passed on") as raised:
            await database.read(end)
        assert raised.value.__cause__ is error
    assert await database.read(count) == 3


def _hide(store: Path) -> None:
    store.rename(store.with_name("away"))
    store.mkdir()


def _show(store: Path) -> None:
    store.rmdir()
    store.with_name("away").rename(store)


async def test_failed_open_leaks_no_slot_and_no_thread(database: Database, store: Path) -> None:
    threads: list[threading.Thread] = []

    def opening(*_: object) -> None:
        threads.append(threading.current_thread())

    event.listen(database._readers._engine, "do_connect", opening)
    _hide(store)
    for _ in range(2 * engine.MAX_READERS):
        with pytest.raises(StorageUnavailable):
            await database.read(count)
    _show(store)
    assert len(threads) == 2 * engine.MAX_READERS
    await ended(threads)
    assert await database.read(count) == 3


async def test_stop_completes_waiting_reads_and_ends_every_thread(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(store)
    await database.start()
    leave, entered, threads = threading.Event(), threading.Semaphore(0), set[threading.Thread]()

    def hold(tx: Connection) -> int:
        threads.add(threading.current_thread())
        entered.release()
        assert leave.wait(TIMEOUT_SECONDS)
        return count(tx)

    reads = [asyncio.create_task(database.read(hold)) for _ in range(4 * engine.MAX_READERS)]
    for _ in range(engine.MAX_READERS):
        await asyncio.to_thread(entered.acquire)
    reads[0].cancel()
    reads[-1].cancel()
    stopping = asyncio.create_task(database.stop())
    await asyncio.sleep(0)
    leave.set()
    await stopping
    assert [await read for read in reads[1:-1]] == [3] * (4 * engine.MAX_READERS - 2)
    assert len(threads) == engine.MAX_READERS
    await ended(threads)
    assert os.listdir(store.parent) == [store.name]
    # Each was closed on its own thread, so SQLAlchemy logs no warning.
    del database, hold, reads, stopping
    gc.collect()
    assert caplog.messages == []
