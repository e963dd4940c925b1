"""A migrated store for every test, copied from a template of the session."""

import asyncio
import math
import shutil
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from services.database import outbox
from services.database.database import Database
from services.database.sqlite import engine as sqlite_engine
from services.database.units import Batch, CoalescedUnit
from services.store.migrate import upgrade
from tests.support.timeouts import TIMEOUT_SECONDS

Together = Callable[..., Awaitable[list[Any]]]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty store that is copied and never opened."""
    path = tmp_path_factory.mktemp("template") / "hub.db"
    upgrade(path)
    return path


@pytest.fixture
def store(template: Path, tmp_path: Path) -> Path:
    """The path of a migrated store for one test."""
    return Path(shutil.copy(template, tmp_path / "hub.db"))


@pytest.fixture
def batches() -> list[Batch]:
    """The committed batches of `database`."""
    return []


@pytest.fixture
async def database(store: Path, batches: list[Batch]) -> AsyncIterator[Database]:
    """A running Database on `store`; it is stopped after the test."""
    database = Database(store, on_commit=batches.append)
    await database.start()
    yield database
    await database.stop()


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the time limit of a batch: on a busy machine a batch would end early."""
    monkeypatch.setattr("services.database.sqlite.batch.MAX_BATCH_SECONDS", math.inf)


@pytest.fixture
def together(database: Database) -> Together:
    """Run units of work that all wait for the writer at once. Return their results or exceptions in order."""

    async def run(*units: Callable[[Connection], Any]) -> list[Any]:
        entered, leave = threading.Event(), threading.Event()

        def occupy(tx: Connection) -> None:
            entered.set()
            assert leave.wait(TIMEOUT_SECONDS)

        occupied = asyncio.create_task(database.write(occupy))
        await asyncio.to_thread(entered.wait, TIMEOUT_SECONDS)
        answers = [
            asyncio.create_task(
                database.write_coalesced(unit.each, unit.item)
                if isinstance(unit, CoalescedUnit)
                else database.write(unit)
            )
            for unit in units
        ]
        while database.queued_writes < len(units):  # noqa: ASYNC110 (the queue has no event to wait on)
            await asyncio.sleep(0)
        leave.set()
        # A unit without a result must fail the test, not hang it.
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await occupied
            return await asyncio.gather(*answers, return_exceptions=True)

    return run


@pytest.fixture
def tx(store: Path) -> Iterator[Connection]:
    """An open transaction to call units of work directly; it is rolled back after the test."""
    engine = sqlite_engine.writer_engine(store)
    with engine.connect() as connection:
        transaction = connection.begin()
        outbox.begin(connection)
        yield connection
        transaction.rollback()
    engine.dispose()


@pytest.fixture
def pending_events(tx: Connection) -> list[outbox.PendingEvent]:
    """The events that units have appended with `tx`, in order: channel, type, data (JSON bytes), subject."""
    pending: outbox.PendingEvents = tx.info["outbox"]
    return pending.events
