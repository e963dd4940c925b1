"""One key, one effect: however often, however many at once, and whatever failed in between."""

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
    """A unit's act that can be seen from outside, and made to fail."""

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
    return lambda tx: idempotency.run_once(tx, caller=caller, key=key, digest=digest, now=now, act=act)


async def test_a_repeat_gets_the_first_answer_to_the_letter_and_does_nothing(
    database: Database, batches: list[Batch]
) -> None:
    act = Counter()
    assert await database.write(once(act)) == b'{"run":1}'
    assert await database.write(once(act)) == b'{"run":1}'
    assert act.runs == 1
    assert sum(len(batch.events) for batch in batches) == 1


async def test_fifty_at_once_with_one_key_act_once(together: Together, batches: list[Batch]) -> None:
    act = Counter()
    assert await together(*(once(act) for _ in range(50))) == [b'{"run":1}'] * 50
    assert act.runs == 1
    assert sum(len(batch.events) for batch in batches) == 1


async def test_another_request_under_a_used_key_is_refused(database: Database) -> None:
    act = Counter()
    await database.write(once(act))
    with pytest.raises(IdempotencyKeyReused):
        await database.write(once(act, digest=b"e" * 32))
    assert act.runs == 1


async def test_keys_of_different_callers_have_nothing_to_do_with_each_other(database: Database) -> None:
    act = Counter()
    await asyncio.gather(*(database.write(once(act, caller=f"user:{n}")) for n in range(5)))
    assert act.runs == 5


async def test_a_refusal_is_not_kept(database: Database, batches: list[Batch]) -> None:
    act = Counter()
    act.error = Conflict()
    with pytest.raises(Conflict):
        await database.write(once(act))
    act.error = None
    assert await database.write(once(act)) == b'{"run":2}'
    assert sum(len(batch.events) for batch in batches) == 1


async def test_answer_and_effect_are_kept_together_or_not_at_all(database: Database, together: Together) -> None:
    act = Counter()

    def fails_after_the_answer(tx: Connection) -> None:
        once(act)(tx)
        raise Conflict

    refused, answer = await together(fails_after_the_answer, once(act))
    assert isinstance(refused, Conflict)
    page = await database.read(outbox.read_after, channels=["jobs"], position=0, limit=9)
    assert [event.data for event in page.events] == [answer]


async def test_old_answers_are_forgotten_oldest_first_and_a_few_at_a_time(database: Database) -> None:
    act = Counter()
    for n in range(6):
        await database.write(once(act, key=f"k{n}", now=n))
    assert await database.write(idempotency.delete_expired, before=5, limit=3) == 3
    assert await database.write(idempotency.delete_expired, before=5, limit=3) == 2
    assert await database.write(idempotency.delete_expired, before=5, limit=3) == 0
    assert await database.write(once(act, key="k5")) == b'{"run":6}'
    assert await database.write(once(act, key="k0")) == b'{"run":7}'
