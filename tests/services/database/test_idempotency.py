"""Idempotency keys: one effect per key, under repetition, concurrency and failures."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from services.database import idempotency, outbox
from services.database.database import Database
from services.database.units import Batch
from services.errors import Conflict, IdempotencyKeyReused

Together = Callable[..., Awaitable[list[Any]]]


class Counter:
    """An act whose calls a test can count and make fail."""

    def __init__(self) -> None:
        self.runs = 0
        self.error: Exception | None = None

    def __call__(self, tx: Connection) -> dict[str, int]:
        self.runs += 1
        outbox.append(tx, "jobs", "acted", {"run": self.runs}, now=0)
        if self.error is not None:
            raise self.error
        return {"run": self.runs}


def once(
    act: Callable[[Connection], Any], *, caller: str = "user:a", key: str = "k", digest: bytes = b"d" * 32, now: int = 0
) -> Callable[[Connection], bytes]:
    return lambda tx: idempotency.run_once(tx, caller=caller, key=key, digest=digest, now=now, act=act).body


async def test_repeat_returns_the_stored_response_byte_for_byte(database: Database, batches: list[Batch]) -> None:
    act = Counter()
    assert await database.write(once(act)) == b'{"run":1}'
    assert await database.write(once(act)) == b'{"run":1}'
    assert act.runs == 1
    assert sum(len(batch.events) for batch in batches) == 1


async def test_fifty_concurrent_requests_with_one_key_act_once(together: Together, batches: list[Batch]) -> None:
    act = Counter()
    assert await together(*(once(act) for _ in range(50))) == [b'{"run":1}'] * 50
    assert act.runs == 1
    assert sum(len(batch.events) for batch in batches) == 1


async def test_different_request_with_a_used_key_is_rejected(database: Database) -> None:
    act = Counter()
    await database.write(once(act))
    with pytest.raises(IdempotencyKeyReused):
        await database.write(once(act, digest=b"e" * 32))
    assert act.runs == 1


async def test_keys_of_different_callers_are_independent(database: Database) -> None:
    act = Counter()
    await asyncio.gather(*(database.write(once(act, caller=f"user:{n}")) for n in range(5)))
    assert act.runs == 5


async def test_rejection_is_not_stored(database: Database, batches: list[Batch]) -> None:
    act = Counter()
    act.error = Conflict()
    with pytest.raises(Conflict):
        await database.write(once(act))
    act.error = None
    assert await database.write(once(act)) == b'{"run":2}'
    assert sum(len(batch.events) for batch in batches) == 1


async def test_response_and_effect_are_stored_atomically(database: Database, together: Together) -> None:
    act = Counter()

    def fails_after_the_answer(tx: Connection) -> None:
        once(act)(tx)
        raise Conflict

    refused, answer = await together(fails_after_the_answer, once(act))
    assert isinstance(refused, Conflict)
    page = await database.read(outbox.read_after, channels=["jobs"], position=0, limit=9)
    assert [event.data for event in page.events] == [answer]


async def test_expired_responses_are_deleted_oldest_first_in_steps(database: Database) -> None:
    act = Counter()
    for n in range(6):
        await database.write(once(act, key=f"k{n}", now=n))
    assert await database.write(idempotency.delete_expired, before=5, limit=3) == 3
    assert await database.write(idempotency.delete_expired, before=5, limit=3) == 2
    assert await database.write(idempotency.delete_expired, before=5, limit=3) == 0
    assert await database.write(once(act, key="k5")) == b'{"run":6}'
    assert await database.write(once(act, key="k0")) == b'{"run":7}'
