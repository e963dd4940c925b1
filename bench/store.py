"""Measures units of work per second through the writer, compared with plain SQLite.

`python -m bench.store`: each unit writes one row and one event. One line shows the cost when one of thirty units fails
after writing; the last line shows a notification to many users.
"""

import asyncio
import itertools
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import uvloop
from sqlalchemy import Connection, insert

from services.database import outbox
from services.database.database import Database
from services.database.sqlite import engine as sqlite_engine
from services.database.sqlite.batch import BatchRunner
from services.database.units import QueuedUnit
from services.errors import Conflict
from services.notifications import inbox
from services.notifications.draft import NotificationDraft
from services.store.migrate import upgrade
from services.tables import announcements

MEASUREMENT_SECONDS = 1.5
ROUNDS = 3
RECIPIENTS = 1_000
NOTIFICATION_ROUNDS = 15
_INSERT = insert(announcements)
_DRAFT = NotificationDraft(type="bench", category="system", title="A note", body="x" * 120)
_DATA = {"id": "x" * 36, "title": "A note", "unread": 1}
_numbers, _attempts = itertools.count(), itertools.count(1)

Unit = Callable[[Connection], None]


def add_row(tx: Connection) -> None:
    """Write a row and an event."""
    id = f"{os.getpid()}-{next(_numbers)}"
    tx.execute(_INSERT, {"id": id, "title": "A note", "body": "b", "priority": "low", "created_at": 0})
    outbox.append(tx, f"user:{id}", "notification", _DATA, now=0, subject=id)


def add_row_or_fail(tx: Connection) -> None:
    """Write a row and an event; fail in one of thirty calls after writing."""
    add_row(tx)
    if next(_attempts) % 30 == 0:
        raise Conflict


async def measure_writer(database: Database, callers: int, unit: Unit) -> tuple[float, float, float]:
    """Return units per second, and the median and 99th percentile in milliseconds."""
    times: list[float] = []
    began = time.perf_counter()

    async def caller() -> None:
        while (began_unit := time.perf_counter()) < began + MEASUREMENT_SECONDS:
            with suppress(Conflict):
                await database.write(unit)
            times.append(time.perf_counter() - began_unit)

    await asyncio.gather(*(caller() for _ in range(callers)))
    rate = len(times) / (time.perf_counter() - began)
    percentiles = statistics.quantiles(times, n=100)
    return rate, percentiles[49] * 1e3, percentiles[98] * 1e3


def measure_sqlite(path: Path, batch: int) -> float:
    """Write the same rows directly with SQLite, in batches; return rows per second."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=FULL")
        done, began = 0, time.perf_counter()
        while time.perf_counter() < began + MEASUREMENT_SECONDS:
            ids = [f"plain-{next(_numbers)}" for _ in range(batch)]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO announcements (id, title, body, priority, created_at) VALUES (?, 'A note', 'b', 'low', 0)",
                [(id,) for id in ids],
            )
            sql = "UPDATE event_counter SET position = position + ? RETURNING position"
            (last,) = connection.execute(sql, (batch,)).fetchone()
            connection.executemany(
                "INSERT INTO events VALUES (?, ?, 'notification', ?, ?, 0)",
                [(last - at, f"user:{id}", b"x" * 70, id) for at, id in enumerate(ids)],
            )
            connection.execute("COMMIT")
            done += batch
        return done / (time.perf_counter() - began)


def measure_notifications(path: Path, other: Path) -> tuple[float, float]:
    """Send a notification to 1,000 users in one transaction, then insert the same rows with plain SQLite.

    Returns the CPU milliseconds of both.
    """
    upgrade(path)
    upgrade(other)
    engine = sqlite_engine.writer_engine(path)
    with engine.connect() as tx, closing(sqlite3.connect(other, isolation_level=None)) as plain_store:
        runner, raw = BatchRunner(tx), sqlite_engine.raw_connection(tx)
        plain_store.execute("PRAGMA synchronous=FULL")
        user_rows = [(f"{next(_numbers):036d}", "Ann", "client", 0) for _ in range(RECIPIENTS)]
        for store in (raw, plain_store):
            store.executemany("INSERT INTO users (id, name, role, created_at) VALUES (?, ?, ?, ?)", user_rows)
        items = [(row[0], _DRAFT) for row in user_rows]
        hub_seconds, sqlite_seconds = [], []
        for now in range(1, NOTIFICATION_ROUNDS + 1):
            began = time.thread_time()
            runner.run([QueuedUnit(partial(inbox.deliver, items=items, now=now), asyncio.Future())])
            hub_seconds.append(time.thread_time() - began)
            rows = {
                name: raw.execute(f"SELECT * FROM {name} WHERE created_at = ?", (now,)).fetchall()
                for name in ("notifications", "events")
            }
            sqlite_seconds.append(_insert(plain_store, rows))
    engine.dispose()
    return statistics.median(hub_seconds) * 1e3, statistics.median(sqlite_seconds) * 1e3


def _insert(store: sqlite3.Connection, tables: Mapping[str, Sequence[Sequence[object]]]) -> float:
    """Insert these rows in one transaction; return the CPU seconds."""
    began = time.thread_time()
    store.execute("BEGIN IMMEDIATE")
    for name, rows in tables.items():
        store.executemany(f"INSERT INTO {name} VALUES ({','.join('?' * len(rows[0]))})", rows)
    store.execute("COMMIT")
    return time.thread_time() - began


async def main() -> None:
    """Measure every kind once per round, and print the medians."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        path, other = Path(folder, "hub.db"), Path(folder, "sqlite.db")
        upgrade(path)
        upgrade(other)
        database = Database(path)
        await database.start()
        kinds: list[tuple[int, Unit]] = [(1, add_row), (32, add_row), (256, add_row), (256, add_row_or_fail)]
        results: list[list[tuple[float, float, float]]] = [[] for _ in kinds]
        sqlite_rates: dict[int, list[float]] = {1: [], 256: []}
        for _ in range(ROUNDS):
            for row, (callers, unit) in zip(results, kinds, strict=True):
                row.append(await measure_writer(database, callers, unit))
            for batch, rates in sqlite_rates.items():
                rates.append(measure_sqlite(other, batch))
        await database.stop()
        hub_ms, sqlite_ms = measure_notifications(Path(folder, "notifications.db"), Path(folder, "rows.db"))
    limit = {batch: statistics.median(rates) for batch, rates in sqlite_rates.items()}
    for (callers, unit), row in zip(kinds, results, strict=True):
        rate, middle, slow = (statistics.median(column) for column in zip(*row, strict=True))
        print(
            f"{callers:4} callers {unit.__name__:15} {rate:7.0f}/s  p50 {middle:5.2f} ms  p99 {slow:5.2f} ms ", end=""
        )
        print(f"{rate / limit[1 if callers == 1 else 256]:5.2f} of plain SQLite, {rate / limit[1]:5.1f} × one by one")
    print(f"plain SQLite: {limit[1]:.0f}/s one by one, {limit[256]:.0f}/s in batches of 256")
    print(
        f"a notification to {RECIPIENTS:,} users at once: {hub_ms:.1f} ms of CPU, "
        f"the same rows in plain SQLite {sqlite_ms:.1f} ms: {sqlite_ms / hub_ms:.2f} of plain SQLite"
    )


if __name__ == "__main__":
    uvloop.run(main())
