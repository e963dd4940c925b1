"""One query for all who ask within a turn of the loop, or while another runs: in a storm nobody pays for their own."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Generic, TypeVar

from services.database.database import Database

V = TypeVar("V")

# Keys in one query: a reader is not held longer than a few milliseconds.
BATCH = 500


class BatchLoader(Generic[V]):
    """Finds values by key; `query(tx, ids=…)` answers those that are there.

    Whoever asks joins the query that has not begun, never one that has: its snapshot could be older than what the
    asker has already seen. The next one begins when the last has ended, so that a storm makes few and large ones.
    """

    def __init__(self, database: Database, query: Callable[..., Mapping[str, V]]) -> None:
        self._database = database
        self._query = query
        # Each who asks waits by themselves, so that one who is cancelled cancels nobody else.
        self._next: dict[str, list[asyncio.Future[V | None]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def load(self, key: str) -> V | None:
        """The value, None where there is none. Raises what the query raises."""
        loop = asyncio.get_running_loop()
        if not self._next and self._task is None:
            loop.call_soon(self._begin)
        future: asyncio.Future[V | None] = loop.create_future()
        self._next.setdefault(key, []).append(future)
        return await future

    def _begin(self) -> None:
        if self._next and self._task is None:
            keys = list(islice(self._next, BATCH))
            waiting = {key: self._next.pop(key) for key in keys}
            self._task = asyncio.get_running_loop().create_task(self._run(waiting))

    async def _run(self, waiting: Mapping[str, Sequence[asyncio.Future[V | None]]]) -> None:
        try:
            found = await self._database.read(self._query, ids=list(waiting))
        except Exception as error:
            for future in _left(waiting.values()):
                future.set_exception(error)
                # They may be cancelled in this very turn, and then nobody hears of it; that is no fault.
                future.exception()
        else:
            for key, futures in waiting.items():
                for future in _left([futures]):
                    future.set_result(found.get(key))
        self._task = None
        self._begin()


def _left(futures: Iterable[Sequence[asyncio.Future[V | None]]]) -> Iterator[asyncio.Future[V | None]]:
    """Those who still wait."""
    return (future for some in futures for future in some if not future.done())
