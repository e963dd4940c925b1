"""`python -m bench.store`: units of work a second through the writer (one row, one event each), beside bare SQLite.

One row shows what it costs when one unit in thirty fails after it has written; the last, what a batch of letters
costs beside the same rows in bare SQLite.
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

SECONDS = 1.5
ROUNDS = 3
LETTERS = 1_000
LETTER_ROUNDS = 15
_ADD = insert(announcements)
_LETTER = NotificationDraft(type="bench", category="system", title="A note", body="x" * 120)
_DATA = {"id": "x" * 36, "title": "A note", "unread": 1}
_numbers, _turns = itertools.count(), itertools.count(1)

Unit = Callable[[Connection], None]


def one(tx: Connection) -> None:
    """A row and an event."""
    id = f"{os.getpid()}-{next(_numbers)}"
    tx.execute(_ADD, {"id": id, "title": "A note", "body": "b", "priority": "low", "created_at": 0})
    outbox.append(tx, f"user:{id}", "notification", _DATA, now=0, subject=id)


def sometimes_late(tx: Connection) -> None:
    """The same, but one in thirty is refused after it has written."""
    one(tx)
    if next(_turns) % 30 == 0:
        raise Conflict


async def through_the_writer(database: Database, callers: int, unit: Unit) -> tuple[float, float, float]:
    """(units a second, median ms, 99th percentile ms)."""
    times: list[float] = []
    began = time.perf_counter()

    async def caller() -> None:
        while (asked := time.perf_counter()) < began + SECONDS:
            with suppress(Conflict):
                await database.write(unit)
            times.append(time.perf_counter() - asked)

    await asyncio.gather(*(caller() for _ in range(callers)))
    rate = len(times) / (time.perf_counter() - began)
    ranked = statistics.quantiles(times, n=100)
    return rate, ranked[49] * 1e3, ranked[98] * 1e3


def bare(path: Path, batch: int) -> float:
    """The same rows with nothing between us and SQLite: units a second."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=FULL")
        done, began = 0, time.perf_counter()
        while time.perf_counter() < began + SECONDS:
            ids = [f"bare-{next(_numbers)}" for _ in range(batch)]
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


def letters(path: Path, other: Path) -> tuple[float, float]:
    """A letter to each of 1,000 users in one transaction, and then its rows as bare SQLite takes them: ms of CPU."""
    upgrade(path)
    upgrade(other)
    engine = sqlite_engine.writer_engine(path)
    with engine.connect() as tx, closing(sqlite3.connect(other, isolation_level=None)) as bare_store:
        runner, raw = BatchRunner(tx), sqlite_engine.raw_connection(tx)
        bare_store.execute("PRAGMA synchronous=FULL")
        people = [(f"{next(_numbers):036d}", "Ann", "client", 0) for _ in range(LETTERS)]
        for store in (raw, bare_store):
            store.executemany("INSERT INTO users (id, name, role, created_at) VALUES (?, ?, ?, ?)", people)
        mail = [(row[0], _LETTER) for row in people]
        ours, theirs = [], []
        for now in range(1, LETTER_ROUNDS + 1):
            began = time.thread_time()
            runner.run([QueuedUnit(partial(inbox.deliver, items=mail, now=now), asyncio.Future())])
            ours.append(time.thread_time() - began)
            rows = {
                name: raw.execute(f"SELECT * FROM {name} WHERE created_at = ?", (now,)).fetchall()
                for name in ("notifications", "events")
            }
            theirs.append(_insert(bare_store, rows))
    engine.dispose()
    return statistics.median(ours) * 1e3, statistics.median(theirs) * 1e3


def _insert(store: sqlite3.Connection, tables: Mapping[str, Sequence[Sequence[object]]]) -> float:
    """Seconds of CPU for these rows in one transaction."""
    began = time.thread_time()
    store.execute("BEGIN IMMEDIATE")
    for name, rows in tables.items():
        store.executemany(f"INSERT INTO {name} VALUES ({','.join('?' * len(rows[0]))})", rows)
    store.execute("COMMIT")
    return time.thread_time() - began


async def main() -> None:
    """Every kind once a round, the median of the rounds."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        path, other = Path(folder, "hub.db"), Path(folder, "bare.db")
        upgrade(path)
        upgrade(other)
        database = Database(path)
        await database.start()
        kinds: list[tuple[int, Unit]] = [(1, one), (32, one), (256, one), (256, sometimes_late)]
        found: list[list[tuple[float, float, float]]] = [[] for _ in kinds]
        alone: dict[int, list[float]] = {1: [], 256: []}
        for _ in range(ROUNDS):
            for row, (callers, unit) in zip(found, kinds, strict=True):
                row.append(await through_the_writer(database, callers, unit))
            for batch, rates in alone.items():
                rates.append(bare(other, batch))
        await database.stop()
        mine, theirs = letters(Path(folder, "letters.db"), Path(folder, "rows.db"))
    limit = {batch: statistics.median(rates) for batch, rates in alone.items()}
    for (callers, unit), row in zip(kinds, found, strict=True):
        rate, middle, slow = (statistics.median(column) for column in zip(*row, strict=True))
        print(
            f"{callers:4} callers {unit.__name__:15} {rate:7.0f}/s  p50 {middle:5.2f} ms  p99 {slow:5.2f} ms ", end=""
        )
        print(f"{rate / limit[1 if callers == 1 else 256]:5.2f} of bare SQLite {rate / limit[1]:5.1f} x one by one")
    print(f"bare SQLite: {limit[1]:.0f}/s one by one, {limit[256]:.0f}/s in batches of 256")
    print(
        f"a letter to {LETTERS:,} users at once: {mine:.1f} ms of CPU, the same rows in bare SQLite {theirs:.1f} ms: "
        f"{theirs / mine:.2f} of bare SQLite"
    )


if __name__ == "__main__":
    uvloop.run(main())
