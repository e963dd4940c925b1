"""Scheduler: runs periodic tasks in small, bounded steps."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from sqlalchemy import Connection

from services.database.database import Database
from services.errors import Overloaded, StorageFull, StorageUnavailable
from services.scheduling.background import BackgroundTask

# Rows of one unit: 100 rows of the inbox or the log occupy the writer for about 2 ms.
MAX_STEP_ROWS = 100
# Pause between two steps, so that waiting units of requests run first.
PAUSE_SECONDS = 0.02
# Consecutive steps of one task before the others run; low, because some tasks have deadlines.
MAX_CONSECUTIVE_STEPS = 10


class FindDue(Protocol):
    """A query for at most `limit` items that are due at `now` (ms); it runs on a reader, one call at a time."""

    def __call__(self, tx: Connection, /, *, now: int, limit: int) -> Sequence[Any]: ...


class Process(Protocol):
    """A unit of work that processes the items that were found; some may no longer exist."""

    def __call__(self, tx: Connection, /, *, found: Sequence[Any], now: int) -> object: ...


class Postpone(Protocol):
    """Records an item that failed, so that `find` skips it for some time."""

    def __call__(self, item: Any, now: int, /) -> None: ...


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """A task that finds due items every `interval_seconds` and processes up to `rows` of them at a time.

    A task with `postpone` has a deadline: it does not wait for other tasks or between two steps, and each item is its
    own unit of work, so that a failing item does not affect the others.
    """

    name: str
    interval_seconds: float
    find: FindDue
    process: Process
    rows: int = MAX_STEP_ROWS
    postpone: Postpone | None = None


class Scheduler:
    """Runs periodic tasks. An exception ends the current run of a task and is passed to `on_error(name, error)`."""

    def __init__(
        self,
        database: Database,
        tasks: Sequence[PeriodicTask],
        *,
        clock: Callable[[], int],
        on_error: Callable[[str, BaseException], None],
        on_done: Callable[[str, object], None] = lambda name, done: None,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        """`clock` returns wall time in ms; `pause_seconds` is the pause between two steps.

        `on_done(name, result)` receives the result of each unit after its COMMIT.
        """
        self._database = database
        self._clock = clock
        self._on_error = on_error
        self._on_done = on_done
        self._pause = pause_seconds
        self._background_tasks = [
            BackgroundTask(
                f"periodic task {task.name}",
                interval_seconds=task.interval_seconds,
                run_once=partial(self._run, task),
                on_error=partial(on_error, task.name),
                pause_seconds=pause_seconds,
            )
            for task in tasks
        ]

    async def start(self) -> None:
        """Start all tasks. The database must be running."""
        self._lock = asyncio.Lock()
        for task in self._background_tasks:
            task.start()

    async def stop(self) -> None:
        """Stop all tasks; a running step completes. Does nothing if the scheduler was never started."""
        await asyncio.gather(*(task.stop() for task in self._background_tasks))

    async def _run(self, task: PeriodicTask) -> bool:
        """Run some steps, one task at a time. Return whether more may be due."""
        if task.postpone is not None:
            while await self._step_singly(task, task.postpone):
                pass
            return False
        async with self._lock:
            for _ in range(MAX_CONSECUTIVE_STEPS):
                if not await self._step(task):
                    return False
                await asyncio.sleep(self._pause)
        return True

    async def _step(self, task: PeriodicTask) -> bool:
        """Process one group of due items. Return whether there were any."""
        now = self._clock()
        found = await self._database.read(task.find, now=now, limit=task.rows)
        if found:
            self._on_done(task.name, await self._database.write(task.process, found=found, now=now))
        return bool(found)

    async def _step_singly(self, task: PeriodicTask, postpone: Postpone) -> bool:
        """Process each due item separately. Return whether any was processed or postponed."""
        now = self._clock()
        found = await self._database.read(task.find, now=now, limit=task.rows)
        units = (self._database.write(task.process, found=[item], now=now) for item in found)
        progressed, store_error = False, None
        for item, outcome in zip(found, await asyncio.gather(*units, return_exceptions=True), strict=True):
            if isinstance(outcome, (Overloaded, StorageFull, StorageUnavailable)):
                # The cause is the store, not the item.
                store_error = outcome
            elif isinstance(outcome, BaseException):
                postpone(item, now)
                self._on_error(task.name, outcome)
                progressed = True
            else:
                self._on_done(task.name, outcome)
                progressed = progressed or bool(outcome)
        if store_error is not None:
            raise store_error
        return progressed
