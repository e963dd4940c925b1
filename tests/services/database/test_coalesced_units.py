"""Coalesced units: queued units of one kind run in one call and keep separate results."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, bindparam, insert, select

from services.accounts import users
from services.accounts.users import UserRef
from services.database import outbox
from services.database.database import Database
from services.database.statements import Statement
from services.database.units import Batch, CoalescedUnit
from services.errors import DomainError, InvalidField
from services.notifications import inbox as notification_inbox
from services.notifications import listing, sending
from services.notifications.draft import NotificationDraft
from services.notifications.sending import SendResult, SingleSend
from services.tables import announcements
from services.times import to_rfc3339

# These tests check how units end a batch, so a slow machine must not end it by time.
pytestmark = pytest.mark.usefixtures("unhurried")

Together = Callable[..., Awaitable[list[Any]]]
NOW = 1_000_000
_ROW = {"title": "T", "body": "B", "priority": "low", "created_at": 0}
_ADD = Statement(insert(announcements).values({name: bindparam(name) for name in ("id", *_ROW)}))
_IDS = Statement(select(announcements.c.id).order_by(announcements.c.id))


class Refused(DomainError):
    """The item is rejected."""


def add(tx: Connection, name: str | None) -> str | None:
    """Insert rows, except for items without a name, and append events."""
    outbox.append(tx, "jobs", "added", {"name": name}, now=0)
    _ADD.execute_many(tx, [{"id": name, **_ROW}])
    return name


def add_each(tx: Connection, names: Sequence[str | None]) -> list[str | DomainError | None]:
    if "everybody" in names:
        raise ZeroDivisionError
    return [Refused() if name == "no" else add(tx, name) for name in names]


def coalesced(name: str | None) -> CoalescedUnit:
    return CoalescedUnit(add_each, name)


def published(batches: list[Batch]) -> list[str]:
    return [msgspec.json.decode(event.data)["name"] for batch in batches for event in batch.events]


def ids(tx: Connection) -> list[str]:
    return [id for (id,) in _IDS.all(tx, {})]


async def test_queued_units_run_in_one_call_with_separate_results(together: Together, batches: list[Batch]) -> None:
    calls = []

    def each(tx: Connection, names: Sequence[str]) -> list[str | None]:
        calls.append(list(names))
        return [add(tx, name) for name in names]

    assert await together(*(CoalescedUnit(each, name) for name in "abc")) == ["a", "b", "c"]
    assert (calls, published(batches)) == ([["a", "b", "c"]], ["a", "b", "c"])


async def test_single_coalesced_unit_runs_like_any_unit(database: Database, batches: list[Batch]) -> None:
    assert await database.write_coalesced(add_each, "a") == "a"
    with pytest.raises(Refused):
        await database.write_coalesced(add_each, "no")
    assert (await database.read(ids), published(batches)) == (["a"], ["a"])


async def test_coalesced_units_do_not_overtake_other_units(together: Together, batches: list[Batch]) -> None:
    def other(tx: Connection) -> list[str]:
        return ids(tx)

    def third(tx: Connection, names: Sequence[str]) -> list[str | None]:
        return [add(tx, name.upper()) for name in names]

    found = await together(
        coalesced("a"), coalesced("b"), other, coalesced("c"), CoalescedUnit(third, "d"), coalesced("e")
    )
    assert found == ["a", "b", ["a", "b"], "c", "D", "e"]
    assert published(batches) == ["a", "b", "c", "D", "e"]


async def test_rejected_item_does_not_affect_the_others(
    database: Database, together: Together, batches: list[Batch]
) -> None:
    await together(coalesced("a"), coalesced("no"), coalesced("b"))
    (batch,) = [batch for batch in batches if batch.events]
    assert [(work.result, type(work.error)) for work in batch.units] == [
        ("a", type(None)),
        (None, Refused),
        ("b", type(None)),
    ]
    assert (await database.read(ids), published(batches)) == (["a", "b"], ["a", "b"])


async def test_coalesced_units_survive_a_unit_failing_after_a_write(
    database: Database, together: Together, batches: list[Batch]
) -> None:
    def late(tx: Connection) -> None:
        add(tx, "never")
        raise Refused

    answers = await together(coalesced("a"), coalesced("b"), late, coalesced("c"), coalesced("d"))
    assert isinstance(answers.pop(2), Refused)
    assert answers == await database.read(ids) == published(batches) == ["a", "b", "c", "d"]
    assert not database.storage_failed


@pytest.mark.parametrize(("name", "error"), [(None, sqlite3.IntegrityError), ("everybody", ZeroDivisionError)])
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_failing_call_is_retried_item_by_item(
    database: Database, together: Together, batches: list[Batch], name: str | None, error: type[Exception], place: int
) -> None:
    units = [coalesced("a"), coalesced("b")]
    units.insert(place, coalesced(name))
    answers = await together(*units)
    assert isinstance(answers.pop(place), error)
    assert (answers, await database.read(ids), published(batches)) == (["a", "b"], ["a", "b"], ["a", "b"])


async def test_prepared_statements_read_one_snapshot(database: Database) -> None:
    loop = asyncio.get_running_loop()

    def twice(tx: Connection) -> tuple[list[str], list[str]]:
        first = ids(tx)
        asyncio.run_coroutine_threadsafe(database.write(add, "b"), loop).result(20)
        return first, ids(tx)

    await database.write(add, "a")
    assert await database.read(twice) == (["a"], ["a"])
    assert await database.read(ids) == ["a", "b"]


def draft(title: str, **more: Any) -> NotificationDraft:
    return NotificationDraft(type="note", category="system", title=title, body="Body", **more)


def people(tx: Connection) -> list[str]:
    def person(name: str) -> str:
        return users.create(tx, email=None, password_hash=None, name=name, role="client", external_id=name, now=NOW).id

    return [person("ann"), person("bob")]


def titles(tx: Connection, user_id: str) -> list[str]:
    return [item.title for item in listing.list_page(tx, user_id=user_id).items]


def test_coalesced_sends_equal_separate_sends(tx: Connection, pending_events: list[outbox.PendingEvent]) -> None:
    ann, bob = people(tx)
    singles = [
        SingleSend(draft("1"), UserRef("/userId", ann), NOW),
        SingleSend(draft("2", collapse_key="k"), UserRef("/externalId", None, "bob"), NOW + 1),
        SingleSend(draft("3", collapse_key="k"), UserRef("/userId", bob), NOW),
        SingleSend(draft("4"), UserRef("/userId", ann), NOW),
    ]
    sent = [one.id for one in sending.send_coalesced(tx, singles) if isinstance(one, SendResult)]
    assert [titles(tx, user_id) for user_id in (ann, bob)] == [["4", "1"], ["3"]]
    assert notification_inbox.load_counts(tx, ids=[ann, bob]) == {ann: (2, 2), bob: (1, 1)}
    events = [msgspec.json.decode(event.data) for event in pending_events if event.type == "notification"]
    assert [event["id"] for event in events] == sent
    # No row is older than its request.
    assert {event["createdAt"] for event in events} == {to_rfc3339(NOW + 1)}
    assert [(event["title"], event["unread"]) for event in events] == [("1", 1), ("2", 1), ("3", 1), ("4", 2)]


def test_rejected_send_affects_only_itself(tx: Connection) -> None:
    ann, _ = people(tx)
    results = sending.send_coalesced(
        tx,
        [
            SingleSend(draft("1"), UserRef("/userId", "nobody"), NOW),
            SingleSend(draft("2"), UserRef("/userId", ann), NOW),
            SingleSend(draft("3", expires_at=NOW), UserRef("/userId", ann), NOW),
            SingleSend(draft("4"), UserRef("/externalId", None, "nobody"), NOW),
        ],
    )
    faults = [result.details for result in results if isinstance(result, InvalidField)]
    assert [(fault["pointer"], fault["reason"]) for fault in faults] == [
        ("/userId", "unknown user"),
        ("/expiresAt", "range"),
        ("/externalId", "unknown user"),
    ]
    assert titles(tx, ann) == ["2"]
