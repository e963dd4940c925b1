"""Database writes: order, atomicity, bounds and shutdown."""

import asyncio
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from types import NoneType
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from services.database import outbox
from services.database.database import Database
from services.database.open_errors import CannotOpenStore
from services.database.sqlite import batch
from services.database.sqlite.writer import MAX_BATCH_UNITS, MAX_QUEUED_UNITS
from services.database.units import Batch
from services.errors import Overloaded
from tests.support.timeouts import TIMEOUT_SECONDS

Together = Callable[..., Awaitable[list[Any]]]

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def store(store: Path) -> Path:
    """A store with a table of this file."""
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("CREATE TABLE things (place INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)")
    return store


@pytest.fixture
def commits(database: Database) -> list[str]:
    """Record the COMMITs of the writer."""
    seen: list[str] = []
    database._writer._raw.set_trace_callback(lambda sql: seen.append(sql) if sql == "COMMIT" else None)
    return seen


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The writer's clock, which advances only when a unit advances it."""
    time = [0.0]
    monkeypatch.setattr(batch, "monotonic", lambda: time[0])
    return time


def add(tx: Connection, name: str) -> str:
    """Insert a row and append an event."""
    tx.exec_driver_sql("INSERT INTO things (name) VALUES (?)", (name,))
    outbox.append(tx, "jobs", "added", {"name": name}, now=0)
    return name


def add_unit(name: str) -> Callable[[Connection], str]:
    return lambda tx: add(tx, name)


def names(tx: Connection) -> list[str]:
    return list(tx.exec_driver_sql("SELECT name FROM things ORDER BY place").scalars())


def published(batches: list[Batch]) -> list[str]:
    return [one.data.decode()[9:-2] for batch in batches for one in batch.events]


# Writing


async def test_write_returns_the_result_of_its_unit(database: Database) -> None:
    assert await database.write(add, "one") == "one"
    assert await database.write(add, name="two") == "two"
    assert await database.read(names) == ["one", "two"]


async def test_thousand_concurrent_writes_share_four_commits(
    database: Database, commits: list[str], together: Together, batches: list[Batch], clock: list[float]
) -> None:
    answers = await together(*(add_unit(str(n)) for n in range(1_000)))
    assert answers == [str(n) for n in range(1_000)]
    assert len(commits) == 1 + 4
    assert [len(batch.units) for batch in batches] == [
        MAX_BATCH_UNITS,
        MAX_BATCH_UNITS,
        MAX_BATCH_UNITS,
        1_000 - 3 * MAX_BATCH_UNITS,
    ]


@pytest.mark.parametrize("careful", [False, True])
async def test_batch_ends_with_the_unit_that_exceeds_2000_rows(
    together: Together, batches: list[Batch], careful: bool, clock: list[float]
) -> None:
    def many(start: int) -> Callable[[Connection], None]:
        def unit(tx: Connection) -> None:
            tx.exec_driver_sql("INSERT INTO things (name) VALUES (?)", [(str(start + n),) for n in range(400)])
            for n in range(400):
                outbox.append(tx, "jobs", "added", {"name": str(start + n)}, now=0)

        return unit

    def late(tx: Connection) -> None:
        add(tx, "late")
        raise ValueError("after a write")

    units = [many(400 * n) for n in range(7)]
    await together(*([units[0], late, *units[1:]] if careful else units))
    assert [len(batch.events) for batch in batches] == [1_200, 1_200, 400]
    assert published(batches) == [str(n) for n in range(2_800)]


async def test_slow_units_share_batches_of_at_most_20_ms(
    together: Together, batches: list[Batch], clock: list[float]
) -> None:
    def slow(n: int) -> Callable[[Connection], None]:
        def unit(tx: Connection) -> None:
            clock[0] += 0.03 if n == 7 else 0.006
            add(tx, str(n))

        return unit

    await together(*(slow(n) for n in range(10)))
    # The unit that exceeds the bound is the last of its batch, and each batch has at least one unit.
    assert [len(batch.units) for batch in batches] == [4, 4, 2]
    assert published(batches) == [str(n) for n in range(10)]


async def test_batch_with_savepoints_has_the_same_bounds(
    together: Together, batches: list[Batch], clock: list[float]
) -> None:
    def unit(tx: Connection) -> None:
        clock[0] += 0.03
        add(tx, "once")

    results = await together(unit, unit, unit, add_unit("more"))
    assert [type(result) for result in results] == [NoneType, IntegrityError, IntegrityError, str]
    assert published(batches) == ["once", "more"]


async def test_units_left_over_run_first_in_the_next_batch(
    together: Together, batches: list[Batch], clock: list[float]
) -> None:
    def five(n: int) -> Callable[[Connection], None]:
        def unit(tx: Connection) -> None:
            for part in range(5):
                add(tx, f"{n}.{part}")

        return unit

    await together(*(five(n) for n in range(300)))
    assert [len(batch.units) for batch in batches] == [200, 100]
    assert published(batches) == [f"{n}.{part}" for n in range(300) for part in range(5)]


async def test_rows_events_positions_and_results_have_one_order(database: Database, batches: list[Batch]) -> None:
    chance = random.Random(7)
    answered: list[str] = []

    async def caller(me: int) -> None:
        for n in range(30):
            await asyncio.sleep(chance.choice((0, 0, 0.001)))
            answered.append(await database.write(add, f"{me}.{n}"))

    await asyncio.gather(*(caller(me) for me in range(20)))
    assert [one.position for batch in batches for one in batch.events] == list(range(1, 601))
    assert published(batches) == await database.read(names) == answered


async def test_events_are_published_before_writers_continue(store: Path) -> None:
    log: list[str] = []
    database = Database(store, on_commit=lambda batch: log.extend(published([batch])))
    await database.start()

    async def caller(name: str) -> None:
        await database.write(add, name)
        assert name in log

    await asyncio.gather(*(caller(str(n)) for n in range(100)))
    await database.stop()


async def test_published_events_are_already_readable(store: Path) -> None:
    found: list[bool] = []

    def inspect(batch: Batch) -> None:
        with closing(sqlite3.connect(store)) as other:
            positions = {position for (position,) in other.execute("SELECT position FROM events")}
        found.append({one.position for one in batch.events} <= positions)

    database = Database(store, on_commit=inspect)
    await database.start()
    await asyncio.gather(*(database.write(add, str(n)) for n in range(50)))
    await database.stop()
    assert found
    assert all(found)


async def test_failing_on_commit_still_completes_the_writes(store: Path) -> None:
    def broken(batch: Batch) -> None:
        raise ZeroDivisionError

    database = Database(store, on_commit=broken)
    await database.start()
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context["exception"]))
    assert await asyncio.wait_for(database.write(add, "one"), TIMEOUT_SECONDS) == "one"
    assert [type(error) for error in complaints] == [ZeroDivisionError]
    await database.stop()


async def test_full_queue_rejects_a_write_and_stores_nothing(database: Database) -> None:
    entered, leave = threading.Event(), threading.Event()

    def occupy(tx: Connection) -> None:
        entered.set()
        assert leave.wait(TIMEOUT_SECONDS)

    occupied = asyncio.create_task(database.write(occupy))
    await asyncio.to_thread(entered.wait, TIMEOUT_SECONDS)
    accepted = [asyncio.create_task(database.write(add, str(n))) for n in range(MAX_QUEUED_UNITS)]
    while database.queued_writes < MAX_QUEUED_UNITS:  # noqa: ASYNC110 (the queue has no event to wait on)
        await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await database.write(add, "one too many")
    leave.set()
    await occupied
    await asyncio.gather(*accepted)
    assert await database.read(names) == [str(n) for n in range(MAX_QUEUED_UNITS)]


async def test_cancelled_callers_do_not_stop_their_units(database: Database, batches: list[Batch]) -> None:
    def two(tx: Connection, n: int) -> None:
        add(tx, f"{n}a")
        add(tx, f"{n}b")

    chance = random.Random(3)
    for round in range(40):
        tasks = [asyncio.create_task(database.write(two, round * 10 + n)) for n in range(10)]
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        for task in chance.sample(tasks, 5):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await database.write(lambda tx: None)
    found = await database.read(names)
    assert [name[:-1] for name in found if name.endswith("a")] == [name[:-1] for name in found if name.endswith("b")]
    assert published(batches) == found
    # Units submitted before the cancellation ran; calls cancelled before their first step submitted none.
    assert len(found) >= 2 * 40 * 5


async def test_two_databases_on_one_store_lose_no_change(store: Path) -> None:
    """The data directory lock forbids this; BEGIN IMMEDIATE protects the store if the lock fails."""

    def count_up(tx: Connection) -> None:
        found = tx.exec_driver_sql("SELECT count(*) FROM things").scalar_one()
        tx.exec_driver_sql("INSERT INTO things (name) VALUES (?)", (str(found),))

    first, second = Database(store), Database(store)
    await first.start()
    await second.start()

    async def caller(database: Database) -> None:
        for _ in range(50):
            await database.write(count_up)

    await asyncio.gather(*(caller(database) for database in (first, second) for _ in range(4)))
    assert await first.read(names) == [str(n) for n in range(400)]
    await first.stop()
    await second.stop()


async def test_stop_completes_accepted_writes(store: Path) -> None:
    database = Database(store)
    await database.start()
    accepted = [asyncio.create_task(database.write(add, str(n))) for n in range(1_000)]
    await asyncio.sleep(0)
    await database.stop()
    assert all(task.done() for task in accepted)
    assert [task.result() for task in accepted] == [str(n) for n in range(1_000)]
    with closing(sqlite3.connect(store)) as connection:
        assert connection.execute("SELECT count(*) FROM things").fetchone() == (1_000,)
    assert not store.with_name("hub.db-wal").exists()


async def test_writes_are_rejected_after_stop(store: Path) -> None:
    database = Database(store)
    await database.start()
    await database.stop()
    with pytest.raises(Overloaded):
        await database.write(add, "late")
    with pytest.raises(Overloaded):
        await database.read(names)
    await database.stop()


async def test_missing_store_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(CannotOpenStore, match="no store at"):
        await Database(tmp_path / "hub.db").start()
    assert not os.listdir(tmp_path)


async def test_file_that_is_not_a_database_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    path.write_bytes(b"something else entirely\n" * 500)
    database = Database(path)
    with pytest.raises(CannotOpenStore, match="not a database"):
        await database.start()
    await database.stop()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", "newer version .revision 9999"),
        ("UPDATE alembic_version SET version_num = '0008'", "pre-release version"),
        ("DROP TABLE alembic_version", "migrated first"),
    ],
)
async def test_store_of_another_revision_is_rejected(store: Path, statement: str, message: str) -> None:
    with closing(sqlite3.connect(store)) as connection:
        connection.execute(statement)
        connection.commit()
    with pytest.raises(CannotOpenStore, match=message):
        await Database(store).start()


OPEN_UNPRIVILEGED = """
import asyncio, os, sys
from pathlib import Path
from services.database.database import Database
from services.database.statements import Statement
from services.database.sqlite.engine import CannotOpenStore

database = Database(Path(sys.argv[1]))
if os.geteuid() == 0:
    os.setuid(65534)  # File permissions do not apply to root.
try:
    asyncio.run(database.start())
except CannotOpenStore as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("mode_of_folder", [0o755, 0o700, 0o000])
def test_unreadable_store_is_rejected_with_one_sentence(store: Path, mode_of_folder: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(store, folder))
        path.chmod(0o400)
        path.parent.chmod(mode_of_folder)
        done = subprocess.run(
            [sys.executable, "-c", OPEN_UNPRIVILEGED, path],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
        path.parent.chmod(0o700)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{path} cannot be opened: ")
    assert len(done.stderr.splitlines()) == 1
