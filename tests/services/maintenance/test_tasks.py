"""The periodic tasks of the hub: what they delete, and correct counts."""

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from services.accounts import sessions, users
from services.database import idempotency
from services.database.database import Database
from services.database.units import Batch
from services.maintenance.tasks import RetentionPolicy, all_tasks
from services.notifications import inbox as notification_inbox
from services.notifications import listing
from services.notifications.draft import NotificationDraft
from services.scheduling.scheduler import MAX_STEP_ROWS
from services.tables import events, idempotent_responses, inbox_undos, inboxes
from services.tables import notifications as table_notifications
from services.tables import sessions as login_rows
from services.times import DAY_MS
from tests.support.periodic_tasks import NOW, fill, run_tasks, wait_until

NO_LIMITS = RetentionPolicy(log_events=0, log_ms=0, inbox_ms=0)


def person(tx: Connection, name: str = "Ann") -> str:
    return users.create(tx, email=None, password_hash=None, name=name, role="client", now=NOW).id


def send(tx: Connection, *, user_id: str, now: int, count: int = 1, expires_at: int | None = None) -> list[str]:
    draft = NotificationDraft(type="t", category="system", title="T", body="B", expires_at=expires_at)
    return notification_inbox.deliver(tx, items=[(user_id, draft)] * count, now=now)


async def test_expired_notification_is_removed_counted_and_published(database: Database, batches: list[Batch]) -> None:
    ann = await database.write(person)
    (kept_id,) = await database.write(send, user_id=ann, now=NOW - 10)
    (expired_id,) = await database.write(send, user_id=ann, now=NOW - 10, expires_at=NOW)
    async with run_tasks(database, all_tasks(NO_LIMITS)) as failed:
        await wait_until(lambda tx: listing.list_page(tx, user_id=ann).unread == 1, database)
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
    async with run_tasks(database, all_tasks(policy)) as failed:
        await wait_until(lambda tx: counts(tx) == [1, 1, 1, 1, MAX_STEP_ROWS + 1], database)
    page = await database.read(listing.list_page, user_id=ann)
    assert (page.unread, page.unseen, len(page.items), failed) == (1, 1, 1, [])
