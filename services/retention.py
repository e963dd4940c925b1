"""Does what is due, in small steps that stall nobody: found by a reader, done by bounded units of work."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection

from services.database import Database

# What one unit removes: 100 rows hold the writer for some 2 ms.
STEP_ROWS = 100
# Between two steps, so that those who wait for the writer go first.
PAUSE_SECONDS = 0.02
# Steps of one chore before the others have their turn: few, because some have promised to be on time.
STEPS_IN_A_ROW = 10


class Find(Protocol):
    """A query for at most `limit` things that are due at `now` (ms)."""

    def __call__(self, tx: Connection, /, *, now: int, limit: int) -> Sequence[Any]: ...


class Remove(Protocol):
    """A unit of work that removes what was found; some of it may be gone by then."""

    def __call__(self, tx: Connection, /, *, found: Sequence[Any], now: int) -> object: ...


@dataclass(frozen=True, slots=True)
class Chore:
    """One kind of thing that does not stay for ever; looked for again `every` so many seconds.

    With `singly` each of them is a unit of work of its own: one that fails costs the others nothing.
    """

    name: str
    every: float
    find: Find
    remove: Remove
    singly: bool = False


class Retention:
    """Does its chores while it runs. An exception costs a chore its turn, and `on_error(name, error)` hears of it."""

    def __init__(
        self,
        database: Database,
        chores: Sequence[Chore],
        *,
        clock: Callable[[], int],
        on_error: Callable[[str, Exception], None],
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

    async def _repeat(self, chore: Chore) -> None:
        while True:
            try:
                more = await self._run(chore)
            except Exception as error:
                self._on_error(chore.name, error)
                more = False
            await asyncio.sleep(self._pause if more else chore.every)

    async def _run(self, chore: Chore) -> bool:
        """Some steps, one chore at a time; whether more may be due."""
        async with self._turn:
            for _ in range(STEPS_IN_A_ROW):
                now = self._clock()
                found = await self._database.read(chore.find, now=now, limit=STEP_ROWS)
                if not found:
                    return False
                await self._do(chore, found, now)
                await asyncio.sleep(self._pause)
        return True

    async def _do(self, chore: Chore, found: Sequence[Any], now: int) -> None:
        parts = [[one] for one in found] if chore.singly else [found]
        units = (self._database.write(chore.remove, found=part, now=now) for part in parts)
        failures = []
        for done in await asyncio.gather(*units, return_exceptions=True):
            if isinstance(done, BaseException):
                failures.append(done)
            else:
                self._on_done(chore.name, done)
        if failures:
            raise failures[0]
