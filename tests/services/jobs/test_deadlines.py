"""What the hub does to jobs by itself: when, once, whatever else happens, and after having been away."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, select, update

from services.database.database import Database
from services.database.outbox import PendingEvent
from services.database.units import Batch
from services.errors import Conflict, GigNotOpen, InsufficientFunds, NotFound, Overloaded
from services.jobs import closing, deadlines
from services.jobs.deadlines import RETRY_MS, STEP_ROWS
from services.jobs.schemas import Job
from services.jobs.transitions import TransitionResult
from services.maintenance.tasks import DEADLINE_SECONDS, RetentionPolicy, all_tasks
from services.notifications import listing
from services.scheduling.scheduler import MAX_CONSECUTIVE_STEPS, PeriodicTask, Scheduler
from services.schemas import Person
from services.tables import accounts, jobs
from services.times import DAY_MS, HOUR_MS
from tests.services.conftest import Together
from tests.services.jobs.job_factory import (
    DEADLINES,
    FUNDS,
    NOW,
    PostedJob,
    balances,
    bid,
    bid_statuses,
    change_status,
    check_ledger,
    create_job,
    job_channel_events,
    notifications_for,
    person,
    post,
)

DUE = next(
    chore for chore in all_tasks(RetentionPolicy(log_events=0, log_ms=0, inbox_ms=0)) if chore.name == "job deadlines"
)
LATER = NOW + DEADLINES.review_ms


def status_of(tx: Connection, job: Job) -> str:
    return str(tx.execute(select(jobs.c.status).where(jobs.c.id == job.id)).scalar_one())


def found(tx: Connection, /, *, now: int, limit: int = STEP_ROWS) -> Sequence[str]:
    return deadlines.DeadlineFinder().find_due(tx, now=now, limit=limit)


def step(tx: Connection, now: int) -> list[TransitionResult]:
    return deadlines.process_due(tx, found=found(tx, now=now), now=now)


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
async def chore(
    database: Database, now: Callable[[], int], *, every: float = 0.001
) -> AsyncIterator[tuple[list[TransitionResult], list[BaseException]]]:
    """The chore at work, looking again at once: what it did, and what went wrong."""
    done, failed = list[TransitionResult](), list[BaseException]()
    retention = Scheduler(
        database,
        [replace(DUE, interval_seconds=every)],
        clock=now,
        on_error=lambda name, error: failed.append(error),
        on_done=lambda name, moved: done.extend(moved),  # type: ignore[arg-type]
    )
    await retention.start()
    yield done, failed
    await retention.stop()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.001)


def test_an_open_job_expires_at_its_time_and_not_before(tx: Connection, told: list[PendingEvent]) -> None:
    g = create_job(tx, expires_at=NOW + 10)
    told.clear()
    assert step(tx, NOW + 9) == []
    (moved,) = step(tx, NOW + 10)
    assert (moved.action, moved.job.status, moved.previous.held) == ("expire", "expired", 5_000)
    ((kind, event),) = job_channel_events(told)
    keys = [f"job/{g.job.id}", "my-jobs", "stats", "wallet"]
    assert (kind, event["status"], event["invalidates"]) == ("job_refunded", "expired", keys)
    assert [letter["type"] for letter in notifications_for(told, g.owner)] == ["job_refunded"]
    for loser in (g.ann, g.bob):
        assert [(one["type"], one["title"]) for one in notifications_for(told, loser)] == [
            ("job_cancelled", "Job expired: Fix it")
        ]
    assert set(bid_statuses(tx, g.job).values()) == {"rejected"}
    assert balances(tx, g.owner) == [(FUNDS, 0)]
    check_ledger(tx)
    told.clear()
    assert step(tx, NOW + 11) == []
    assert told == []


def test_a_submitted_job_is_completed_and_paid_when_its_review_is_over(
    tx: Connection, told: list[PendingEvent]
) -> None:
    g = create_job(tx, "submitted")
    told.clear()
    assert step(tx, LATER - 1) == []
    (moved,) = step(tx, LATER)
    assert (moved.action, moved.job.status, moved.freelancer) == ("complete", "completed", g.ann)
    assert [kind for kind, _ in job_channel_events(told)] == ["job_completed"]
    assert [letter["type"] for letter in notifications_for(told, g.owner)] == ["job_completed"]
    assert [letter["type"] for letter in notifications_for(told, g.ann)] == ["payment_released"]
    assert balances(tx, g.owner, g.ann) == [(FUNDS - 4_000, 0), (4_000, 0)]
    assert step(tx, LATER + 1) == []


@pytest.mark.parametrize("status", ["assigned", "in_progress", "completed"])
def test_no_other_job_is_ever_due(tx: Connection, status: str) -> None:
    create_job(tx, status, expires_at=NOW + 10)
    assert found(tx, now=NOW + 10_000 * DAY_MS) == []


def test_a_job_that_was_moved_between_the_look_and_the_step_stays_as_it_is(
    tx: Connection, told: list[PendingEvent]
) -> None:
    taken, gone, edited = (create_job(tx, expires_at=NOW + 10) for _ in range(3))
    seen = found(tx, now=NOW + 10)
    assert set(seen) == {taken.job.id, gone.job.id, edited.job.id}
    change_status(tx, taken.job, taken.owner, "cancelled")
    closing.delete(tx, job_id=gone.job.id, owner_id=gone.owner.id, now=NOW)
    tx.execute(update(jobs).where(jobs.c.id == edited.job.id).values(due_at=NOW + 11))
    told.clear()
    assert deadlines.process_due(tx, found=seen, now=NOW + 10) == []
    assert (told, status_of(tx, edited.job)) == ([], "open")


def test_a_step_takes_few_jobs_where_many_people_have_to_be_told_but_always_one(tx: Connection) -> None:
    owner = person(tx, "Olga", "client", FUNDS)
    made = [post(tx, owner, budget=10, expires_at=NOW + 1 + n) for n in range(4)]
    for n in range(3):
        bid(tx, made[0], person(tx, f"F{n}"))
    assert found(tx, now=NOW + 9, limit=1) == [made[0].id]
    assert found(tx, now=NOW + 9, limit=18) == [made[0].id]
    assert found(tx, now=NOW + 9, limit=19) == [made[0].id, made[1].id]
    assert found(tx, now=NOW + 9, limit=100) == [job.id for job in made]


def test_the_hub_looks_often_enough_to_be_on_time() -> None:
    assert DUE.interval_seconds == DEADLINE_SECONDS <= 1


async def test_many_that_are_due_wait_neither_for_other_chores_nor_between_their_steps(database: Database) -> None:
    # Whoever waits for the other chore, or pauses as it does, does not come to the second step before the test ends.
    def busy(tx: Connection, /, *, now: int, limit: int) -> list[int]:
        return [1]

    owner = await database.write(person, "Olga", "client", 10**6)
    posted = await asyncio.gather(
        *(database.write(partial(post, owner=owner, budget=10, expires_at=NOW + 1 + n)) for n in range(150))
    )
    steps = []

    def counted(tx: Connection, /, *, now: int, limit: int) -> Sequence[str]:
        steps.append(DUE.find(tx, now=now, limit=limit))
        return steps[-1]

    beside = PeriodicTask("busy", 0, busy, _nothing)
    retention = Scheduler(
        database, [beside, replace(DUE, find=counted)], clock=lambda: LATER, on_error=_fail, pause_seconds=3_600
    )
    await retention.start()
    await until(lambda: steps[-1:] == [[]])
    await retention.stop()
    assert [job_id for found in steps for job_id in found] == [job.id for job in posted]
    # A step is some 20 ms of the writer, and costs a read and a COMMIT beside: few of them, and no long ones.
    assert [len(found) for found in steps] == [37, 37, 37, 37, 2, 0]


def _fail(name: str, error: BaseException) -> None:
    raise AssertionError(name) from error


async def test_a_chore_that_never_ends_leaves_the_others_their_turn(database: Database) -> None:
    turns: list[str] = []

    def busy(tx: Connection, /, *, now: int, limit: int) -> list[int]:
        turns.append("busy")
        return [1]

    def prompt(tx: Connection, /, *, now: int, limit: int) -> list[int]:
        turns.append("prompt")
        return []

    chores = [PeriodicTask("busy", 0, busy, _nothing), PeriodicTask("prompt", 0, prompt, _nothing)]
    retention = Scheduler(database, chores, clock=lambda: NOW, on_error=lambda name, error: None, pause_seconds=0)
    await retention.start()
    await until(lambda: turns.count("prompt") >= 3)
    await retention.stop()
    assert turns.index("prompt", turns.index("prompt") + 1) <= 2 * MAX_CONSECUTIVE_STEPS + 2


def _nothing(tx: Connection, /, *, found: Sequence[Any], now: int) -> None:
    pass


async def test_what_fell_due_while_the_hub_was_down_happens_at_its_start_and_once(store: Path) -> None:
    first = Database(store)
    await first.start()
    submitted = [await first.write(create_job, "submitted") for _ in range(3)]
    opened = [await first.write(create_job, expires_at=NOW + DAY_MS) for _ in range(3)]
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
        fresh = await third.write(create_job, expires_at=NOW + 1)
        await until(lambda: len(done_again) > 0)
    assert [moved.previous.id for moved in done_again] == [fresh.job.id]
    assert failed == failed_again == []
    await third.read(check_ledger)
    await third.stop()
    for g in submitted:
        assert told_of(batches, g.job) == {"job_completed": 2, "payment_released": 1}
    for g in opened:
        assert told_of(batches, g.job) == {"job_refunded": 2, "job_cancelled": 2}


def rob(tx: Connection, /, *who: Person) -> None:
    """Nothing is held for them any more: their jobs cannot be settled. Only who changes the schema can do that."""
    tx.exec_driver_sql("DROP TRIGGER IF EXISTS accounts_balance")
    held = [f"held:{one.id}" for one in who]
    tx.execute(update(accounts).where(accounts.c.id.in_(held)).values(balance=0))


def fund(tx: Connection, /, who: Person, amount: int) -> None:
    tx.execute(update(accounts).where(accounts.c.id == f"held:{who.id}").values(balance=amount))


def crowd(tx: Connection, /) -> tuple[list[PostedJob], list[PostedJob]]:
    """Bad ones that are due first, more than a step and one of them a step by itself, and good ones."""
    bad = [create_job(tx, expires_at=NOW + 1) for _ in range(40)]
    for n in range(STEP_ROWS):
        bid(tx, bad[0].job, person(tx, f"F{n}"))
    rob(tx, *(g.owner for g in bad))
    return bad, [create_job(tx, expires_at=NOW + 2) for _ in range(3)]


async def test_jobs_that_cannot_be_settled_cost_the_others_nothing_and_are_each_told_of_once(
    database: Database,
) -> None:
    bad, good = await database.write(crowd)
    # They are all reached in one turn: a failure is no reason to wait for the next.
    async with chore(database, lambda: LATER, every=3_600) as (done, failed):
        await until(lambda: len(done) == 3)
    assert [moved.previous.id for moved in done] == [g.job.id for g in good]
    assert [type(error) for error in failed] == [InsufficientFunds] * len(bad)
    assert {await database.read(status_of, g.job) for g in bad} == {"open"}


async def test_a_job_that_could_not_be_settled_is_tried_again_an_hour_later(database: Database) -> None:
    g = await database.write(create_job, expires_at=NOW + 1)
    await database.write(rob, g.owner)
    clock = LATER
    async with chore(database, lambda: clock) as (done, failed):
        await until(lambda: len(failed) == 1)
        await database.write(fund, g.owner, 5_000)
        clock += HOUR_MS - 1
        other = await database.write(create_job, expires_at=NOW + 2)
        await until(lambda: len(done) == 1)
        assert done[0].previous.id == other.job.id
        clock += 1
        await until(lambda: len(done) == 2)
    assert (done[1].previous.id, len(failed)) == (g.job.id, 1)


def test_a_clock_that_is_set_back_puts_no_job_off_for_longer(tx: Connection) -> None:
    g = create_job(tx, expires_at=NOW + 1)
    jobs_due = deadlines.DeadlineFinder()
    jobs_due.postpone(g.job.id, NOW + 30 * DAY_MS)
    assert jobs_due.find_due(tx, now=NOW + 30 * DAY_MS, limit=1) == []
    assert jobs_due.find_due(tx, now=NOW + 1, limit=1) == [g.job.id]


def test_no_more_than_so_many_are_remembered_as_put_off(tx: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "MAX_POSTPONED", 2)
    made = [create_job(tx, expires_at=NOW + 1).job.id for _ in range(3)]
    jobs_due = deadlines.DeadlineFinder()
    for job_id in made:
        jobs_due.postpone(job_id, NOW + 1)
    assert jobs_due.find_due(tx, now=NOW + RETRY_MS, limit=STEP_ROWS) == [made[0]]


async def test_what_the_store_could_not_write_is_no_fault_of_the_job_and_is_tried_again_soon(
    database: Database,
) -> None:
    g = await database.write(create_job, expires_at=NOW + 1)
    refusals = [Overloaded(), Overloaded()]

    def settle(tx: Connection, /, *, found: Sequence[str], now: int) -> list[TransitionResult]:
        if refusals:
            raise refusals.pop()
        return deadlines.process_due(tx, found=found, now=now)

    done, failed = list[object](), list[BaseException]()
    retention = Scheduler(
        database,
        [replace(DUE, interval_seconds=0.001, process=settle)],
        clock=lambda: LATER,
        on_error=lambda name, error: failed.append(error),
        on_done=lambda name, moved: done.append(moved),
    )
    await retention.start()
    await until(lambda: len(done) == 1)
    await retention.stop()
    assert [type(error) for error in failed] == [Overloaded, Overloaded]
    assert await database.read(status_of, g.job) == "expired"


async def race(together: Together, units: list[partial[Any]], seed: int) -> list[Any]:
    """Run them at once in an order of the seed's; those that moved the job, the others refused as they should be."""
    random.Random(seed).shuffle(units)
    results = await together(*units)
    assert all(isinstance(one, TransitionResult | list | Conflict | GigNotOpen | NotFound) for one in results), results
    return [
        moved
        for one in results
        for moved in (one if isinstance(one, list) else [one])
        if isinstance(moved, TransitionResult)
    ]


@pytest.mark.parametrize("seed", range(30))
async def test_of_complete_cancel_and_the_end_of_the_review_exactly_one_happens(
    database: Database, batches: list[Batch], together: Together, seed: int
) -> None:
    g: PostedJob = await database.write(create_job, "submitted")
    batches.clear()
    (moved,) = await race(
        together,
        [
            partial(change_status, job=g.job, user=g.owner, target="completed", now=LATER),
            partial(change_status, job=g.job, user=g.ann, target="cancelled", now=LATER),
            partial(step, now=LATER),
            partial(step, now=LATER),
            partial(change_status, job=g.job, user=g.owner, target="completed", now=LATER),
        ],
        seed,
    )
    await database.read(check_ledger)
    assert await database.read(status_of, g.job) == moved.job.status
    if moved.job.status == "completed":
        assert await database.read(balances, g.owner, g.ann) == [(FUNDS - 4_000, 0), (4_000, 0)]
        assert told_of(batches, g.job) == {"job_completed": 2, "payment_released": 1}
    else:
        assert await database.read(balances, g.owner, g.ann) == [(FUNDS, 0), (0, 0)]
        assert told_of(batches, g.job) == {"job_refunded": 2, "job_cancelled": 1}


@pytest.mark.parametrize("seed", range(30))
async def test_of_cancel_delete_expire_and_take_exactly_one_happens(
    database: Database, batches: list[Batch], together: Together, seed: int
) -> None:
    g: PostedJob = await database.write(create_job, instant_accept=True, expires_at=NOW + 1)
    batches.clear()
    (moved,) = await race(
        together,
        [
            partial(change_status, job=g.job, user=g.owner, target="cancelled", now=LATER),
            partial(closing.delete, job_id=g.job.id, owner_id=g.owner.id, now=LATER),
            partial(step, now=LATER),
            partial(change_status, job=g.job, user=g.ann, target="in_progress", now=LATER),
            partial(change_status, job=g.job, user=g.bob, target="in_progress", now=LATER),
        ],
        seed,
    )
    await database.read(check_ledger)
    assert await database.read(status_of, g.job) == moved.job.status
    taken = moved.action == "accept instantly"
    assert await database.read(balances, g.owner) == [(FUNDS - 5_000, 5_000) if taken else (FUNDS, 0)]
    expected = {
        "accept instantly": {"job_updated": 1, "hired": 1, "bid_rejected": 1, "job_accepted": 2},
        "delete": {"job_deleted": 1, "job_refunded": 1, "job_cancelled": 2},
    }
    assert told_of(batches, g.job) == expected.get(moved.action, {"job_refunded": 2, "job_cancelled": 2})


async def test_nobody_is_told_of_what_was_rolled_back(
    database: Database, batches: list[Batch], together: Together
) -> None:
    bad, good = [await database.write(create_job, "submitted") for _ in range(2)]
    batches.clear()

    def complete_and_fail(tx: Connection) -> None:
        change_status(tx, bad.job, bad.owner, "completed")
        raise RuntimeError("at the very end")

    failed, done = await together(
        complete_and_fail, partial(change_status, job=good.job, user=good.owner, target="completed")
    )
    assert isinstance(failed, RuntimeError)
    assert isinstance(done, TransitionResult)
    assert told_of(batches, bad.job) == {}
    assert told_of(batches, good.job) == {"job_completed": 2, "payment_released": 1}
    assert await database.read(status_of, bad.job) == "submitted"
    assert await database.read(balances, bad.owner, bad.ann) == [(FUNDS - 4_000, 4_000), (0, 0)]
    assert [one.type for one in (await database.read(listing.list_page, user_id=bad.ann.id)).items] == ["hired"]
    await database.read(check_ledger)
