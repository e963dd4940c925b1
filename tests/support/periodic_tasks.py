"""Runs periodic tasks on a database for tests, and fills the event log."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import Connection

from services.database import outbox
from services.database.database import Database
from services.scheduling.scheduler import PeriodicTask, Scheduler
from services.times import DAY_MS
from tests.support.timeouts import TIMEOUT_SECONDS

NOW: Final = 400 * DAY_MS


def fill(tx: Connection, *, channel: str, count: int, now: int) -> None:
    """Append `count` events to a channel."""
    for n in range(count):
        outbox.append(tx, channel, "t", {"n": n}, now=now)


@asynccontextmanager
async def run_tasks(
    database: Database, tasks: Sequence[PeriodicTask], now: Callable[[], int] = lambda: NOW
) -> AsyncIterator[list[str]]:
    """Run the tasks with a short interval; yield the names of the failed ones."""
    failed: list[str] = []
    quick = [PeriodicTask(task.name, 0.001, task.find, task.process) for task in tasks]
    scheduler = Scheduler(database, quick, clock=now, on_error=lambda name, _: failed.append(name), pause_seconds=0)
    await scheduler.start()
    yield failed
    await scheduler.stop()


async def wait_until(condition: Callable[[Connection], bool], database: Database) -> None:
    """Wait until a query returns True."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not await database.read(condition):  # noqa: ASYNC110  # a row has no event to wait on
            await asyncio.sleep(0.001)
