"""What the hub does to jobs by itself: when, once, whatever else happens, and after having been away."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, select, update

from services import closing, due, inbox
from services.chores import DUE_SECONDS, Keep, all_chores
from services.database import Database
from services.errors import Conflict, GigNotOpen, InsufficientFunds, NotFound
from services.job_moves import Moved
from services.outbox import Draft
from services.retention import STEP_ROWS, STEPS_IN_A_ROW, Chore, Retention
from services.shapes import Job, Person
from services.tables import accounts, jobs
from services.times import DAY
from services.writer import Batch
from tests.services.conftest import Together
from tests.services.gigs import (
    FUNDS,
    NOW,
    TERMS,
    Gig,
    balances,
    bid,
    bids_of,
    check_books,
    events,
    gig,
    letters,
    person,
    post,
    to,
)

DUE = next(chore for chore in all_chores(Keep(log_events=0, log_ms=0, inbox_ms=0)) if chore.name == "due jobs")
LATER = NOW + TERMS.review_ms


def status_of(tx: Connection, job: Job) -> str:
    return str(tx.execute(select(jobs.c.status).where(jobs.c.id == job.id)).scalar_one())


def step(tx: Connection, now: int) -> list[Moved]:
    return due.settle(tx, found=due.find(tx, now=now, limit=STEP_ROWS), now=now)


def told_of(batches: Sequence[Batch], job: Job) -> Counter[str]:
    """Every event about a job, of all channels; notifications by their type."""
    found: Counter[str] = Counter()
    for event in (event for batch in batches for event in batch.events):
        data = msgspec.json.decode(event.data)
        if data.get("id") == job.id:
            found[event.type] += 1
        elif data.get("data", {}).get("jobId") == job.id:
            found[data["type"]] += 1
    return found


@asynccontextmanager
async def chore(database: Database, now: Callable[[], int]) -> AsyncIterator[tuple[list[Moved], list[Exception]]]:
    """The chore at work, without pauses: what it did, and what went wrong."""
    done, failed = list[Moved](), list[Exception]()
    retention = Retention(
        database,
        [Chore(DUE.name, 0.001, DUE.find, DUE.remove, DUE.singly)],
        clock=now,
        on_error=lambda name, error: failed.append(error),
        on_done=lambda name, moved: done.extend(moved),  # type: ignore[arg-type]
        pause=0,
    )
    await retention.start()
    yield done, failed
    await retention.stop()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.001)


def test_an_open_job_expires_at_its_time_and_not_before(tx: Connection, told: list[Draft]) -> None:
    g = gig(tx, expires_at=NOW + 10)
    told.clear()
    assert step(tx, NOW + 9) == []
    (moved,) = step(tx, NOW + 10)
    assert (moved.act, moved.answer.status, moved.before.held) == ("expire", "expired", 5_000)
    ((kind, event),) = events(told)
    keys = [f"job/{g.job.id}", "my-jobs", "stats", "wallet"]
    assert (kind, event["status"], event["invalidates"]) == ("job_refunded", "expired", keys)
    assert [letter["type"] for letter in letters(told, g.owner)] == ["job_refunded"]
    for loser in (g.ann, g.bob):
        assert [(one["type"], one["title"]) for one in letters(told, loser)] == [
            ("job_cancelled", "Job expired: Fix it")
        ]
    assert set(bids_of(tx, g.job).values()) == {"rejected"}
    assert balances(tx, g.owner) == [(FUNDS, 0)]
    check_books(tx)
    told.clear()
    assert step(tx, NOW + 11) == []
    assert told == []


def test_a_submitted_job_is_completed_and_paid_when_its_review_is_over(tx: Connection, told: list[Draft]) -> None:
    g = gig(tx, "submitted")
    told.clear()
    assert step(tx, LATER - 1) == []
    (moved,) = step(tx, LATER)
    assert (moved.act, moved.answer.status, moved.freelancer) == ("complete", "completed", g.ann)
    assert [kind for kind, _ in events(told)] == ["job_completed"]
    assert [letter["type"] for letter in letters(told, g.owner)] == ["job_completed"]
    assert [letter["type"] for letter in letters(told, g.ann)] == ["payment_released"]
    assert balances(tx, g.owner, g.ann) == [(FUNDS - 4_000, 0), (4_000, 0)]
    assert step(tx, LATER + 1) == []


@pytest.mark.parametrize("status", ["assigned", "in_progress", "completed"])
def test_no_other_job_is_ever_due(tx: Connection, status: str) -> None:
    gig(tx, status, expires_at=NOW + 10)
    assert due.find(tx, now=NOW + 10_000 * DAY, limit=9) == []


def test_a_job_that_was_moved_between_the_look_and_the_step_stays_as_it_is(tx: Connection, told: list[Draft]) -> None:
    taken, gone, edited = (gig(tx, expires_at=NOW + 10) for _ in range(3))
    found = due.find(tx, now=NOW + 10, limit=STEP_ROWS)
    assert set(found) == {taken.job.id, gone.job.id, edited.job.id}
    to(tx, taken.job, taken.owner, "cancelled")
    closing.delete(tx, job_id=gone.job.id, owner_id=gone.owner.id, now=NOW)
    tx.execute(update(jobs).where(jobs.c.id == edited.job.id).values(due_at=NOW + 11))
    told.clear()
    assert due.settle(tx, found=found, now=NOW + 10) == []
    assert (told, status_of(tx, edited.job)) == ([], "open")


def test_a_step_takes_few_jobs_where_many_people_have_to_be_told_but_always_one(tx: Connection) -> None:
    owner = person(tx, "Olga", "client", FUNDS)
    made = [post(tx, owner, budget=10, expires_at=NOW + 1 + n) for n in range(4)]
    for n in range(3):
        bid(tx, made[0], person(tx, f"F{n}"))
    assert due.find(tx, now=NOW + 9, limit=1) == [made[0].id]
    assert due.find(tx, now=NOW + 9, limit=18) == [made[0].id]
    assert due.find(tx, now=NOW + 9, limit=19) == [made[0].id, made[1].id]
    assert due.find(tx, now=NOW + 9, limit=100) == [job.id for job in made]


def test_the_hub_looks_often_enough_to_be_on_time() -> None:
    # Within 5 s, though every other chore may be in the middle of its steps.
    assert DUE.every == DUE_SECONDS <= 1
    assert STEPS_IN_A_ROW <= 10


async def test_a_chore_that_never_ends_leaves_the_others_their_turn(database: Database) -> None:
    turns: list[str] = []

    def busy(tx: Connection, /, *, now: int, limit: int) -> list[int]:
        turns.append("busy")
        return [1]

    def prompt(tx: Connection, /, *, now: int, limit: int) -> list[int]:
        turns.append("prompt")
        return []

    chores = [Chore("busy", 0, busy, _nothing), Chore("prompt", 0, prompt, _nothing)]
    retention = Retention(database, chores, clock=lambda: NOW, on_error=lambda name, error: None, pause=0)
    await retention.start()
    await until(lambda: turns.count("prompt") >= 3)
    await retention.stop()
    assert turns.index("prompt", turns.index("prompt") + 1) <= 2 * STEPS_IN_A_ROW + 2


def _nothing(tx: Connection, /, *, found: Sequence[Any], now: int) -> None:
    pass


async def test_what_fell_due_while_the_hub_was_down_happens_at_its_start_and_once(store: Path) -> None:
    first = Database(store)
    await first.start()
    submitted = [await first.write(gig, "submitted") for _ in range(3)]
    opened = [await first.write(gig, expires_at=NOW + DAY) for _ in range(3)]
    await first.stop()

    batches: list[Batch] = []
    second = Database(store, on_commit=batches.append)
    await second.start()
    async with chore(second, lambda: LATER) as (done, failed):
        await until(lambda: len(done) == 6)
    await second.stop()

    third = Database(store, on_commit=batches.append)
    await third.start()
    async with chore(third, lambda: LATER) as (done_again, failed_again):
        # Everything is done: a job that falls due now is the first and only one that is found.
        fresh = await third.write(gig, expires_at=NOW + 1)
        await until(lambda: len(done_again) > 0)
    assert [moved.before.id for moved in done_again] == [fresh.job.id]
    assert failed == failed_again == []
    await third.read(check_books)
    await third.stop()
    for g in submitted:
        assert told_of(batches, g.job) == {"job_completed": 2, "payment_released": 1}
    for g in opened:
        assert told_of(batches, g.job) == {"job_refunded": 2, "job_cancelled": 2}


async def test_a_job_that_cannot_be_settled_costs_the_others_nothing(database: Database) -> None:
    bad, good = [await database.write(gig, "submitted") for _ in range(2)]

    def rob(tx: Connection) -> None:
        # Only who changes the schema can.
        tx.exec_driver_sql("DROP TRIGGER accounts_follow")
        tx.execute(update(accounts).where(accounts.c.id == f"held:{bad.owner.id}").values(balance=0))

    await database.write(rob)
    async with chore(database, lambda: LATER) as (done, failed):
        await until(lambda: len(done) == 1 and len(failed) >= 1)
    assert done[0].before.id == good.job.id
    assert isinstance(failed[0], InsufficientFunds)
    assert await database.read(status_of, bad.job) == "submitted"


async def race(together: Together, units: list[partial[Any]], seed: int) -> list[Any]:
    """Run them at once in an order of the seed's; those that moved the job, the others refused as they should be."""
    random.Random(seed).shuffle(units)
    results = await together(*units)
    assert all(isinstance(one, Moved | list | Conflict | GigNotOpen | NotFound) for one in results), results
    return [moved for one in results for moved in (one if isinstance(one, list) else [one]) if isinstance(moved, Moved)]


@pytest.mark.parametrize("seed", range(30))
async def test_of_complete_cancel_and_the_end_of_the_review_exactly_one_happens(
    database: Database, batches: list[Batch], together: Together, seed: int
) -> None:
    g: Gig = await database.write(gig, "submitted")
    batches.clear()
    (moved,) = await race(
        together,
        [
            partial(to, job=g.job, who=g.owner, target="completed", now=LATER),
            partial(to, job=g.job, who=g.ann, target="cancelled", now=LATER),
            partial(step, now=LATER),
            partial(step, now=LATER),
            partial(to, job=g.job, who=g.owner, target="completed", now=LATER),
        ],
        seed,
    )
    await database.read(check_books)
    assert await database.read(status_of, g.job) == moved.answer.status
    if moved.answer.status == "completed":
        assert await database.read(balances, g.owner, g.ann) == [(FUNDS - 4_000, 0), (4_000, 0)]
        assert told_of(batches, g.job) == {"job_completed": 2, "payment_released": 1}
    else:
        assert await database.read(balances, g.owner, g.ann) == [(FUNDS, 0), (0, 0)]
        assert told_of(batches, g.job) == {"job_refunded": 2, "job_cancelled": 1}


@pytest.mark.parametrize("seed", range(30))
async def test_of_cancel_delete_expire_and_take_exactly_one_happens(
    database: Database, batches: list[Batch], together: Together, seed: int
) -> None:
    g: Gig = await database.write(gig, instant_accept=True, expires_at=NOW + 1)
    batches.clear()
    (moved,) = await race(
        together,
        [
            partial(to, job=g.job, who=g.owner, target="cancelled", now=LATER),
            partial(closing.delete, job_id=g.job.id, owner_id=g.owner.id, now=LATER),
            partial(step, now=LATER),
            partial(to, job=g.job, who=g.ann, target="in_progress", now=LATER),
            partial(to, job=g.job, who=g.bob, target="in_progress", now=LATER),
        ],
        seed,
    )
    await database.read(check_books)
    assert await database.read(status_of, g.job) == moved.answer.status
    taken = moved.act == "take"
    assert await database.read(balances, g.owner) == [(FUNDS - 5_000, 5_000) if taken else (FUNDS, 0)]
    expected = {
        "take": {"job_updated": 1, "hired": 1, "bid_rejected": 1, "job_accepted": 2},
        "delete": {"job_deleted": 1, "job_refunded": 1, "job_cancelled": 2},
    }
    assert told_of(batches, g.job) == expected.get(moved.act, {"job_refunded": 2, "job_cancelled": 2})


async def test_nobody_is_told_of_what_was_rolled_back(
    database: Database, batches: list[Batch], together: Together
) -> None:
    bad, good = [await database.write(gig, "submitted") for _ in range(2)]
    batches.clear()

    def complete_and_fail(tx: Connection) -> None:
        to(tx, bad.job, bad.owner, "completed")
        raise RuntimeError("at the very end")

    failed, done = await together(complete_and_fail, partial(to, job=good.job, who=good.owner, target="completed"))
    assert isinstance(failed, RuntimeError)
    assert isinstance(done, Moved)
    assert told_of(batches, bad.job) == {}
    assert told_of(batches, good.job) == {"job_completed": 2, "payment_released": 1}
    assert await database.read(status_of, bad.job) == "submitted"
    assert await database.read(balances, bad.owner, bad.ann) == [(FUNDS - 4_000, 4_000), (0, 0)]
    assert [one.type for one in (await database.read(inbox.page, user_id=bad.ann.id)).items] == ["hired"]
    await database.read(check_books)


def test_people_are_told_in_the_order_of_their_ids_so_that_inboxes_are_locked_alike(
    tx: Connection, told: list[Draft]
) -> None:
    g = gig(tx, expires_at=NOW + 1)
    extra: list[Person] = [person(tx, f"F{n}") for n in range(5)]
    for who in reversed(extra):
        bid(tx, g.job, who)
    told.clear()
    step(tx, NOW + 1)
    channels = [draft.channel for draft in told if draft.type == "notification"]
    assert channels == sorted(channels)
    assert len(channels) == 8
