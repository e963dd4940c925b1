"""One query for all who ask within a turn of the loop, or while another runs: in a storm nobody pays for their own."""

import asyncio
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Generic, TypeVar

from services.database import Database

V = TypeVar("V")

# Keys in one query: a reader is not held longer than a few milliseconds.
BATCH = 500


class Lookup(Generic[V]):
    """Finds values by key; `query(tx, ids=…)` answers those that are there.

    Whoever asks joins the query that has not begun, never one that has: its snapshot could be older than what the
    asker has already seen. The next one begins when the last has ended, so that a storm makes few and large ones.
    """

    def __init__(self, database: Database, query: Callable[..., Mapping[str, V]]) -> None:
        self._database = database
        self._query = query
        self._next: dict[str, asyncio.Future[V | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def get(self, key: str) -> V | None:
        """The value, None where there is none. Raises what the query raises."""
        future = self._next.get(key)
        if future is None:
            loop = asyncio.get_running_loop()
            if not self._next and self._task is None:
                loop.call_soon(self._begin)
            future = self._next[key] = loop.create_future()
        # Shielded: others may wait for the same answer.
        return await asyncio.shield(future)

    def _begin(self) -> None:
        if self._next and self._task is None:
            keys = list(islice(self._next, BATCH))
            waiting = {key: self._next.pop(key) for key in keys}
            self._task = asyncio.get_running_loop().create_task(self._run(waiting))

    async def _run(self, waiting: Mapping[str, asyncio.Future[V | None]]) -> None:
        try:
            found = await self._database.read(self._query, ids=list(waiting))
        except Exception as error:
            for future in waiting.values():
                future.set_exception(error)
                # Nobody may be left to hear of it, and that is no fault.
                future.exception()
        else:
            for key, future in waiting.items():
                future.set_result(found.get(key))
        self._task = None
        self._begin()
