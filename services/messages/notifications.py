"""Notifications for messages, delayed while the recipient is active in the conversation."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, bindparam, or_, select, update

from services.accounts.users import UserRef
from services.messages.schemas import Message
from services.notifications import inbox, removal
from services.notifications.draft import NotificationDraft
from services.tables import conversation_members, conversations, messages, users
from services.tables import notifications as table_notifications
from services.times import SECOND_MS

# A member who read or sent in a conversation within this time is active in it. Notifications wait until this time has
# passed and then cover only what is still unread.
ACTIVE_MS: Final = 30 * SECOND_MS
# Characters of a message in its notification.
MAX_PREVIEW: Final = 140

_m, _s, _c, _n = conversation_members.c, messages.c, conversations.c, table_notifications.c

_DUE = (
    select(_m.conversation_id, _m.user_id)
    .where(
        # A time further ahead than any delay means that the clock was set back; such a row is due, too.
        or_(_m.notify_at <= bindparam("now"), _m.notify_at > bindparam("latest_notify_at"))
    )
    .limit(bindparam("limit"))
)
# Bind names of an UPDATE's condition begin with `where_`: SQLAlchemy would take a column's name for a value to set.
_CLEAR_NOTIFY_AT = (
    update(conversation_members)
    .where(
        _m.conversation_id == bindparam("where_conversation_id"),
        _m.user_id == bindparam("where_user_id"),
        _m.notify_at.is_not(None),
    )
    .values(notify_at=None)
    .returning(_m.unread, _m.muted)
)
_LAST_RECEIVED = (
    select(_s.id, _s.sender_id, users.c.name, _s.type, _s.content, _c.kind, _c.title)
    .join(users, users.c.id == _s.sender_id)
    .join(conversations, _c.id == _s.conversation_id)
    .where(
        _s.conversation_id == bindparam("conversation_id"),
        _s.sender_id != bindparam("user_id"),
        _s.deleted_at.is_(None),
    )
    .order_by(_s.seq.desc())
    .limit(1)
)
_OF_CONVERSATION = select(_n.id, _n.user_id, _n.data, _n.read_at, _n.archived_at).where(
    _n.user_id.in_(bindparam("user_ids", expanding=True)), _n.collapse_key == bindparam("collapse_key")
)
_NOTIFY_AGAIN = (
    update(conversation_members)
    .where(
        _m.conversation_id == bindparam("where_conversation_id"),
        _m.user_id.in_(bindparam("user_ids", expanding=True)),
        _m.unread > 0,
        _m.muted == 0,
        _m.notify_at.is_(None),
    )
    .values(notify_at=bindparam("notify_at"))
)


def collapse_key(conversation_id: str) -> str:
    """Return the collapse key of a conversation's notification."""
    return f"message/{conversation_id}"


def draft_for(message: Message, *, kind: str, title: str | None, unread: int) -> NotificationDraft:
    """Return the notification for a member with `unread` unread messages, of which `message` is the last."""
    return _draft(
        message.conversation_id,
        message.id,
        sender=(message.sender.id, message.sender.name),
        preview=_preview(message.type, message.content),
        kind=kind,
        title=title,
        unread=unread,
    )


def retract_for_reader(tx: Connection, *, user_id: str, conversation_id: str, now: int) -> None:
    """Retract a user's notification of a conversation, because the user has read it or left it."""
    removal.retract_by_key(tx, user=UserRef("", user_id), collapse_key=collapse_key(conversation_id), now=now)


def retract_for_message(
    tx: Connection, *, conversation_id: str, message_id: str, user_ids: Sequence[str], now: int
) -> None:
    """Retract the notifications that quote a message which was edited or deleted.

    Users who had not read or archived theirs and still have unread messages are due for another notification.
    """
    parameters = {"user_ids": list(user_ids), "collapse_key": collapse_key(conversation_id)}
    rows = tx.execute(_OF_CONVERSATION, parameters)
    quoting = [row for row in rows if msgspec.json.decode(row.data).get("messageId") == message_id]
    if not quoting:
        return
    removal.retract(tx, ids=[row.id for row in quoting], now=now)
    unread_by = [row.user_id for row in quoting if row.read_at is None and row.archived_at is None]
    again = {"where_conversation_id": conversation_id, "user_ids": unread_by, "notify_at": now}
    tx.execute(_NOTIFY_AGAIN, again)


def find_due(tx: Connection, /, *, now: int, limit: int) -> Sequence[tuple[str, str]]:
    """Return at most `limit` pairs (conversation id, user id) whose delayed notification is due."""
    rows = tx.execute(_DUE, {"now": now, "latest_notify_at": now + ACTIVE_MS, "limit": limit})
    return [(conversation_id, user_id) for conversation_id, user_id in rows]


def notify_due(tx: Connection, /, *, found: Sequence[tuple[str, str]], now: int) -> None:
    """Notify these members of the messages that are still unread."""
    items: list[tuple[str, NotificationDraft]] = []
    for conversation_id, user_id in found:
        member = tx.execute(
            _CLEAR_NOTIFY_AT, {"where_conversation_id": conversation_id, "where_user_id": user_id}
        ).one_or_none()
        last = tx.execute(_LAST_RECEIVED, {"conversation_id": conversation_id, "user_id": user_id}).one_or_none()
        if member is not None and member.unread and not member.muted and last is not None:
            items.append((user_id, _draft_from_row(conversation_id, last, member.unread)))
    if items:
        inbox.deliver(tx, items=items, now=now)


def _draft_from_row(conversation_id: str, row: Row[*tuple[Any, ...]], unread: int) -> NotificationDraft:
    return _draft(
        conversation_id,
        row.id,
        sender=(row.sender_id, row.name),
        preview=_preview(row.type, row.content),
        kind=row.kind,
        title=row.title,
        unread=unread,
    )


def _draft(
    conversation_id: str,
    message_id: str,
    *,
    sender: tuple[str, str],
    preview: str,
    kind: str,
    title: str | None,
    unread: int,
) -> NotificationDraft:
    sender_id, sender_name = sender
    subject = "New message" if unread == 1 else f"{unread:,} new messages"
    origin = f"in {title}" if title else f"from {sender_name}" if kind == "direct" or unread == 1 else "in a group"
    return NotificationDraft(
        type="message",
        category="message",
        title=f"{subject} {origin}",
        body=preview if kind == "direct" else f"{sender_name}: {preview}",
        data={
            "conversationId": conversation_id,
            "messageId": message_id,
            "kind": kind,
            "title": title,
            "sender": {"id": sender_id, "name": sender_name},
            "unread": unread,
        },
        url=f"/messages/{conversation_id}",
        icon="✉️",
        collapse_key=collapse_key(conversation_id),
        invalidates=["conversations", f"conversation/{conversation_id}"],
    )


def _preview(type: str, content: str) -> str:
    if not content:
        return "Sent an image." if type == "image" else "Sent a file."
    return content if len(content) <= MAX_PREVIEW else content[: MAX_PREVIEW - 1] + "…"
