"""Does what is due, in small steps that stall nobody: found by a reader, done by bounded units of work."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection

from services.database.database import Database
from services.errors import Overloaded, StorageFull, StorageUnavailable

# What one unit removes: 100 rows of the inbox or the log hold the writer for some 2 ms.
STEP_ROWS = 100
# Between two steps, so that those who wait for the writer go first.
PAUSE_SECONDS = 0.02
# Steps of one chore before the others have their turn: few, because some have promised to be on time.
STEPS_IN_A_ROW = 10


class FindDue(Protocol):
    """A query for at most `limit` things that are due at `now` (ms); it runs on a reader's thread, once at a time."""

    def __call__(self, tx: Connection, /, *, now: int, limit: int) -> Sequence[Any]: ...


class Process(Protocol):
    """A unit of work that removes what was found; some of it may be gone by then."""

    def __call__(self, tx: Connection, /, *, found: Sequence[Any], now: int) -> object: ...


class Postpone(Protocol):
    """Hears of a thing that failed, so that `find` leaves it alone for a while."""

    def __call__(self, one: Any, now: int, /) -> None: ...


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """One kind of thing that does not stay for ever; looked for again `every` so many seconds, `rows` at a time.

    With `put_off` it has promised to be on time: it waits neither for the other chores nor between two steps, and each
    thing is a unit of work of its own, so that one that fails costs the others nothing.
    """

    name: str
    interval: float
    find: FindDue
    process: Process
    rows: int = STEP_ROWS
    postpone: Postpone | None = None


class Scheduler:
    """Does its chores while it runs. An exception costs a chore its turn, and `on_error(name, error)` hears of it."""

    def __init__(
        self,
        database: Database,
        chores: Sequence[PeriodicTask],
        *,
        clock: Callable[[], int],
        on_error: Callable[[str, BaseException], None],
        on_done: Callable[[str, object], None] = lambda name, done: None,
        pause: float = PAUSE_SECONDS,
    ) -> None:
        """`clock` gives wall time in ms; `pause` is the seconds between two steps.

        `on_done(name, what its unit returned)` is told what is on disk.
        """
        self._database = database
        self._chores = chores
        self._clock = clock
        self._on_error = on_error
        self._on_done = on_done
        self._pause = pause
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin, each chore at once; the database must be running."""
        self._turn = asyncio.Lock()
        self._tasks = [
            asyncio.create_task(self._repeat(chore), name=f"retention {chore.name}") for chore in self._chores
        ]

    async def stop(self) -> None:
        """End after the step that is under way; no harm if it was never started."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _repeat(self, chore: PeriodicTask) -> None:
        while True:
            try:
                more = await self._run(chore)
            except Exception as error:
                self._on_error(chore.name, error)
                more = False
            await asyncio.sleep(self._pause if more else chore.interval)

    async def _run(self, chore: PeriodicTask) -> bool:
        """Some steps, one chore at a time; whether more may be due."""
        if chore.postpone is not None:
            while await self._step_singly(chore, chore.postpone):
                pass
            return False
        async with self._turn:
            for _ in range(STEPS_IN_A_ROW):
                if not await self._step(chore):
                    return False
                await asyncio.sleep(self._pause)
        return True

    async def _step(self, chore: PeriodicTask) -> bool:
        """Whether there was anything to do."""
        now = self._clock()
        found = await self._database.read(chore.find, now=now, limit=chore.rows)
        if found:
            self._on_done(chore.name, await self._database.write(chore.process, found=found, now=now))
        return bool(found)

    async def _step_singly(self, chore: PeriodicTask, put_off: Postpone) -> bool:
        """Whether anything was done, or put off, so that another look may find something else."""
        now = self._clock()
        found = await self._database.read(chore.find, now=now, limit=chore.rows)
        units = (self._database.write(chore.process, found=[one], now=now) for one in found)
        went_on, unable = False, None
        for one, done in zip(found, await asyncio.gather(*units, return_exceptions=True), strict=True):
            if isinstance(done, (Overloaded, StorageFull, StorageUnavailable)):
                # It is not this one that is wrong: all of them wait for the store.
                unable = done
            elif isinstance(done, BaseException):
                put_off(one, now)
                self._on_error(chore.name, done)
                went_on = True
            else:
                self._on_done(chore.name, done)
                went_on = went_on or bool(done)
        if unable is not None:
            raise unable
        return went_on
