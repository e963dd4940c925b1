"""Periodic tasks: what they delete, bounded steps, failures, and correct counts and trim marks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest
from sqlalchemy import Connection, func, insert, select, update

from services.accounts import sessions, users
from services.database import idempotency, outbox
from services.database.database import Database
from services.database.units import Batch
from services.event_log import log_retention
from services.event_log.log_retention import LogRetention
from services.maintenance.tasks import RetentionPolicy, all_tasks
from services.notifications import inbox as notification_inbox
from services.notifications import listing
from services.notifications.draft import NotificationDraft
from services.scheduling.scheduler import MAX_STEP_ROWS, PeriodicTask, Scheduler
from services.tables import events, idempotent_responses, inbox_undos, inboxes
from services.tables import notifications as table_notifications
from services.tables import sessions as login_rows
from services.times import DAY_MS

NOW = 400 * DAY_MS
NO_LIMITS = RetentionPolicy(log_events=0, log_ms=0, inbox_ms=0)


def person(tx: Connection, name: str = "Ann") -> str:
    return users.create(tx, email=None, password_hash=None, name=name, role="client", now=NOW).id


def send(tx: Connection, *, user_id: str, now: int, count: int = 1, expires_at: int | None = None) -> list[str]:
    draft = NotificationDraft(type="t", category="system", title="T", body="B", expires_at=expires_at)
    return notification_inbox.deliver(tx, items=[(user_id, draft)] * count, now=now)


def fill(tx: Connection, *, channel: str, count: int, now: int) -> None:
    for n in range(count):
        outbox.append(tx, channel, "t", {"n": n}, now=now)


def event_counts(tx: Connection) -> dict[str, int]:
    return {
        row.channel: row.n
        for row in tx.execute(select(events.c.channel, func.count().label("n")).group_by(events.c.channel))
    }


@asynccontextmanager
async def running(
    database: Database, tasks: Sequence[PeriodicTask], now: Callable[[], int] = lambda: NOW
) -> AsyncIterator[list[str]]:
    """Run the tasks with a short interval; yield the names of the failed ones."""
    failed: list[str] = []
    quick = [PeriodicTask(task.name, 0.001, task.find, task.process) for task in tasks]
    scheduler = Scheduler(database, quick, clock=now, on_error=lambda name, _: failed.append(name), pause_seconds=0)
    await scheduler.start()
    yield failed
    await scheduler.stop()


async def until(condition: Callable[[Connection], bool], database: Database) -> None:
    async with asyncio.timeout(20):
        while not await database.read(condition):  # noqa: ASYNC110  # a row has no event to wait on
            await asyncio.sleep(0.001)


async def test_expired_notification_is_removed_counted_and_published(database: Database, batches: list[Batch]) -> None:
    ann = await database.write(person)
    (kept_id,) = await database.write(send, user_id=ann, now=NOW - 10)
    (expired_id,) = await database.write(send, user_id=ann, now=NOW - 10, expires_at=NOW)
    async with running(database, all_tasks(NO_LIMITS)) as failed:
        await until(lambda tx: listing.list_page(tx, user_id=ann).unread == 1, database)
    page = await database.read(listing.list_page, user_id=ann)
    assert ([item.id for item in page.items], page.unseen, failed) == ([kept_id], 1, [])
    event = batches[-1].events[-1]
    assert msgspec.json.decode(event.data) == {"ids": [expired_id], "state": "retracted", "unread": 1, "unseen": 1}
    assert len(batches[-1].forgotten) == 1


async def test_old_rows_of_every_kind_are_deleted_and_newer_ones_stay(database: Database) -> None:
    ann = await database.write(person)

    def prepare(tx: Connection) -> None:
        send(tx, user_id=ann, now=NOW - 365 * DAY_MS - 1, count=MAX_STEP_ROWS + 1)
        send(tx, user_id=ann, now=NOW - 365 * DAY_MS)
        tx.execute(update(table_notifications).values(read_at=NOW).where(table_notifications.c.seq < 3))
        tx.execute(update(inboxes).values(unread=inboxes.c.unread - 2))
        for at in (NOW - 7 * DAY_MS - 1, NOW - 7 * DAY_MS + 1):
            idempotency.run_once(tx, caller="c", key=str(at), digest=b"", now=at, act=lambda _: {})
            fill(tx, channel="jobs", count=MAX_STEP_ROWS + 1, now=at)
        for at in (NOW - 30 * DAY_MS - 1, NOW - 30 * DAY_MS):
            sessions.create(tx, user_id=ann, expected_hash=None, user_agent=None, address=None, now=at)
        for at in (NOW - 30_000, NOW - 29_999):
            undo = {"id": str(at), "user_id": ann, "verb": "read", "change": 1, "first_seq": 1, "last_seq": 1}
            tx.execute(insert(inbox_undos), undo | {"created_at": at})

    await database.write(prepare)

    def counts(tx: Connection) -> list[int]:
        tables = (table_notifications, idempotent_responses, login_rows, inbox_undos)
        jobs = select(func.count()).select_from(events).where(events.c.channel == "jobs")
        return [tx.execute(select(func.count()).select_from(table)).scalar_one() for table in tables] + [
            tx.execute(jobs).scalar_one()
        ]

    policy = RetentionPolicy(log_events=0, log_ms=7 * DAY_MS, inbox_ms=365 * DAY_MS)
    async with running(database, all_tasks(policy)) as failed:
        await until(lambda tx: counts(tx) == [1, 1, 1, 1, MAX_STEP_ROWS + 1], database)
    page = await database.read(listing.list_page, user_id=ann)
    assert (page.unread, page.unseen, len(page.items), failed) == (1, 1, 1, [])


async def test_channel_keeps_its_newest_events_and_a_trim_mark(database: Database) -> None:
    await database.write(fill, channel="jobs", count=2_500, now=NOW)
    await database.write(fill, channel="user:1", count=5, now=NOW)
    tasks = [task for task in all_tasks(RetentionPolicy(log_events=10, log_ms=0, inbox_ms=0)) if task.name == "log"]
    async with running(database, tasks):
        await until(lambda tx: event_counts(tx) == {"jobs": 10, "user:1": 5}, database)
        await database.write(fill, channel="user:1", count=6, now=NOW)
        await until(lambda tx: event_counts(tx) == {"jobs": 10, "user:1": 10}, database)
    missed = await database.read(
        outbox.count_missed, channels=["jobs"], own="user:1", position=2_489, own_limit=1, shared_limit=100
    )
    assert missed.trimmed
    missed = await database.read(
        outbox.count_missed, channels=["jobs"], own="user:1", position=2_490, own_limit=1, shared_limit=100
    )
    assert (missed.trimmed, missed.shared) == (False, 10)


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The channels of each search for events over the limit."""
    searches: list[list[str]] = []
    original = log_retention.find_over_limit

    def spy(tx: Connection, *, channels: Sequence[str], max_events: int, limit: int) -> list[tuple[str, int]]:
        searches.append(list(channels))
        return original(tx, channels=channels, max_events=max_events, limit=limit)

    monkeypatch.setattr(log_retention, "find_over_limit", spy)
    return searches


async def test_log_is_searched_once_and_then_only_in_written_channels(
    database: Database, searched: list[list[str]]
) -> None:
    trim = LogRetention(max_events=2_000, max_age_ms=0)
    names = [f"user:{number:02}" for number in range(45)]
    for name in names:
        await database.write(fill, channel=name, count=50, now=NOW)
    await database.read(trim.find_due, now=NOW, limit=10)
    # Every channel once, whatever its number of events. The last search finds no more channels.
    assert [channels for channels in searched if channels] == [names[:20], names[20:40], names[40:]]
    searched.clear()
    await database.read(trim.find_due, now=NOW, limit=10)
    await database.write(fill, channel="jobs", count=1, now=NOW)
    await database.read(trim.find_due, now=NOW, limit=10)
    assert [channels for channels in searched if channels] == [["jobs"]]


async def test_channels_written_during_the_search_are_searched_again(
    database: Database, searched: list[list[str]]
) -> None:
    trim = LogRetention(max_events=3, max_age_ms=0)
    for number in range(250):
        await database.write(fill, channel=f"user:{number:03}", count=1, now=NOW)
    await database.read(trim.find_due, now=NOW, limit=10)
    # The search has passed the first channels.
    assert searched[-1][-1] == "user:199"
    await database.write(fill, channel="user:000", count=4, now=NOW)
    found = await database.read(trim.find_due, now=NOW, limit=10)
    assert [channel for channel, _ in found] == ["user:000", "user:000"]


async def test_search_continues_after_found_events_are_deleted(database: Database) -> None:
    trim = LogRetention(max_events=5, max_age_ms=0)
    await database.write(fill, channel="jobs", count=12, now=NOW)
    await database.write(fill, channel="user:1", count=6, now=NOW)
    deleted: list[tuple[str, int]] = []
    while found := await database.read(trim.find_due, now=NOW, limit=4):
        assert len(found) <= 4
        await database.write(log_retention.delete_and_mark, rows=found)
        deleted += found
    assert deleted == [*(("jobs", position) for position in range(1, 8)), ("user:1", 13)]


async def test_step_processes_a_bounded_number_of_rows(database: Database) -> None:
    sizes: list[int] = []
    remaining = list(range(1_000))

    def find(tx: Connection, /, *, now: int, limit: int) -> list[int]:
        return remaining[:limit]

    def process(tx: Connection, /, *, found: Sequence[int], now: int) -> None:
        sizes.append(len(found))
        del remaining[: len(found)]

    async with running(database, [PeriodicTask("many", 1, find, process)]):
        async with asyncio.timeout(20):
            while remaining:  # noqa: ASYNC110  # a list has no event to wait on
                await asyncio.sleep(0.001)
    assert max(sizes) == MAX_STEP_ROWS


async def test_failing_task_is_reported_and_retried_beside_other_tasks(database: Database) -> None:
    attempts: list[int] = []
    done = asyncio.Event()

    def broken(tx: Connection, /, *, now: int, limit: int) -> list[int]:
        attempts.append(now)
        raise RuntimeError("broken")

    def find(tx: Connection, /, *, now: int, limit: int) -> list[int]:
        if len(attempts) > 2:
            done.set()
        return []

    def nothing(tx: Connection, /, *, found: object, now: int) -> None:
        return None

    async with running(
        database, [PeriodicTask("bad", 1, broken, nothing), PeriodicTask("good", 1, find, nothing)]
    ) as failed:
        async with asyncio.timeout(20):
            await done.wait()
    assert set(failed) == {"bad"}
    assert len(failed) > 2


async def test_scheduler_stop_is_allowed_twice_and_before_start(database: Database) -> None:
    scheduler = Scheduler(database, all_tasks(NO_LIMITS), clock=lambda: NOW, on_error=lambda name, error: None)
    await scheduler.stop()
    await scheduler.start()
    await scheduler.stop()
    await scheduler.stop()
