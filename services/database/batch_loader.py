"""BatchLoader: merges concurrent lookups by key into one query."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Generic, TypeVar

from services.database.database import Database

V = TypeVar("V")

# Keys of one query, so that it holds a reader for a few milliseconds at most.
MAX_KEYS = 500


class BatchLoader(Generic[V]):
    """Loads values by key; `query(tx, ids=…)` returns those that exist.

    A lookup joins the next query, never a running one: its snapshot could be older than what the caller has already
    seen. The next query starts when the running one has ended, so that a storm produces few and large queries.
    """

    def __init__(self, database: Database, query: Callable[..., Mapping[str, V]]) -> None:
        self._database = database
        self._query = query
        # Each lookup has its own future, so that cancelling one does not cancel another.
        self._pending: dict[str, list[asyncio.Future[V | None]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def load(self, key: str) -> V | None:
        """Return the value of a key, or None. Raises what the query raises."""
        loop = asyncio.get_running_loop()
        if not self._pending and self._task is None:
            loop.call_soon(self._start_query)
        future: asyncio.Future[V | None] = loop.create_future()
        self._pending.setdefault(key, []).append(future)
        return await future

    def _start_query(self) -> None:
        if self._pending and self._task is None:
            keys = list(islice(self._pending, MAX_KEYS))
            waiting = {key: self._pending.pop(key) for key in keys}
            self._task = asyncio.get_running_loop().create_task(self._run(waiting))

    async def _run(self, waiting: Mapping[str, Sequence[asyncio.Future[V | None]]]) -> None:
        try:
            found = await self._database.read(self._query, ids=list(waiting))
        except Exception as error:
            for future in _unfinished(waiting.values()):
                future.set_exception(error)
                # Retrieve the exception: a caller may be cancelled in this loop iteration, and asyncio would log it.
                future.exception()
        else:
            for key, futures in waiting.items():
                for future in _unfinished([futures]):
                    future.set_result(found.get(key))
        self._task = None
        self._start_query()


def _unfinished(futures: Iterable[Sequence[asyncio.Future[V | None]]]) -> Iterator[asyncio.Future[V | None]]:
    """Yield the futures that still wait."""
    return (future for group in futures for future in group if not future.done())
