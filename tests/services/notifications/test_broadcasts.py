"""Broadcasts and announcements: types, channels, scopes, cursors and expiry."""

from functools import partial
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from services.accounts import users
from services.accounts.callers import Caller, User
from services.database import idempotency, outbox
from services.database.database import Database
from services.database.units import Batch
from services.errors import Forbidden, InvalidField
from services.notifications import announcements, broadcasts, inbox
from services.notifications.draft import NotificationDraft

NOW = 1_000_000


def service(*scopes: str) -> Caller:
    return Caller("service", scopes=frozenset(scopes), service="s")


ADMIN = Caller("user", user=User("1", None, "Root", "admin", (), NOW))
BROADCAST, JOBS = service("broadcast"), service("jobs")


def send(tx: Connection, /, caller: Caller = BROADCAST, type: str = "sale", **fields: Any) -> str:
    return broadcasts.send(tx, caller=caller, type=type, data=fields.pop("data", {"a": 1}), now=NOW, **fields).cursor


def rejection(tx: Connection, *arguments: Any, **fields: Any) -> tuple[str, str]:
    with pytest.raises(InvalidField) as error:
        send(tx, *arguments, **fields)
    return error.value.details["pointer"], error.value.details["reason"]


async def test_broadcast_cursor_is_that_of_its_event_also_when_repeated(
    database: Database, batches: list[Batch]
) -> None:
    def send_with_key(tx: Connection) -> bytes:
        return idempotency.run_once(tx, caller="s", key="k", digest=b"d", now=NOW, act=send).body

    first = await database.write(send_with_key)
    event = batches[-1].events[-1]
    assert (event.channel, event.type, event.data) == ("jobs", "sale", b'{"a":1}')
    assert f"id: {msgspec.json.decode(first)}\n".encode() in event.frame
    await database.write(send)
    assert await database.write(send_with_key) == first


async def test_broadcast_cursor_is_right_when_the_unit_forgets_events(database: Database, batches: list[Batch]) -> None:
    def unit(tx: Connection) -> str:
        ann = users.create(tx, email=None, password_hash=None, name="Ann", role="client", now=NOW).id
        draft = NotificationDraft(type="t", category="system", title="T", body="B", collapse_key="k")
        inbox.deliver(tx, items=[(ann, draft)] * 2, now=NOW)
        cursor = send(tx)
        inbox.deliver(tx, items=[(ann, draft)], now=NOW)
        return cursor

    cursor = await database.write(unit)
    frames = [event.frame for event in batches[-1].events if event.type == "sale"]
    assert [f"id: {cursor}\n".encode() in frame for frame in frames] == [True]


def test_broadcast_to_an_unknown_channel_is_rejected(tx: Connection, pending_events: list[outbox.PendingEvent]) -> None:
    ann = users.create(tx, email=None, password_hash=None, name="A", role="client", external_id="a/1", now=NOW).id
    for channel in ("jobs", "announcements", "role:client", "role:freelancer", f"user:{ann}", "user:a/1"):
        send(tx, channel=channel)
    assert [event.channel for event in pending_events] == [
        "jobs",
        "announcements",
        "role:client",
        "role:freelancer",
        f"user:{ann}",
        f"user:{ann}",
    ]
    for channel in ("role:admin", "role:", "control", "unknown", ""):
        assert rejection(tx, channel=channel) == ("/channel", "unknown channel")
    for channel in ("user:", "user:unknown"):
        assert rejection(tx, channel=channel) == ("/channel", "unknown user")


@pytest.mark.parametrize(
    "type",
    ["", "A", "1a", "_a", "a-b", "a" * 65, "a\n", "ä"],
    ids=["empty", "upper case", "digit first", "underscore first", "hyphen", "too long", "line break", "not ASCII"],
)
def test_broadcast_with_a_malformed_type_is_rejected(tx: Connection, type: str) -> None:
    assert rejection(tx, type=type) == ("/type", "type")


@pytest.mark.parametrize("type", sorted(broadcasts.RESERVED_TYPES))
def test_reserved_types_are_rejected_for_services_and_admins(tx: Connection, type: str) -> None:
    assert rejection(tx, type=type) == ("/type", "range")
    assert rejection(tx, ADMIN, type=type) == ("/type", "range")


@pytest.mark.parametrize("type", sorted(broadcasts.JOB_TYPES))
def test_scope_jobs_sends_job_types_on_channel_jobs_only(tx: Connection, type: str) -> None:
    for caller in (JOBS, service("jobs", "broadcast")):
        assert send(tx, caller, type)
        assert rejection(tx, caller, type, channel="announcements") == ("/type", "range")


def test_scope_jobs_alone_rejects_other_types_and_channels(tx: Connection) -> None:
    assert send(tx, JOBS, "job_boosted")
    for fields in ({"type": "sale"}, {"type": "job_boosted", "channel": "role:client"}):
        with pytest.raises(Forbidden):
            send(tx, JOBS, **fields)
    with pytest.raises(InvalidField):
        send(tx, JOBS, "notification")


def test_broadcast_data_is_limited_to_16_kib(tx: Connection) -> None:
    assert send(tx, data={"a": "x" * (16 * 1024 - 8)})
    assert rejection(tx, data={"a": "x" * (16 * 1024 - 7)}) == ("/data", "length")
    assert rejection(tx, data={"a": "\ud800"}) == ("/data/a", "lone surrogate")


def test_announcement_is_published_and_listed_until_it_expires(
    tx: Connection, pending_events: list[outbox.PendingEvent]
) -> None:
    announce = partial(announcements.create, tx, body="B\nb", now=NOW)
    permanent, temporary = announce(title="1", url="/a"), announce(title="2", priority="high", expires_at=NOW + 10)
    assert [(event.channel, event.type, msgspec.json.decode(event.data)) for event in pending_events] == [
        ("announcements", "announcement", msgspec.to_builtins(announcement)) for announcement in (permanent, temporary)
    ]
    assert announcements.list_current(tx, now=NOW + 9).items == [temporary, permanent]
    assert announcements.list_current(tx, now=NOW + 10).items == [permanent]
    first = announcements.list_current(tx, limit=1, now=NOW)
    assert announcements.list_current(tx, limit=1, after=first.next, now=NOW).items == [permanent]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"title": "a\nb"}, "/title"),
        ({"body": "\x00"}, "/body"),
        ({"url": "//evil.example"}, "/url"),
        ({"expires_at": NOW}, "/expiresAt"),
    ],
    ids=["title", "body", "url", "expiry"],
)
def test_announcement_with_invalid_fields_is_rejected(tx: Connection, fields: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidField) as error:
        announcements.create(tx, **dict[str, Any]({"title": "T", "body": "B", "now": NOW} | fields))
    assert error.value.details["pointer"] == pointer
