"""Broadcasts and announcements: what may be told where, and where in the log it then stands."""

from functools import partial
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from services.accounts import users
from services.accounts.callers import Caller, User
from services.database import idempotency, outbox
from services.database.database import Database
from services.database.sqlite.writer import Batch
from services.errors import Forbidden, InvalidField
from services.notifications import announcements, broadcasts, inbox
from services.notifications.draft import NotificationDraft

NOW = 1_000_000


def key(*scopes: str) -> Caller:
    return Caller("service", scopes=frozenset(scopes), service="s")


ADMIN = Caller("user", user=User("1", None, "Root", "admin", (), NOW))
BROADCAST, JOBS = key("broadcast"), key("jobs")


def send(tx: Connection, /, caller: Caller = BROADCAST, type: str = "sale", **more: Any) -> str:
    return broadcasts.send(tx, caller=caller, type=type, data=more.pop("data", {"a": 1}), now=NOW, **more).cursor


def refusal(tx: Connection, *arguments: Any, **more: Any) -> tuple[str, str]:
    with pytest.raises(InvalidField) as refused:
        send(tx, *arguments, **more)
    return refused.value.details["pointer"], refused.value.details["reason"]


async def test_the_cursor_is_that_of_the_event_and_a_repeated_key_gets_it_again(
    database: Database, batches: list[Batch]
) -> None:
    def once(tx: Connection) -> bytes:
        return idempotency.run_once(tx, caller="s", key="k", digest=b"d", now=NOW, act=send)

    first = await database.write(once)
    told = batches[-1].events[-1]
    assert (told.channel, told.type, told.data) == ("jobs", "sale", b'{"a":1}')
    assert f"id: {msgspec.json.decode(first)}\n".encode() in told.frame
    await database.write(send)
    assert await database.write(once) == first


async def test_the_cursor_is_right_whatever_is_forgotten_in_the_same_unit(
    database: Database, batches: list[Batch]
) -> None:
    def unit(tx: Connection) -> str:
        ann = users.create(tx, email=None, password_hash=None, name="Ann", role="client", now=NOW).id
        letter = NotificationDraft(type="t", category="system", title="T", body="B", collapse_key="k")
        inbox.deliver(tx, items=[(ann, letter)] * 2, now=NOW)
        cursor = send(tx)
        inbox.deliver(tx, items=[(ann, letter)], now=NOW)
        return cursor

    cursor = await database.write(unit)
    frames = [event.frame for event in batches[-1].events if event.type == "sale"]
    assert [f"id: {cursor}\n".encode() in frame for frame in frames] == [True]


def test_a_channel_has_to_exist(tx: Connection, told: list[outbox.PendingEvent]) -> None:
    ann = users.create(tx, email=None, password_hash=None, name="A", role="client", external_id="a/1", now=NOW).id
    for channel in ("jobs", "announcements", "role:client", "role:freelancer", f"user:{ann}", "user:a/1"):
        send(tx, channel=channel)
    assert [draft.channel for draft in told] == [
        "jobs",
        "announcements",
        "role:client",
        "role:freelancer",
        f"user:{ann}",
        f"user:{ann}",
    ]
    for channel in ("role:admin", "role:", "control", "nonsense", ""):
        assert refusal(tx, channel=channel) == ("/channel", "unknown channel")
    for channel in ("user:", "user:nobody"):
        assert refusal(tx, channel=channel) == ("/channel", "unknown user")


@pytest.mark.parametrize("type", ["", "A", "1a", "_a", "a-b", "a" * 65, "a\n", "ä"])
def test_a_type_has_a_form(tx: Connection, type: str) -> None:
    assert refusal(tx, type=type) == ("/type", "type")


@pytest.mark.parametrize("type", sorted(broadcasts.OWN_TYPES))
def test_the_streams_own_types_are_refused_even_to_admins(tx: Connection, type: str) -> None:
    assert refusal(tx, type=type) == ("/type", "range")
    assert refusal(tx, ADMIN, type=type) == ("/type", "range")


@pytest.mark.parametrize("type", sorted(broadcasts.JOB_TYPES))
def test_scope_jobs_tells_of_jobs_on_the_channel_jobs_only(tx: Connection, type: str) -> None:
    for caller in (JOBS, key("jobs", "broadcast")):
        assert send(tx, caller, type)
        assert refusal(tx, caller, type, channel="announcements") == ("/type", "range")


def test_scope_jobs_alone_sends_nothing_else(tx: Connection) -> None:
    assert send(tx, JOBS, "job_boosted")
    for more in ({"type": "sale"}, {"type": "job_boosted", "channel": "role:client"}):
        with pytest.raises(Forbidden):
            send(tx, JOBS, **more)
    with pytest.raises(InvalidField):
        send(tx, JOBS, "notification")


def test_data_is_at_most_16_kib(tx: Connection) -> None:
    assert send(tx, data={"a": "x" * (16 * 1024 - 8)})
    assert refusal(tx, data={"a": "x" * (16 * 1024 - 7)}) == ("/data", "length")
    assert refusal(tx, data={"a": "\ud800"}) == ("/data/a", "lone surrogate")


def test_an_announcement_is_told_and_listed_while_it_is_in_force(
    tx: Connection, told: list[outbox.PendingEvent]
) -> None:
    announce = partial(announcements.create, tx, body="B\nb", now=NOW)
    forever, short = announce(title="1", url="/a"), announce(title="2", priority="high", expires_at=NOW + 10)
    assert [(draft.channel, draft.type, msgspec.json.decode(draft.data)) for draft in told] == [
        ("announcements", "announcement", msgspec.to_builtins(each)) for each in (forever, short)
    ]
    assert announcements.list_current(tx, now=NOW + 9).items == [short, forever]
    assert announcements.list_current(tx, now=NOW + 10).items == [forever]
    first = announcements.list_current(tx, limit=1, now=NOW)
    assert announcements.list_current(tx, limit=1, after=first.next, now=NOW).items == [forever]


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"title": "a\nb"}, "/title"),
        ({"body": "\x00"}, "/body"),
        ({"url": "//evil.example"}, "/url"),
        ({"expires_at": NOW}, "/expiresAt"),
    ],
)
def test_an_announcement_keeps_the_rules_for_words(tx: Connection, more: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidField) as refused:
        announcements.create(tx, **dict[str, Any]({"title": "T", "body": "B", "now": NOW} | more))
    assert refused.value.details["pointer"] == pointer
