"""Scheduler and BackgroundTask: bounded steps, failures, repetition and stop."""

import asyncio
from collections.abc import Sequence

from sqlalchemy import Connection

from services.database.database import Database
from services.scheduling.background import BackgroundTask
from services.scheduling.scheduler import MAX_STEP_ROWS, PeriodicTask, Scheduler
from tests.support.periodic_tasks import NOW, run_tasks
from tests.support.timeouts import TIMEOUT_SECONDS


async def test_step_processes_a_bounded_number_of_rows(database: Database) -> None:
    sizes: list[int] = []
    remaining = list(range(1_000))

    def find(tx: Connection, /, *, now: int, limit: int) -> list[int]:
        return remaining[:limit]

    def process(tx: Connection, /, *, found: Sequence[int], now: int) -> None:
        sizes.append(len(found))
        del remaining[: len(found)]

    async with run_tasks(database, [PeriodicTask("many", 1, find, process)]):
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while remaining:  # noqa: ASYNC110  # a list has no event to wait on
                await asyncio.sleep(0.001)
    assert max(sizes) == MAX_STEP_ROWS


async def test_failing_task_is_reported_and_retried_beside_other_tasks(database: Database) -> None:
    attempts: list[int] = []
    done = asyncio.Event()

    def broken(tx: Connection, /, *, now: int, limit: int) -> list[int]:
        attempts.append(now)
        raise RuntimeError("broken")

    def find(tx: Connection, /, *, now: int, limit: int) -> list[int]:
        if len(attempts) > 2:
            done.set()
        return []

    def nothing(tx: Connection, /, *, found: object, now: int) -> None:
        return None

    async with run_tasks(
        database, [PeriodicTask("bad", 1, broken, nothing), PeriodicTask("good", 1, find, nothing)]
    ) as failed:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await done.wait()
    assert set(failed) == {"bad"}
    assert len(failed) > 2


async def test_scheduler_stop_is_allowed_twice_and_before_start(database: Database) -> None:
    scheduler = Scheduler(
        database,
        [PeriodicTask("none", 1, find_nothing, process_nothing)],
        clock=lambda: NOW,
        on_error=lambda name, error: None,
    )
    await scheduler.stop()
    await scheduler.start()
    await scheduler.stop()
    await scheduler.stop()


def find_nothing(tx: Connection, /, *, now: int, limit: int) -> list[int]:
    return []


def process_nothing(tx: Connection, /, *, found: Sequence[int], now: int) -> None:
    return None


async def test_background_task_reports_errors_and_continues() -> None:
    calls: list[int] = []
    errors: list[str] = []
    done = asyncio.Event()

    async def run_once() -> bool:
        calls.append(len(calls))
        if len(calls) == 1:
            raise RuntimeError("first call")
        if len(calls) == 3:
            done.set()
        return True

    task = BackgroundTask(
        "test", interval_seconds=0, run_once=run_once, on_error=lambda error: errors.append(str(error))
    )
    task.start()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await done.wait()
    assert await task.stop()
    assert (errors, await task.stop()) == (["first call"], False)


async def test_background_task_waits_its_interval_unless_more_work_is_due() -> None:
    calls: list[str] = []
    idle = asyncio.Event()

    async def run_once() -> bool:
        calls.append("call")
        if len(calls) < 3:
            return True
        idle.set()
        return False

    # An interval of an hour: only calls that return True are followed by another one.
    task = BackgroundTask("test", interval_seconds=3_600, run_once=run_once, on_error=lambda error: None)
    task.start()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await idle.wait()
    await asyncio.sleep(0)
    assert (len(calls), await task.stop()) == (3, True)
