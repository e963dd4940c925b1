"""What a user's streams hear about their inbox, and how a row of it looks outside."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection

from services.database import outbox
from services.event_log import channels
from services.notifications.draft import NotificationDraft
from services.notifications.schemas import Notification
from services.schemas import Schema
from services.times import to_rfc3339, to_rfc3339_or_none

State = Literal["read", "unread", "seen", "archived", "unarchived", "retracted", "action"]

# Ids one event names (40 KB); what changes more rows does it in steps, each with its own event and its own counts.
IDS_AT_ONCE = 1_000


class Counts(NamedTuple):
    """How many visible notifications of an inbox are unread, and how many its owner has not even seen."""

    unread: int
    unseen: int


class NotificationEvent(Notification, frozen=True, kw_only=True):
    """The `notification` event: the row, the counts with it, and the cache keys a page should drop."""

    unread: int
    unseen: int
    invalidates: Sequence[str]


class NotificationStateEvent(Schema, frozen=True, kw_only=True):
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


def to_schema(row: Mapping[Any, Any]) -> Notification:
    """A row of `notifications` as its owner sees it."""
    return Notification(
        data=msgspec.json.decode(row["data"]), actions=msgspec.json.decode(row["actions"]), **_plain(row)
    )


def event_template(letter: NotificationDraft, *, now: int) -> NotificationEvent:
    """What of a letter's event is the same for everybody who gets it; `arrived` fills the rest in."""
    return NotificationEvent(
        id="",
        type=letter.type,
        category=letter.category,
        priority=letter.priority,
        title=letter.title,
        body=letter.body,
        data=letter.data,
        url=letter.url,
        icon=letter.icon,
        actions=[action.to_json() for action in letter.actions],
        collapse_key=letter.collapse_key,
        count=1,
        created_at=to_rfc3339(now),
        expires_at=to_rfc3339_or_none(letter.expires_at),
        seen_at=None,
        read_at=None,
        archived_at=None,
        unread=0,
        unseen=0,
        invalidates=letter.invalidates,
    )


def publish_created(
    tx: Connection, row: Mapping[str, Any], arriving: NotificationEvent, *, counts: Counts, now: int
) -> None:
    """Tell the owner's streams of a new row; `counts` are those with it."""
    event = msgspec.structs.replace(
        arriving, id=row["id"], count=row["count"], unread=counts.unread, unseen=counts.unseen
    )
    outbox.append(tx, channels.user_channel(row["user_id"]), "notification", event, now=now, subject=row["id"])


def publish_changed(
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
    event = NotificationStateEvent(
        ids=ids, state=state, action=action, seen=seen, unread=counts.unread, unseen=counts.unseen
    )
    _append(tx, user_id, event, now)


def publish_changed_up_to(tx: Connection, user_id: str, *, before: str, state: State, counts: Counts, now: int) -> None:
    """Tell the owner's streams that everything visible up to `before`, inclusive, is now in `state`."""
    event = NotificationStateEvent(all=True, before=before, state=state, unread=counts.unread, unseen=counts.unseen)
    _append(tx, user_id, event, now)


def _append(tx: Connection, user_id: str, event: NotificationStateEvent, now: int) -> None:
    outbox.append(tx, channels.user_channel(user_id), "notification_state", event, now=now)


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
        "created_at": to_rfc3339(row["created_at"]),
        "expires_at": to_rfc3339_or_none(row["expires_at"]),
        "seen_at": to_rfc3339_or_none(row["seen_at"]),
        "read_at": to_rfc3339_or_none(row["read_at"]),
        "archived_at": to_rfc3339_or_none(row["archived_at"]),
    }
