"""Job deadlines: expiry and completion by the hub, failures, restarts and races."""

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
from tests.support.timeouts import TIMEOUT_SECONDS

DEADLINE_TASK = next(
    task for task in all_tasks(RetentionPolicy(log_events=0, log_ms=0, inbox_ms=0)) if task.name == "job deadlines"
)
REVIEW_OVER = NOW + DEADLINES.review_ms


def status_of(tx: Connection, job: Job) -> str:
    return str(tx.execute(select(jobs.c.status).where(jobs.c.id == job.id)).scalar_one())


def find_due(tx: Connection, /, *, now: int, limit: int = STEP_ROWS) -> Sequence[str]:
    return deadlines.DeadlineFinder().find_due(tx, now=now, limit=limit)


def run_task(tx: Connection, now: int) -> list[TransitionResult]:
    return deadlines.process_due(tx, found=find_due(tx, now=now), now=now)


def count_events(batches: Sequence[Batch], job: Job) -> Counter[str]:
    """Count the events about a job on all channels, by type; notifications by the type of their draft."""
    counts: Counter[str] = Counter()
    for event in (event for batch in batches for event in batch.events):
        data = msgspec.json.decode(event.data)
        if data.get("id") == job.id:
            counts[event.type] += 1
        elif data.get("data", {}).get("jobId") == job.id:
            counts[data["type"]] += 1
    return counts


@asynccontextmanager
async def running_task(
    database: Database, now: Callable[[], int], *, interval_seconds: float = 0.001
) -> AsyncIterator[tuple[list[TransitionResult], list[BaseException]]]:
    """Run the task with a short interval; yield its results and its errors."""
    results, errors = list[TransitionResult](), list[BaseException]()
    scheduler = Scheduler(
        database,
        [replace(DEADLINE_TASK, interval_seconds=interval_seconds)],
        clock=now,
        on_error=lambda name, error: errors.append(error),
        on_done=lambda name, result: results.extend(result),  # type: ignore[arg-type]
    )
    await scheduler.start()
    yield results, errors
    await scheduler.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not condition():  # noqa: ASYNC110  # the condition has no event to wait for
            await asyncio.sleep(0.001)


def test_open_job_expires_at_its_expiry_and_not_before(tx: Connection, pending_events: list[PendingEvent]) -> None:
    posted = create_job(tx, expires_at=NOW + 10)
    pending_events.clear()
    assert run_task(tx, NOW + 9) == []
    (result,) = run_task(tx, NOW + 10)
    assert (result.action, result.job.status, result.previous.held) == ("expire", "expired", 5_000)
    ((type, event),) = job_channel_events(pending_events)
    keys = [f"job/{posted.job.id}", "my-jobs", "stats", "wallet"]
    assert (type, event["status"], event["invalidates"]) == ("job_refunded", "expired", keys)
    assert [notification["type"] for notification in notifications_for(pending_events, posted.owner)] == [
        "job_refunded"
    ]
    for loser in (posted.ann, posted.bob):
        assert [
            (notification["type"], notification["title"]) for notification in notifications_for(pending_events, loser)
        ] == [("job_cancelled", "Job expired: Fix it")]
    assert set(bid_statuses(tx, posted.job).values()) == {"rejected"}
    assert balances(tx, posted.owner) == [(FUNDS, 0)]
    check_ledger(tx)
    pending_events.clear()
    assert run_task(tx, NOW + 11) == []
    assert pending_events == []


def test_submitted_job_is_completed_and_paid_when_the_review_is_over(
    tx: Connection, pending_events: list[PendingEvent]
) -> None:
    posted = create_job(tx, "submitted")
    pending_events.clear()
    assert run_task(tx, REVIEW_OVER - 1) == []
    (result,) = run_task(tx, REVIEW_OVER)
    assert (result.action, result.job.status, result.freelancer) == ("complete", "completed", posted.ann)
    assert [type for type, _ in job_channel_events(pending_events)] == ["job_completed"]
    assert [notification["type"] for notification in notifications_for(pending_events, posted.owner)] == [
        "job_completed"
    ]
    assert [notification["type"] for notification in notifications_for(pending_events, posted.ann)] == [
        "payment_released"
    ]
    assert balances(tx, posted.owner, posted.ann) == [(FUNDS - 4_000, 0), (4_000, 0)]
    assert run_task(tx, REVIEW_OVER + 1) == []


@pytest.mark.parametrize("status", ["assigned", "in_progress", "completed"])
def test_jobs_of_other_statuses_are_never_due(tx: Connection, status: str) -> None:
    create_job(tx, status, expires_at=NOW + 10)
    assert find_due(tx, now=NOW + 10_000 * DAY_MS) == []


def test_process_due_skips_jobs_that_changed_since_they_were_found(
    tx: Connection, pending_events: list[PendingEvent]
) -> None:
    cancelled, deleted, edited = (create_job(tx, expires_at=NOW + 10) for _ in range(3))
    found = find_due(tx, now=NOW + 10)
    assert set(found) == {cancelled.job.id, deleted.job.id, edited.job.id}
    change_status(tx, cancelled.job, cancelled.owner, "cancelled")
    closing.delete(tx, job_id=deleted.job.id, owner_id=deleted.owner.id, now=NOW)
    tx.execute(update(jobs).where(jobs.c.id == edited.job.id).values(due_at=NOW + 11))
    pending_events.clear()
    assert deadlines.process_due(tx, found=found, now=NOW + 10) == []
    assert (pending_events, status_of(tx, edited.job)) == ([], "open")


def test_step_takes_fewer_jobs_when_they_have_many_bids(tx: Connection) -> None:
    owner = person(tx, "Olga", "client", FUNDS)
    made = [post(tx, owner, budget=10, expires_at=NOW + 1 + n) for n in range(4)]
    for n in range(3):
        bid(tx, made[0], person(tx, f"F{n}"))
    assert find_due(tx, now=NOW + 9, limit=1) == [made[0].id]
    assert find_due(tx, now=NOW + 9, limit=18) == [made[0].id]
    assert find_due(tx, now=NOW + 9, limit=19) == [made[0].id, made[1].id]
    assert find_due(tx, now=NOW + 9, limit=100) == [job.id for job in made]


def test_deadline_task_runs_at_least_once_per_second() -> None:
    assert DEADLINE_TASK.interval_seconds == DEADLINE_SECONDS <= 1


async def test_deadline_task_waits_neither_for_tasks_nor_between_steps(database: Database) -> None:
    # If the task waited for the other task, or paused like it, its second step would not run before the test ends.
    def busy(tx: Connection, /, *, now: int, limit: int) -> list[int]:
        return [1]

    owner = await database.write(person, "Olga", "client", 10**6)
    posted = await asyncio.gather(
        *(database.write(partial(post, owner=owner, budget=10, expires_at=NOW + 1 + n)) for n in range(150))
    )
    found_by_step = []

    def find(tx: Connection, /, *, now: int, limit: int) -> Sequence[str]:
        found_by_step.append(DEADLINE_TASK.find(tx, now=now, limit=limit))
        return found_by_step[-1]

    other_task = PeriodicTask("busy", 0, busy, _nothing)
    scheduler = Scheduler(
        database,
        [other_task, replace(DEADLINE_TASK, find=find)],
        clock=lambda: REVIEW_OVER,
        on_error=_fail,
        pause_seconds=3_600,
    )
    await scheduler.start()
    await until(lambda: found_by_step[-1:] == [[]])
    await scheduler.stop()
    assert [job_id for found in found_by_step for job_id in found] == [job.id for job in posted]
    # A step occupies the writer for about 20 ms. Each step also costs a read and a COMMIT, so there are not many.
    assert [len(found) for found in found_by_step] == [37, 37, 37, 37, 2, 0]


def _fail(name: str, error: BaseException) -> None:
    raise AssertionError(name) from error


async def test_task_with_endless_work_lets_other_tasks_run(database: Database) -> None:
    runs: list[str] = []

    def busy(tx: Connection, /, *, now: int, limit: int) -> list[int]:
        runs.append("busy")
        return [1]

    def prompt(tx: Connection, /, *, now: int, limit: int) -> list[int]:
        runs.append("prompt")
        return []

    tasks = [PeriodicTask("busy", 0, busy, _nothing), PeriodicTask("prompt", 0, prompt, _nothing)]
    scheduler = Scheduler(database, tasks, clock=lambda: NOW, on_error=lambda name, error: None, pause_seconds=0)
    await scheduler.start()
    await until(lambda: runs.count("prompt") >= 3)
    await scheduler.stop()
    assert runs.index("prompt", runs.index("prompt") + 1) <= 2 * MAX_CONSECUTIVE_STEPS + 2


def _nothing(tx: Connection, /, *, found: Sequence[Any], now: int) -> None:
    pass


async def test_deadlines_that_passed_while_stopped_are_processed_once(store: Path) -> None:
    first = Database(store)
    await first.start()
    submitted = [await first.write(create_job, "submitted") for _ in range(3)]
    expiring = [await first.write(create_job, expires_at=NOW + DAY_MS) for _ in range(3)]
    await first.stop()

    batches: list[Batch] = []
    second = Database(store, on_commit=batches.append)
    await second.start()
    async with running_task(second, lambda: REVIEW_OVER) as (results, errors):
        await until(lambda: len(results) == 6)
    await second.stop()

    third = Database(store, on_commit=batches.append)
    await third.start()
    async with running_task(third, lambda: REVIEW_OVER) as (later_results, later_errors):
        # The earlier jobs are done: a job that is due now is the only one that the task finds.
        new = await third.write(create_job, expires_at=NOW + 1)
        await until(lambda: len(later_results) > 0)
    assert [result.previous.id for result in later_results] == [new.job.id]
    assert errors == later_errors == []
    await third.read(check_ledger)
    await third.stop()
    for posted in submitted:
        assert count_events(batches, posted.job) == {"job_completed": 2, "payment_released": 1}
    for posted in expiring:
        assert count_events(batches, posted.job) == {"job_refunded": 2, "job_cancelled": 2}


def clear_held(tx: Connection, /, *owners: Person) -> None:
    """Set the held balance of the owners to zero, so that their jobs cannot be closed; drops the trigger first."""
    tx.exec_driver_sql("DROP TRIGGER IF EXISTS accounts_balance")
    held = [f"held:{owner.id}" for owner in owners]
    tx.execute(update(accounts).where(accounts.c.id.in_(held)).values(balance=0))


def set_held(tx: Connection, /, owner: Person, amount: int) -> None:
    tx.execute(update(accounts).where(accounts.c.id == f"held:{owner.id}").values(balance=amount))


def create_bad_and_good_jobs(tx: Connection, /) -> tuple[list[PostedJob], list[PostedJob]]:
    """Create failing jobs that are due first, more than one step of them, and three others that can be closed.

    The first failing job alone fills a step.
    """
    bad = [create_job(tx, expires_at=NOW + 1) for _ in range(40)]
    for n in range(STEP_ROWS):
        bid(tx, bad[0].job, person(tx, f"F{n}"))
    clear_held(tx, *(posted.owner for posted in bad))
    return bad, [create_job(tx, expires_at=NOW + 2) for _ in range(3)]


async def test_failing_jobs_are_reported_once_and_do_not_delay_others(
    database: Database,
) -> None:
    bad, good = await database.write(create_bad_and_good_jobs)
    # One run of the task processes all of them: it does not stop at a failure.
    async with running_task(database, lambda: REVIEW_OVER, interval_seconds=3_600) as (results, errors):
        await until(lambda: len(results) == 3)
    assert [result.previous.id for result in results] == [posted.job.id for posted in good]
    assert [type(error) for error in errors] == [InsufficientFunds] * len(bad)
    assert {await database.read(status_of, posted.job) for posted in bad} == {"open"}


async def test_failing_job_is_tried_again_after_an_hour(database: Database) -> None:
    posted = await database.write(create_job, expires_at=NOW + 1)
    await database.write(clear_held, posted.owner)
    clock = REVIEW_OVER
    async with running_task(database, lambda: clock) as (results, errors):
        await until(lambda: len(errors) == 1)
        await database.write(set_held, posted.owner, 5_000)
        clock += HOUR_MS - 1
        other = await database.write(create_job, expires_at=NOW + 2)
        await until(lambda: len(results) == 1)
        assert results[0].previous.id == other.job.id
        clock += 1
        await until(lambda: len(results) == 2)
    assert (results[1].previous.id, len(errors)) == (posted.job.id, 1)


def test_postponed_job_is_due_when_the_clock_was_set_back(tx: Connection) -> None:
    posted = create_job(tx, expires_at=NOW + 1)
    finder = deadlines.DeadlineFinder()
    finder.postpone(posted.job.id, NOW + 30 * DAY_MS)
    assert finder.find_due(tx, now=NOW + 30 * DAY_MS, limit=1) == []
    assert finder.find_due(tx, now=NOW + 1, limit=1) == [posted.job.id]


def test_number_of_postponed_jobs_is_limited(tx: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "MAX_POSTPONED", 2)
    made = [create_job(tx, expires_at=NOW + 1).job.id for _ in range(3)]
    finder = deadlines.DeadlineFinder()
    for job_id in made:
        finder.postpone(job_id, NOW + 1)
    assert finder.find_due(tx, now=NOW + RETRY_MS, limit=STEP_ROWS) == [made[0]]


async def test_job_is_not_postponed_when_the_store_is_overloaded(
    database: Database,
) -> None:
    posted = await database.write(create_job, expires_at=NOW + 1)
    pending_errors = [Overloaded(), Overloaded()]

    def process(tx: Connection, /, *, found: Sequence[str], now: int) -> list[TransitionResult]:
        if pending_errors:
            raise pending_errors.pop()
        return deadlines.process_due(tx, found=found, now=now)

    results, errors = list[object](), list[BaseException]()
    scheduler = Scheduler(
        database,
        [replace(DEADLINE_TASK, interval_seconds=0.001, process=process)],
        clock=lambda: REVIEW_OVER,
        on_error=lambda name, error: errors.append(error),
        on_done=lambda name, result: results.append(result),
    )
    await scheduler.start()
    await until(lambda: len(results) == 1)
    await scheduler.stop()
    assert [type(error) for error in errors] == [Overloaded, Overloaded]
    assert await database.read(status_of, posted.job) == "expired"


async def race(together: Together, units: list[partial[Any]], seed: int) -> list[Any]:
    """Run the units concurrently in a seeded order; return the transitions. Other results must be expected errors."""
    random.Random(seed).shuffle(units)
    results = await together(*units)
    assert all(isinstance(result, TransitionResult | list | Conflict | GigNotOpen | NotFound) for result in results), (
        results
    )
    return [
        transition
        for result in results
        for transition in (result if isinstance(result, list) else [result])
        if isinstance(transition, TransitionResult)
    ]


@pytest.mark.parametrize("seed", range(30))
async def test_one_of_complete_cancel_and_review_deadline_succeeds(
    database: Database, batches: list[Batch], together: Together, seed: int
) -> None:
    posted: PostedJob = await database.write(create_job, "submitted")
    batches.clear()
    (result,) = await race(
        together,
        [
            partial(change_status, job=posted.job, user=posted.owner, target="completed", now=REVIEW_OVER),
            partial(change_status, job=posted.job, user=posted.ann, target="cancelled", now=REVIEW_OVER),
            partial(run_task, now=REVIEW_OVER),
            partial(run_task, now=REVIEW_OVER),
            partial(change_status, job=posted.job, user=posted.owner, target="completed", now=REVIEW_OVER),
        ],
        seed,
    )
    await database.read(check_ledger)
    assert await database.read(status_of, posted.job) == result.job.status
    if result.job.status == "completed":
        assert await database.read(balances, posted.owner, posted.ann) == [(FUNDS - 4_000, 0), (4_000, 0)]
        assert count_events(batches, posted.job) == {"job_completed": 2, "payment_released": 1}
    else:
        assert await database.read(balances, posted.owner, posted.ann) == [(FUNDS, 0), (0, 0)]
        assert count_events(batches, posted.job) == {"job_refunded": 2, "job_cancelled": 1}


@pytest.mark.parametrize("seed", range(30))
async def test_one_of_cancel_delete_expire_and_instant_accept_succeeds(
    database: Database, batches: list[Batch], together: Together, seed: int
) -> None:
    posted: PostedJob = await database.write(create_job, instant_accept=True, expires_at=NOW + 1)
    batches.clear()
    (result,) = await race(
        together,
        [
            partial(change_status, job=posted.job, user=posted.owner, target="cancelled", now=REVIEW_OVER),
            partial(closing.delete, job_id=posted.job.id, owner_id=posted.owner.id, now=REVIEW_OVER),
            partial(run_task, now=REVIEW_OVER),
            partial(change_status, job=posted.job, user=posted.ann, target="in_progress", now=REVIEW_OVER),
            partial(change_status, job=posted.job, user=posted.bob, target="in_progress", now=REVIEW_OVER),
        ],
        seed,
    )
    await database.read(check_ledger)
    assert await database.read(status_of, posted.job) == result.job.status
    accepted = result.action == "accept instantly"
    assert await database.read(balances, posted.owner) == [(FUNDS - 5_000, 5_000) if accepted else (FUNDS, 0)]
    expected = {
        "accept instantly": {"job_updated": 1, "hired": 1, "bid_rejected": 1, "job_accepted": 2},
        "delete": {"job_deleted": 1, "job_refunded": 1, "job_cancelled": 2},
    }
    assert count_events(batches, posted.job) == expected.get(result.action, {"job_refunded": 2, "job_cancelled": 2})


async def test_rolled_back_completion_publishes_nothing(
    database: Database, batches: list[Batch], together: Together
) -> None:
    bad, good = [await database.write(create_job, "submitted") for _ in range(2)]
    batches.clear()

    def complete_and_fail(tx: Connection) -> None:
        change_status(tx, bad.job, bad.owner, "completed")
        raise RuntimeError("after the last statement")

    error, result = await together(
        complete_and_fail, partial(change_status, job=good.job, user=good.owner, target="completed")
    )
    assert isinstance(error, RuntimeError)
    assert isinstance(result, TransitionResult)
    assert count_events(batches, bad.job) == {}
    assert count_events(batches, good.job) == {"job_completed": 2, "payment_released": 1}
    assert await database.read(status_of, bad.job) == "submitted"
    assert await database.read(balances, bad.owner, bad.ann) == [(FUNDS - 4_000, 4_000), (0, 0)]
    assert [item.type for item in (await database.read(listing.list_page, user_id=bad.ann.id)).items] == ["hired"]
    await database.read(check_ledger)
