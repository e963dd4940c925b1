"""Faults in a batch: a failing unit affects only itself, and a failing disk stops writing."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from services.database import outbox
from services.database.database import Database
from services.database.sqlite import engine, writer
from services.database.units import Batch
from services.errors import StorageFull, StorageUnavailable
from tests.support.timeouts import TIMEOUT_SECONDS

# These tests check how units end a batch, so a slow machine must not end it by time.
pytestmark = pytest.mark.usefixtures("unhurried")

Together = Callable[..., Awaitable[list[Any]]]


@pytest.fixture
def store(store: Path) -> Path:
    """A store with tables that roll back by themselves or refuse a COMMIT."""
    with closing(sqlite3.connect(store)) as connection:
        connection.executescript(
            """
            CREATE TABLE things (place INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
            CREATE TRIGGER bomb BEFORE INSERT ON things WHEN NEW.name = 'bomb'
                BEGIN SELECT RAISE(ROLLBACK, 'everything is taken back'); END;
            CREATE TABLE parts (thing INTEGER REFERENCES things (place) DEFERRABLE INITIALLY DEFERRED);
            """
        )
    return store


@pytest.fixture
def statements(database: Database) -> list[str]:
    """Record the statements of the writer's connection."""
    seen: list[str] = []
    database._writer._raw.set_trace_callback(seen.append)
    return seen


def add(tx: Connection, name: str) -> str:
    tx.exec_driver_sql("INSERT INTO things (name) VALUES (?)", (name,))
    outbox.append(tx, "jobs", "added", {"name": name}, now=0, subject=name)
    return name


def add_unit(name: str) -> Callable[[Connection], str]:
    return lambda tx: add(tx, name)


def names(tx: Connection) -> list[str]:
    return list(tx.exec_driver_sql("SELECT name FROM things ORDER BY place").scalars())


def published(batches: list[Batch]) -> list[str]:
    return [event.data.decode()[9:-2] for batch in batches for event in batch.events]


class Refused(Exception):
    """A unit rejects its input."""


def reject(tx: Connection) -> None:
    outbox.append(tx, "jobs", "added", {"name": "never"}, now=0)
    raise Refused


def reject_after_write(tx: Connection) -> None:
    add(tx, "never")
    raise Refused


def roll_back(tx: Connection) -> None:
    add(tx, "bomb")


def roll_back_silently(tx: Connection) -> str:
    try:
        add(tx, "bomb")
    except IntegrityError:
        return "well done"
    raise AssertionError


def violate_deferred_constraint(tx: Connection) -> None:
    add(tx, "never")
    tx.exec_driver_sql("INSERT INTO parts (thing) VALUES (9999)")


def append_unstorable_event(tx: Connection) -> None:
    add(tx, "never")
    outbox.append(tx, "jobs:\ud800", "added", {}, now=0)


def append_unframeable_event(tx: Connection) -> None:
    add(tx, "never")
    outbox.append(tx, "jobs", "added\r\nid: 1", {}, now=0)


def raise_stop_iteration(tx: Connection) -> None:
    next(iter(()))


def exit_process(tx: Connection) -> None:
    add(tx, "never")
    raise SystemExit(3)


FAULTS = [
    (reject, Refused),
    (reject_after_write, Refused),
    (roll_back, IntegrityError),
    (roll_back_silently, RuntimeError),
    (violate_deferred_constraint, IntegrityError),
    (append_unstorable_event, UnicodeEncodeError),
    (append_unframeable_event, ValueError),
    (raise_stop_iteration, RuntimeError),
    (exit_process, RuntimeError),
]


@pytest.mark.parametrize(("fault", "error"), FAULTS, ids=lambda value: value.__name__)
@pytest.mark.parametrize("place", [0, 2, 4])
async def test_failing_unit_does_not_affect_other_units(
    database: Database,
    together: Together,
    batches: list[Batch],
    fault: Callable[[Connection], Any],
    error: type[Exception],
    place: int,
) -> None:
    units: list[Callable[[Connection], Any]] = [add_unit(name) for name in "abcd"]
    units.insert(place, fault)
    answers = await together(*units)
    assert isinstance(answers.pop(place), error)
    assert answers == ["a", "b", "c", "d"]
    assert await database.read(names) == ["a", "b", "c", "d"]
    assert published(batches) == ["a", "b", "c", "d"]
    assert [event.position for batch in batches for event in batch.events] == [1, 2, 3, 4]
    assert not database.storage_failed
    # No transaction stays open for the next unit.
    assert not database._writer._raw.in_transaction
    assert await database.write(add, "e") == "e"
    assert published(batches)[4:] == ["e"]


@pytest.mark.parametrize("fault", [fault for fault, _ in FAULTS], ids=lambda fault: fault.__name__)
async def test_failing_unit_alone_stores_nothing(
    database: Database, batches: list[Batch], fault: Callable[[Connection], Any]
) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 (the type is a parameter of the test)
        await database.write(fault)
    assert await database.read(names) == []
    assert await database.read(outbox.head) == (0, (await database.read(outbox.head))[1])
    assert batches == []


async def test_failing_units_of_all_kinds_leave_the_others_complete(
    database: Database, together: Together, batches: list[Batch]
) -> None:
    units: list[Callable[[Connection], Any]] = []
    for n, (fault, _) in enumerate(FAULTS):
        units += [add_unit(str(n)), fault]
    answers = await together(*units)
    assert answers[::2] == [str(n) for n in range(len(FAULTS))]
    assert all(isinstance(answer, error) for answer, (_, error) in zip(answers[1::2], FAULTS, strict=True))
    assert published(batches) == await database.read(names) == answers[::2]


async def test_unit_failing_before_a_write_needs_no_retry(together: Together, statements: list[str]) -> None:
    runs: list[int] = []

    def count_runs(n: int) -> Callable[[Connection], None]:
        def unit(tx: Connection) -> None:
            runs.append(n)
            if n % 2:
                raise Refused
            add(tx, str(n))

        return unit

    await together(*(count_runs(n) for n in range(100)))
    assert runs == list(range(100))
    # The first two belong to the unit that kept the writer busy.
    assert [s for s in statements if s.split()[0] in ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT")] == [
        "BEGIN IMMEDIATE",
        "COMMIT",
        "BEGIN IMMEDIATE",
        "COMMIT",
    ]


async def test_unit_failing_after_a_write_costs_one_retry_and_no_commit(
    together: Together, statements: list[str]
) -> None:
    await together(
        *(add_unit(str(n)) for n in range(50)), reject_after_write, *(add_unit(str(n)) for n in range(50, 100))
    )
    # One of these belongs to the unit that kept the writer busy.
    assert statements.count("COMMIT") == 2
    assert statements.count("SAVEPOINT unit") == 101


# Events that are forgotten in the batch that appends them


async def test_event_forgotten_in_its_batch_is_not_published(
    database: Database, together: Together, batches: list[Batch]
) -> None:
    await together(add_unit("a"), add_unit("b"), lambda tx: outbox.forget(tx, "a"), add_unit("c"))
    assert published(batches) == ["b", "c"]
    # The gap stays: that position may be in a stored response.
    assert [event.position for event in batches[0].events] == [2, 3]
    page = await database.read(outbox.read_after, channels=["jobs"], position=0, limit=9)
    assert [event.data for event in page.events] == [b'{"name":"b"}', b'{"name":"c"}']


async def test_forgetting_removes_earlier_events(database: Database, batches: list[Batch]) -> None:
    await database.write(add, "a")
    await database.write(outbox.forget, "a")
    assert batches[-1].events == []
    assert batches[-1].forgotten == [1]


@pytest.mark.parametrize("late", [False, True])
async def test_failed_unit_forgets_no_event(
    database: Database, together: Together, batches: list[Batch], late: bool
) -> None:
    await database.write(add, "old")

    def forget_and_fail(tx: Connection) -> None:
        outbox.forget(tx, "new")
        if late:
            outbox.forget(tx, "old")
        raise Refused

    await together(add_unit("new"), forget_and_fail)
    assert published(batches) == ["old", "new"]
    assert [batch.forgotten for batch in batches] == [[], []]
    page = await database.read(outbox.read_after, channels=["jobs"], position=0, limit=9)
    assert len(page.events) == 2


async def test_event_appended_after_forgetting_is_kept(together: Together, batches: list[Batch]) -> None:
    def again(tx: Connection) -> None:
        outbox.append(tx, "jobs", "added", {"name": "again"}, now=0, subject="a")

    await together(add_unit("a"), lambda tx: outbox.forget(tx, "a"), again)
    assert published(batches) == ["again"]


# The disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


async def test_full_disk_rejects_writes_and_keeps_reads(store: Path, small_disk: Path) -> None:
    path = small_disk / "hub.db"
    shutil.copy(store, path)
    batches: list[Batch] = []
    database = Database(path, on_commit=batches.append)
    await database.start()
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 600_000)

    def big(tx: Connection, n: int) -> int:
        add(tx, f"{n}" + "x" * 9_000)
        tx.exec_driver_sql("INSERT INTO parts (thing) VALUES (NULL)")
        return n

    written: list[int] = []
    refused: Exception | None = None
    while refused is None:
        try:
            written.append(await database.write(big, len(written)))
        except StorageFull as error:
            refused = error
    assert written
    assert not database.storage_failed
    # All concurrent writes are rejected, and reads continue.
    answers = await asyncio.gather(*(database.write(big, 5_000 + n) for n in range(20)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StorageFull] * 20
    assert len(await database.read(names)) == len(written) == len(published(batches))
    assert await database.read(lambda tx: tx.exec_driver_sql("SELECT count(*) FROM parts").scalar_one()) == len(written)
    # With free space again, writing needs no restart.
    ballast.unlink()
    assert await database.write(big, 9_999) == 9_999
    assert [event.position for batch in batches for event in batch.events] == list(range(1, len(written) + 2))
    await database.stop()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM things").fetchone() == (len(written) + 1,)


async def test_batch_is_rejected_when_the_store_is_full(
    database: Database, together: Together, batches: list[Batch]
) -> None:
    pages = database._writer._raw.execute("PRAGMA page_count").fetchone()[0]
    database._writer._raw.execute(f"PRAGMA max_page_count={pages + 2}")
    answers = await together(add_unit("a"), add_unit("b" * 100_000), add_unit("c"))
    assert [type(answer) for answer in answers] == [StorageFull] * 3
    assert await database.read(names) == published(batches) == []
    assert not database.storage_failed
    assert await database.write(add, "small") == "small"


async def test_corrupt_store_stops_writing_and_is_reported_once(store: Path) -> None:
    doubts: list[bool] = []
    database = Database(store, on_storage_failure=lambda: doubts.append(True))
    await database.start()
    corrupt(store)
    answers = await asyncio.gather(*(database.write(add, str(n)) for n in range(10)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StorageUnavailable] * 10
    assert database.storage_failed
    with pytest.raises(StorageUnavailable):
        await database.write(add, "c")
    assert doubts == [True]
    await database.stop()


def corrupt(store: Path) -> None:
    """Overwrite everything except the header."""
    size = store.stat().st_size
    with store.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (size - 100))


async def test_all_queued_units_are_answered_when_the_disk_fails(
    database: Database, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubts: list[bool] = []
    monkeypatch.setattr(database, "_on_storage_failure", lambda: doubts.append(True))

    def break_transaction(tx: Connection) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    answers = await together(
        *(add_unit(str(n)) for n in range(100)), break_transaction, *(add_unit(str(n)) for n in range(100, 600))
    )
    assert [type(answer) for answer in answers] == [StorageUnavailable] * 601
    assert len({id(answer) for answer in answers}) == 601
    # They are in three batches, and the failure is reported once.
    assert doubts == [True]
    assert database.storage_failed
    assert await database.read(names) == []


async def test_no_unit_is_written_after_a_storage_failure(
    database: Database, together: Together, batches: list[Batch]
) -> None:
    def break_transaction(tx: Connection) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        if not tx.exec_driver_sql("SELECT count(*) FROM things WHERE name = 'b'").scalar_one():
            raise error

    # This unit makes every unit run in its own transaction.
    answers = await together(roll_back, add_unit("a"), break_transaction, add_unit("b"))
    assert [type(answer) for answer in answers][2:] == [StorageUnavailable] * 2
    assert published(batches) == await database.read(names)
    assert "b" not in published(batches)


# The write-ahead log


async def test_long_wal_is_truncated_when_its_last_reader_ends(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "CHECKPOINT_PAUSE_SECONDS", 0.0)
    cap = 200_000
    wal = store.with_name("hub.db-wal")
    database = Database(store, wal_bytes=cap)
    await database.start()
    timeouts: list[str] = []
    database._writer._raw.set_trace_callback(lambda sql: timeouts.append(sql) if "PRAGMA" in sql else None)
    await database.write(add, "first")
    with closing(sqlite3.connect(store, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM things").fetchone()
        n = 0
        while wal.stat().st_size <= cap:
            await database.write(add, f"{n}" + "x" * 2_000)
            n += 1
        # The checkpoint gives up, and the writer continues.
        for more in range(5):
            await database.write(add, f"more {more}")
        assert wal.stat().st_size > cap
        assert reader.execute("SELECT count(*) FROM things").fetchone() == (1,)
    await database.write(add, "last")
    await database.write(add, "and one to see that it was cut")
    assert wal.stat().st_size < cap
    attempts = timeouts.count("PRAGMA wal_checkpoint(TRUNCATE)")
    assert attempts >= 6
    assert (
        timeouts
        == [
            f"PRAGMA busy_timeout={writer.CHECKPOINT_BUSY_MS}",
            "PRAGMA wal_checkpoint(TRUNCATE)",
            f"PRAGMA busy_timeout={engine.BUSY_TIMEOUT_MS}",
        ]
        * attempts
    )
    assert writer.CHECKPOINT_BUSY_MS <= 50
    assert len(await database.read(names)) == n + 8
    await database.stop()


async def test_short_wal_is_left_to_sqlite(database: Database) -> None:
    timeouts: list[str] = []
    database._writer._raw.set_trace_callback(lambda sql: timeouts.append(sql) if "PRAGMA" in sql else None)
    for n in range(20):
        await database.write(add, str(n))
    assert timeouts == []


async def test_failed_checkpoint_stops_writing_and_is_reported_while_idle(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubted = asyncio.Event()
    database = Database(store, wal_bytes=0, on_storage_failure=doubted.set)
    await database.start()
    answered = threading.Event()
    monkeypatch.setattr(database._writer, "_truncate_wal", lambda: not answered.wait(TIMEOUT_SECONDS))
    assert await database.write(add, "a") == "a"
    answered.set()
    await asyncio.wait_for(doubted.wait(), TIMEOUT_SECONDS)
    with pytest.raises(StorageUnavailable):
        await database.write(add, "b")
    assert await database.read(names) == ["a"]
    await database.stop()


async def test_stop_does_not_touch_a_store_after_a_storage_failure(store: Path) -> None:
    database = Database(store)
    await database.start()
    await database.write(add, "a")
    database._writer._runner.storage_failed = True
    before = content(store)
    await database.stop()
    # Closing would run a checkpoint, which copies the log into the store and removes it.
    assert content(store) == before
    assert content(store.with_name("hub.db-wal"))


def content(path: Path) -> bytes:
    return path.read_bytes()
