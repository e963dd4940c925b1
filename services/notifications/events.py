"""Inbox events sent to a user’s streams, and the JSON form of a row."""

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

# Ids in one event (40 KB). A change of more rows is split into steps, each with its own event and counts.
MAX_IDS_PER_EVENT = 1_000


class Counts(NamedTuple):
    """The numbers of visible notifications of an inbox that are unread and unseen."""

    unread: int
    unseen: int


class NotificationEvent(Notification, frozen=True, kw_only=True):
    """The `notification` event: the row, the counts after it, and the cache keys that a page drops."""

    unread: int
    unseen: int
    invalidates: Sequence[str]


class NotificationStateEvent(Schema, frozen=True, kw_only=True):
    """The `notification_state` event: `ids`, or everything visible up to `before`, is now in `state`.

    `action` is the id of the action that was done. `seen: false` means that an undo made the rows unseen as well.
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
    """Return a row of `notifications` as its JSON object."""
    return Notification(
        data=msgspec.json.decode(row["data"]), actions=msgspec.json.decode(row["actions"]), **_plain_fields(row)
    )


def event_template(draft: NotificationDraft, *, now: int) -> NotificationEvent:
    """Return the event of a draft with the fields that are equal for all recipients; see `publish_created`."""
    return NotificationEvent(
        id="",
        type=draft.type,
        category=draft.category,
        priority=draft.priority,
        title=draft.title,
        body=draft.body,
        data=draft.data,
        url=draft.url,
        icon=draft.icon,
        actions=[action.to_json() for action in draft.actions],
        collapse_key=draft.collapse_key,
        count=1,
        created_at=to_rfc3339(now),
        expires_at=to_rfc3339_or_none(draft.expires_at),
        seen_at=None,
        read_at=None,
        archived_at=None,
        unread=0,
        unseen=0,
        invalidates=draft.invalidates,
    )


def publish_created(
    tx: Connection, row: Mapping[str, Any], template: NotificationEvent, *, counts: Counts, now: int
) -> None:
    """Publish a new row to its user's streams; `counts` include the row."""
    event = msgspec.structs.replace(
        template, id=row["id"], count=row["count"], unread=counts.unread, unseen=counts.unseen
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
    """Publish that these rows, at most `MAX_IDS_PER_EVENT`, are now in `state`; `counts` are those after the change."""
    event = NotificationStateEvent(
        ids=ids, state=state, action=action, seen=seen, unread=counts.unread, unseen=counts.unseen
    )
    _append(tx, user_id, event, now)


def publish_changed_up_to(tx: Connection, user_id: str, *, before: str, state: State, counts: Counts, now: int) -> None:
    """Publish that everything visible up to the row `before`, inclusive, is now in `state`."""
    event = NotificationStateEvent(all=True, before=before, state=state, unread=counts.unread, unseen=counts.unseen)
    _append(tx, user_id, event, now)


def _append(tx: Connection, user_id: str, event: NotificationStateEvent, now: int) -> None:
    outbox.append(tx, channels.user_channel(user_id), "notification_state", event, now=now)


def _plain_fields(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the fields that need no decoding, with times in RFC 3339."""
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
