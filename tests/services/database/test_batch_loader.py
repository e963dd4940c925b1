"""Lookups of one turn of the loop share a query, and never one that is older than they are."""

import asyncio
import threading
from collections.abc import Mapping, Sequence

import pytest
from sqlalchemy import Connection

from services.database.batch_loader import MAX_KEYS, BatchLoader
from services.database.database import Database
from services.errors import StorageUnavailable


class Asked:
    """A query that writes down what it was asked, and ends when it may."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.may_end = threading.Event()
        self.may_end.set()

    def __call__(self, tx: Connection, *, ids: Sequence[str]) -> Mapping[str, str]:
        self.batches.append(list(ids))
        assert self.may_end.wait(60)
        if "broken" in ids:
            raise StorageUnavailable
        return {id: id.upper() for id in ids if id != "nobody"}


async def test_all_who_ask_in_one_turn_share_a_query(database: Database) -> None:
    asked = Asked()
    lookup: BatchLoader[str] = BatchLoader(database, asked)
    found = await asyncio.gather(*(lookup.load(key) for key in ("a", "b", "nobody", "a")))
    assert found == ["A", "B", None, "A"]
    assert asked.batches == [["a", "b", "nobody"]]


async def test_who_asks_while_a_query_runs_gets_a_newer_one(database: Database) -> None:
    asked = Asked()
    lookup: BatchLoader[str] = BatchLoader(database, asked)
    first = asyncio.create_task(lookup.load("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second = asyncio.create_task(lookup.load("a"))
    assert [await first, await second] == ["A", "A"]
    assert asked.batches == [["a"], ["a"]]


async def test_a_query_is_bounded(database: Database) -> None:
    asked = Asked()
    lookup: BatchLoader[str] = BatchLoader(database, asked)
    await asyncio.gather(*(lookup.load(f"k{n}") for n in range(2 * MAX_KEYS + 1)))
    assert [len(batch) for batch in asked.batches] == [MAX_KEYS, MAX_KEYS, 1]


async def test_all_who_ask_while_a_query_runs_share_the_next(database: Database) -> None:
    asked = Asked()
    asked.may_end.clear()
    lookup: BatchLoader[str] = BatchLoader(database, asked)
    tasks = []
    for key in "abcd":
        # A turn each: the first query has begun by then.
        tasks.append(asyncio.create_task(lookup.load(key)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    asked.may_end.set()
    assert await asyncio.gather(*tasks) == ["A", "B", "C", "D"]
    assert asked.batches == [["a"], ["b", "c", "d"]]


async def test_who_gives_up_takes_nothing_from_the_others(database: Database) -> None:
    lookup: BatchLoader[str] = BatchLoader(database, Asked())
    impatient, patient = asyncio.create_task(lookup.load("a")), asyncio.create_task(lookup.load("a"))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == "A"


async def test_a_failed_query_is_everybodys_and_the_next_one_is_new(database: Database) -> None:
    lookup: BatchLoader[str] = BatchLoader(database, Asked())
    outcomes = await asyncio.gather(lookup.load("a"), lookup.load("broken"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 2
    assert await lookup.load("a") == "A"
    alone = asyncio.create_task(lookup.load("broken"))
    await asyncio.sleep(0)
    alone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await alone
