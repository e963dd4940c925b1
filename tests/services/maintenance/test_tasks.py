"""What is due leaves: in small steps, whatever goes wrong, and with counts and marks that stay true."""

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
FOREVER = RetentionPolicy(log_events=0, log_ms=0, inbox_ms=0)


def person(tx: Connection, name: str = "Ann") -> str:
    return users.create(tx, email=None, password_hash=None, name=name, role="client", now=NOW).id


def send(tx: Connection, *, user_id: str, now: int, count: int = 1, expires_at: int | None = None) -> list[str]:
    letter = NotificationDraft(type="t", category="system", title="T", body="B", expires_at=expires_at)
    return notification_inbox.deliver(tx, items=[(user_id, letter)] * count, now=now)


def fill(tx: Connection, *, channel: str, count: int, now: int) -> None:
    for n in range(count):
        outbox.append(tx, channel, "t", {"n": n}, now=now)


def kept(tx: Connection) -> dict[str, int]:
    return {
        row.channel: row.n
        for row in tx.execute(select(events.c.channel, func.count().label("n")).group_by(events.c.channel))
    }


@asynccontextmanager
async def running(
    database: Database, chores: Sequence[PeriodicTask], now: Callable[[], int] = lambda: NOW
) -> AsyncIterator[list[str]]:
    """A runner that looks again at once; what failed, by name."""
    failed: list[str] = []
    quick = [PeriodicTask(chore.name, 0.001, chore.find, chore.process) for chore in chores]
    retention = Scheduler(database, quick, clock=now, on_error=lambda name, _: failed.append(name), pause_seconds=0)
    await retention.start()
    yield failed
    await retention.stop()


async def until(holds: Callable[[Connection], bool], database: Database) -> None:
    async with asyncio.timeout(20):
        while not await database.read(holds):  # noqa: ASYNC110  # a row has no event to wait on
            await asyncio.sleep(0.001)


async def test_an_expired_notification_leaves_counts_and_list_and_is_told(
    database: Database, batches: list[Batch]
) -> None:
    ann = await database.write(person)
    (stays,) = await database.write(send, user_id=ann, now=NOW - 10)
    (goes,) = await database.write(send, user_id=ann, now=NOW - 10, expires_at=NOW)
    async with running(database, all_tasks(FOREVER)) as failed:
        await until(lambda tx: listing.list_page(tx, user_id=ann).unread == 1, database)
    page = await database.read(listing.list_page, user_id=ann)
    assert ([item.id for item in page.items], page.unseen, failed) == ([stays], 1, [])
    told = batches[-1].events[-1]
    assert msgspec.json.decode(told.data) == {"ids": [goes], "state": "retracted", "unread": 1, "unseen": 1}
    assert len(batches[-1].forgotten) == 1


async def test_old_rows_logs_answers_logins_and_undos_leave_and_young_ones_stay(database: Database) -> None:
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

    keep = RetentionPolicy(log_events=0, log_ms=7 * DAY_MS, inbox_ms=365 * DAY_MS)
    async with running(database, all_tasks(keep)) as failed:
        await until(lambda tx: counts(tx) == [1, 1, 1, 1, MAX_STEP_ROWS + 1], database)
    page = await database.read(listing.list_page, user_id=ann)
    assert (page.unread, page.unseen, len(page.items), failed) == (1, 1, 1, [])


async def test_a_channel_keeps_its_newest_events_and_remembers_where_it_was_cut(database: Database) -> None:
    await database.write(fill, channel="jobs", count=2_500, now=NOW)
    await database.write(fill, channel="user:1", count=5, now=NOW)
    chores = [chore for chore in all_tasks(RetentionPolicy(log_events=10, log_ms=0, inbox_ms=0)) if chore.name == "log"]
    async with running(database, chores):
        await until(lambda tx: kept(tx) == {"jobs": 10, "user:1": 5}, database)
        await database.write(fill, channel="user:1", count=6, now=NOW)
        await until(lambda tx: kept(tx) == {"jobs": 10, "user:1": 10}, database)
    missed = await database.read(
        outbox.count_missed, channels=["jobs"], own="user:1", position=2_489, own_limit=1, shared_limit=100
    )
    assert missed.trimmed
    missed = await database.read(
        outbox.count_missed, channels=["jobs"], own="user:1", position=2_490, own_limit=1, shared_limit=100
    )
    assert (missed.trimmed, missed.shared) == (False, 10)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The channels of each look at the log."""
    looks: list[list[str]] = []
    crowded = log_retention.find_over_limit

    def spy(tx: Connection, *, channels: Sequence[str], max_events: int, limit: int) -> list[tuple[str, int]]:
        looks.append(list(channels))
        return crowded(tx, channels=channels, max_events=max_events, limit=limit)

    monkeypatch.setattr(log_retention, "find_over_limit", spy)
    return looks


async def test_every_channel_is_looked_at_once_and_then_those_that_something_was_written_to(
    database: Database, looked: list[list[str]]
) -> None:
    trim = LogRetention(max_events=2_000, max_age_ms=0)
    names = [f"user:{number:02}" for number in range(45)]
    for name in names:
        await database.write(fill, channel=name, count=50, now=NOW)
    await database.read(trim.find_due, now=NOW, limit=10)
    # All of them however many events they have, and at the head there is nothing.
    assert [look for look in looked if look] == [names[:20], names[20:40], names[40:]]
    looked.clear()
    await database.read(trim.find_due, now=NOW, limit=10)
    await database.write(fill, channel="jobs", count=1, now=NOW)
    await database.read(trim.find_due, now=NOW, limit=10)
    assert [look for look in looked if look] == [["jobs"]]


async def test_what_is_written_while_the_channels_are_looked_at_is_looked_at_too(
    database: Database, looked: list[list[str]]
) -> None:
    trim = LogRetention(max_events=3, max_age_ms=0)
    for number in range(250):
        await database.write(fill, channel=f"user:{number:03}", count=1, now=NOW)
    await database.read(trim.find_due, now=NOW, limit=10)
    # The first are behind it now.
    assert looked[-1][-1] == "user:199"
    await database.write(fill, channel="user:000", count=4, now=NOW)
    found = await database.read(trim.find_due, now=NOW, limit=10)
    assert [channel for channel, _ in found] == ["user:000", "user:000"]


async def test_one_look_finds_what_is_crowded_and_goes_on_only_when_that_is_gone(database: Database) -> None:
    trim = LogRetention(max_events=5, max_age_ms=0)
    await database.write(fill, channel="jobs", count=12, now=NOW)
    await database.write(fill, channel="user:1", count=6, now=NOW)
    gone: list[tuple[str, int]] = []
    while found := await database.read(trim.find_due, now=NOW, limit=4):
        assert len(found) <= 4
        await database.write(log_retention.delete_and_mark, rows=found)
        gone += found
    assert gone == [*(("jobs", position) for position in range(1, 8)), ("user:1", 13)]


async def test_a_step_removes_a_bounded_number_of_rows(database: Database) -> None:
    sizes: list[int] = []
    left = list(range(1_000))

    def find(tx: Connection, /, *, now: int, limit: int) -> list[int]:
        return left[:limit]

    def remove(tx: Connection, /, *, found: Sequence[int], now: int) -> None:
        sizes.append(len(found))
        del left[: len(found)]

    async with running(database, [PeriodicTask("many", 1, find, remove)]):
        async with asyncio.timeout(20):
            while left:  # noqa: ASYNC110  # nor has a list
                await asyncio.sleep(0.001)
    assert max(sizes) == MAX_STEP_ROWS


async def test_a_chore_that_fails_is_reported_and_tried_again_and_stops_no_other(database: Database) -> None:
    tries: list[int] = []
    done = asyncio.Event()

    def broken(tx: Connection, /, *, now: int, limit: int) -> list[int]:
        tries.append(now)
        raise RuntimeError("broken")

    def find(tx: Connection, /, *, now: int, limit: int) -> list[int]:
        if len(tries) > 2:
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


async def test_stopping_twice_or_before_starting_does_no_harm(database: Database) -> None:
    retention = Scheduler(database, all_tasks(FOREVER), clock=lambda: NOW, on_error=lambda name, error: None)
    await retention.stop()
    await retention.start()
    await retention.stop()
    await retention.stop()
