"""Notifications for messages: one inbox row a conversation, put off while somebody is looking, gone when it is read."""

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
from services.times import SECOND

# Who read or said something in a conversation this lately is taken to be looking at it. They are notified after this
# time of what they have not read by then: nothing is swallowed, and nobody is buzzed for what is before their eyes.
ACTIVE_MS: Final = 30 * SECOND
# Of a message, so much stands in its notification.
PREVIEW: Final = 140

_m, _s, _c = conversation_members.c, messages.c, conversations.c

_DUE = (
    select(_m.conversation_id, _m.user_id)
    .where(
        # Or further away than ever put off: the clock was set back.
        or_(_m.notify_at <= bindparam("now"), _m.notify_at > bindparam("until"))
    )
    .limit(bindparam("most"))
)
_SETTLE = (
    update(conversation_members)
    .where(_m.conversation_id == bindparam("which"), _m.user_id == bindparam("who"), _m.notify_at.is_not(None))
    .values(notify_at=None)
    .returning(_m.unread, _m.muted)
)
_LAST_BY_OTHERS = (
    select(_s.id, _s.sender_id, users.c.name, _s.type, _s.content, _c.kind, _c.title)
    .join(users, users.c.id == _s.sender_id)
    .join(conversations, _c.id == _s.conversation_id)
    .where(_s.conversation_id == bindparam("which"), _s.sender_id != bindparam("who"), _s.deleted_at.is_(None))
    .order_by(_s.seq.desc())
    .limit(1)
)
_SHOWING = select(
    *(
        table_notifications.c.id,
        table_notifications.c.user_id,
        table_notifications.c.data,
        table_notifications.c.read_at,
        table_notifications.c.archived_at,
    )
).where(
    table_notifications.c.user_id.in_(bindparam("owners", expanding=True)),
    table_notifications.c.collapse_key == bindparam("key"),
)
_TELL_ANEW = (
    update(conversation_members)
    .where(
        _m.conversation_id == bindparam("which"),
        _m.user_id.in_(bindparam("who", expanding=True)),
        _m.unread > 0,
        _m.muted == 0,
        _m.notify_at.is_(None),
    )
    .values(notify_at=bindparam("now"))
)


def collapse_key(conversation_id: str) -> str:
    """The collapse key of a conversation's notification."""
    return f"message/{conversation_id}"


def draft_for(message: Message, *, kind: str, title: str | None, unread: int) -> NotificationDraft:
    """The notification for somebody who has not read `unread` messages, this one the last of them."""
    return _letter(
        message.conversation_id,
        message.id,
        (message.sender.id, message.sender.name),
        (message.type, message.content),
        (kind, title),
        unread,
    )


def retract_for_reader(tx: Connection, *, user_id: str, conversation_id: str, now: int) -> None:
    """Take a user's notification of a conversation back: they have read it, on whatever device."""
    removal.retract_by_key(tx, user=UserRef("", user_id), collapse_key=collapse_key(conversation_id), now=now)


def retract_for_message(
    tx: Connection, *, conversation_id: str, message_id: str, user_ids: Sequence[str], now: int
) -> None:
    """Take back the notifications that show the words of a message that has others now, or none.

    Who had not read theirs, and has something to read, is told anew by the chore.
    """
    rows = tx.execute(_SHOWING, {"owners": list(user_ids), "key": collapse_key(conversation_id)})
    showing = [row for row in rows if msgspec.json.decode(row.data).get("messageId") == message_id]
    if not showing:
        return
    removal.retract(tx, ids=[row.id for row in showing], now=now)
    waiting = [row.user_id for row in showing if row.read_at is None and row.archived_at is None]
    tx.execute(_TELL_ANEW, {"which": conversation_id, "who": waiting, "now": now})


def find_due(tx: Connection, /, *, now: int, limit: int) -> Sequence[tuple[str, str]]:
    """At most `limit` (conversation, member) who were looking and are not any more, or whose notification went."""
    rows = tx.execute(_DUE, {"now": now, "until": now + ACTIVE_MS, "most": limit})
    return [(conversation_id, user_id) for conversation_id, user_id in rows]


def notify_due(tx: Connection, /, *, found: Sequence[tuple[str, str]], now: int) -> None:
    """Notify these members of what they have still not read."""
    mail: list[tuple[str, NotificationDraft]] = []
    for conversation_id, user_id in found:
        asked = {"which": conversation_id, "who": user_id}
        member = tx.execute(_SETTLE, asked).one_or_none()
        last = tx.execute(_LAST_BY_OTHERS, asked).one_or_none()
        if member is not None and member.unread and not member.muted and last is not None:
            mail.append((user_id, _of_row(conversation_id, last, member.unread)))
    if mail:
        inbox.deliver(tx, items=mail, now=now)


def _of_row(conversation_id: str, row: Row[*tuple[Any, ...]], unread: int) -> NotificationDraft:
    return _letter(
        conversation_id,
        row.id,
        (row.sender_id, row.name),
        (row.type, row.content),
        (row.kind, row.title),
        unread,
    )


def _letter(
    conversation_id: str,
    message_id: str,
    sender: tuple[str, str],
    said: tuple[str, str],
    place: tuple[str, str | None],
    unread: int,
) -> NotificationDraft:
    kind, title = place
    what = "New message" if unread == 1 else f"{unread:,} new messages"
    where = f"in {title}" if title else f"from {sender[1]}" if kind == "direct" or unread == 1 else "in a group"
    words = _preview(*said)
    return NotificationDraft(
        type="message",
        category="message",
        title=f"{what} {where}",
        body=words if kind == "direct" else f"{sender[1]}: {words}",
        data={
            "conversationId": conversation_id,
            "messageId": message_id,
            "kind": kind,
            "title": title,
            "sender": {"id": sender[0], "name": sender[1]},
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
    return content if len(content) <= PREVIEW else content[: PREVIEW - 1] + "…"
