"""BatchLoader: lookups of one loop iteration share a query that is newer than each of them."""

import asyncio
import threading
from collections.abc import Mapping, Sequence

import pytest
from sqlalchemy import Connection

from services.database.batch_loader import MAX_KEYS, BatchLoader
from services.database.database import Database
from services.errors import StorageUnavailable
from tests.support.timeouts import TIMEOUT_SECONDS


class RecordingQuery:
    """A query that records its keys and returns when the test allows it."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.may_return = threading.Event()
        self.may_return.set()

    def __call__(self, tx: Connection, *, ids: Sequence[str]) -> Mapping[str, str]:
        self.batches.append(list(ids))
        assert self.may_return.wait(TIMEOUT_SECONDS)
        if "broken" in ids:
            raise StorageUnavailable
        return {id: id.upper() for id in ids if id != "nobody"}


async def test_lookups_in_one_loop_iteration_share_a_query(database: Database) -> None:
    query = RecordingQuery()
    loader: BatchLoader[str] = BatchLoader(database, query)
    found = await asyncio.gather(*(loader.load(key) for key in ("a", "b", "nobody", "a")))
    assert found == ["A", "B", None, "A"]
    assert query.batches == [["a", "b", "nobody"]]


async def test_lookup_during_a_query_gets_a_newer_query(database: Database) -> None:
    query = RecordingQuery()
    loader: BatchLoader[str] = BatchLoader(database, query)
    first = asyncio.create_task(loader.load("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second = asyncio.create_task(loader.load("a"))
    assert [await first, await second] == ["A", "A"]
    assert query.batches == [["a"], ["a"]]


async def test_query_size_is_bounded(database: Database) -> None:
    query = RecordingQuery()
    loader: BatchLoader[str] = BatchLoader(database, query)
    await asyncio.gather(*(loader.load(f"k{n}") for n in range(2 * MAX_KEYS + 1)))
    assert [len(batch) for batch in query.batches] == [MAX_KEYS, MAX_KEYS, 1]


async def test_lookups_during_a_query_share_the_next_one(database: Database) -> None:
    query = RecordingQuery()
    query.may_return.clear()
    loader: BatchLoader[str] = BatchLoader(database, query)
    tasks = []
    for key in "abcd":
        # One loop iteration each: the first query has started by then.
        tasks.append(asyncio.create_task(loader.load(key)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    query.may_return.set()
    assert await asyncio.gather(*tasks) == ["A", "B", "C", "D"]
    assert query.batches == [["a"], ["b", "c", "d"]]


async def test_cancelled_lookup_does_not_affect_others(database: Database) -> None:
    loader: BatchLoader[str] = BatchLoader(database, RecordingQuery())
    impatient, patient = asyncio.create_task(loader.load("a")), asyncio.create_task(loader.load("a"))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == "A"


async def test_failed_query_fails_its_lookups_and_the_next_query_is_new(database: Database) -> None:
    loader: BatchLoader[str] = BatchLoader(database, RecordingQuery())
    outcomes = await asyncio.gather(loader.load("a"), loader.load("broken"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 2
    assert await loader.load("a") == "A"
    alone = asyncio.create_task(loader.load("broken"))
    await asyncio.sleep(0)
    alone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await alone
