"""What a user's streams hear about their inbox, and how a row of it looks outside."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection

from services.database import outbox
from services.event_log import channels
from services.notifications.draft import Letter
from services.notifications.schemas import Notification
from services.schemas import Shape
from services.times import render, render_optional

State = Literal["read", "unread", "seen", "archived", "unarchived", "retracted", "action"]

# Ids one event names (40 KB); what changes more rows does it in steps, each with its own event and its own counts.
IDS_AT_ONCE = 1_000


class Counts(NamedTuple):
    """How many visible notifications of an inbox are unread, and how many its owner has not even seen."""

    unread: int
    unseen: int


class Arrived(Notification, frozen=True, kw_only=True):
    """The `notification` event: the row, the counts with it, and the cache keys a page should drop."""

    unread: int
    unseen: int
    invalidates: Sequence[str]


class Changed(Shape, frozen=True, kw_only=True):
    """The `notification_state` event: `ids`, or everything visible up to `before`, is now in `state`.

    `action` names the one that was done; `seen: false` says that an undo made the unread ones unseen, too.
    """

    ids: Sequence[str] | UnsetType = UNSET
    all: bool | UnsetType = UNSET
    before: str | UnsetType = UNSET
    state: State
    action: str | UnsetType = UNSET
    seen: bool | UnsetType = UNSET
    unread: int
    unseen: int


def show(row: Mapping[Any, Any]) -> Notification:
    """A row of `notifications` as its owner sees it."""
    return Notification(
        data=msgspec.json.decode(row["data"]), actions=msgspec.json.decode(row["actions"]), **_plain(row)
    )


def arriving(letter: Letter, *, now: int) -> Arrived:
    """What of a letter's event is the same for everybody who gets it; `arrived` fills the rest in."""
    return Arrived(
        id="",
        type=letter.type,
        category=letter.category,
        priority=letter.priority,
        title=letter.title,
        body=letter.body,
        data=letter.data,
        url=letter.url,
        icon=letter.icon,
        actions=[action.shown() for action in letter.actions],
        collapse_key=letter.collapse_key,
        count=1,
        created_at=render(now),
        expires_at=render_optional(letter.expires_at),
        seen_at=None,
        read_at=None,
        archived_at=None,
        unread=0,
        unseen=0,
        invalidates=letter.invalidates,
    )


def arrived(tx: Connection, row: Mapping[str, Any], arriving: Arrived, *, counts: Counts, now: int) -> None:
    """Tell the owner's streams of a new row; `counts` are those with it."""
    event = msgspec.structs.replace(
        arriving, id=row["id"], count=row["count"], unread=counts.unread, unseen=counts.unseen
    )
    outbox.append(tx, channels.of_user(row["user_id"]), "notification", event, now=now, subject=row["id"])


def changed(
    tx: Connection,
    user_id: str,
    *,
    ids: Sequence[str],
    state: State,
    counts: Counts,
    now: int,
    action: str | UnsetType = UNSET,
    seen: bool | UnsetType = UNSET,
) -> None:
    """Tell the owner's streams that these rows, at most `IDS_AT_ONCE`, are now in `state`; `counts` are those after."""
    event = Changed(ids=ids, state=state, action=action, seen=seen, unread=counts.unread, unseen=counts.unseen)
    _append(tx, user_id, event, now)


def changed_all(tx: Connection, user_id: str, *, before: str, state: State, counts: Counts, now: int) -> None:
    """Tell the owner's streams that everything visible up to `before`, inclusive, is now in `state`."""
    event = Changed(all=True, before=before, state=state, unread=counts.unread, unseen=counts.unseen)
    _append(tx, user_id, event, now)


def _append(tx: Connection, user_id: str, event: Changed, now: int) -> None:
    outbox.append(tx, channels.of_user(user_id), "notification_state", event, now=now)


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """The fields that are the same in a row and outside, or differ only in how a time is written."""
    return {
        "id": row["id"],
        "type": row["type"],
        "category": row["category"],
        "priority": row["priority"],
        "title": row["title"],
        "body": row["body"],
        "url": row["url"],
        "icon": row["icon"],
        "collapse_key": row["collapse_key"],
        "count": row["count"],
        "created_at": render(row["created_at"]),
        "expires_at": render_optional(row["expires_at"]),
        "seen_at": render_optional(row["seen_at"]),
        "read_at": render_optional(row["read_at"]),
        "archived_at": render_optional(row["archived_at"]),
    }
