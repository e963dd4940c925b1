"""Sends a message: row, counters, events and notifications in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, case, insert, or_, select, update

from services.accounts import users
from services.accounts.users import UserRef
from services.errors import InvalidField
from services.ids import new_id
from services.messages import events, groups, history, membership, notifications
from services.messages.draft import MessageDraft, Recipient
from services.messages.membership import UnreadCounts
from services.messages.notifications import ACTIVE_MS
from services.messages.schemas import Attachment, Message
from services.notifications import inbox
from services.schemas import Person
from services.tables import attachments, conversation_members, conversations, messages

# Media types that a page shows inline; a message of type image has no other attachments.
IMAGE_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})

_c, _m, _s, _a = conversations.c, conversation_members.c, messages.c, attachments.c

_DIRECT = select(_c.id).where(_c.direct_key == bindparam("direct_key"))
_DUPLICATE = select(_s.id).where(
    _s.conversation_id == bindparam("conversation_id"),
    _s.sender_id == bindparam("sender_id"),
    _s.client_message_id == bindparam("client_message_id"),
)
_UNSENT_FILES = select(_a.id, _a.name, _a.type, _a.size, _a.width, _a.height, _a.thumbnail).where(
    _a.id.in_(bindparam("ids", expanding=True)), _a.owner_id == bindparam("owner_id"), _a.message_id.is_(None)
)
_INSERT_CONVERSATION, _INSERT_MEMBERS = insert(conversations), insert(conversation_members)
_INSERT_MESSAGE = insert(messages).returning(*history.COLUMNS)
# Bind names of an UPDATE's condition begin with `where_`: SQLAlchemy would take a column's name for a value to set.
_ATTACH = (
    update(attachments)
    .where(_a.id == bindparam("where_id"))
    .values(message_id=bindparam("message_id"), position=bindparam("position"))
)
_SET_LAST_SEQ = (
    update(conversations)
    .where(_c.id == bindparam("where_id"))
    .values(last_seq=bindparam("last_seq"), updated_at=bindparam("updated_at"))
)
_IS_SENDER = _m.user_id == bindparam("sender_id")
_IS_ACTIVE = or_(_m.notify_at.is_not(None), _m.last_active_at > bindparam("active_since"))
# The sender has read the own message and all before it. The notification of an active member is delayed.
_UPDATE_MEMBERS = (
    update(conversation_members)
    .where(_m.conversation_id == bindparam("where_conversation_id"))
    .values(
        activity_seq=bindparam("seq"),
        unread=case((_IS_SENDER, 0), else_=_m.unread + 1),
        read_seq=case((_IS_SENDER, bindparam("seq")), else_=_m.read_seq),
        delivered_seq=case((_IS_SENDER, bindparam("seq")), else_=_m.delivered_seq),
        last_active_at=case((_IS_SENDER, bindparam("now")), else_=_m.last_active_at),
        notify_at=case(
            (or_(_IS_SENDER, _m.muted == 1), None),
            (_IS_ACTIVE, case((_m.notify_at.is_(None), bindparam("delayed_until")), else_=_m.notify_at)),
            else_=None,
        ),
    )
    .returning(_m.user_id, _m.unread, _m.muted, _m.notify_at)
)


@dataclass(frozen=True, slots=True)
class SendMessageResult:
    """A message; `created` is false if it was sent before with the same client message id."""

    message: Message
    created: bool


@dataclass(frozen=True, slots=True)
class _Target:
    """The conversation with the sender's counters.

    For a direct conversation that does not exist yet, `new_user_id` is the other user.
    """

    id: str
    kind: str
    title: str | None
    direct_key: str | None
    from_seq: int
    unread: int
    new_user_id: str | None = None


def send(tx: Connection, *, sender: Person, recipient: Recipient, draft: MessageDraft, now: int) -> SendMessageResult:
    """Send a message to a conversation or a user; the first message creates the direct conversation.

    Raises NotFound when the sender is not a member, Forbidden when one user has blocked the other, and InvalidField.
    """
    target = _get_target(tx, sender.id, recipient)
    duplicate = _find_duplicate(tx, target, sender.id, draft.client_message_id)
    if duplicate is not None:
        return SendMessageResult(duplicate, created=False)
    if target.direct_key is not None:
        membership.require_not_blocked(tx, user_id=sender.id, key=target.direct_key)
    if draft.reply_to is not None:
        history.position_of(
            tx, message_id=draft.reply_to, conversation_id=target.id, after_seq=target.from_seq, pointer="/replyTo"
        )
    files = _load_files(tx, sender.id, draft)
    if target.new_user_id is not None:
        _create_direct(tx, target, sender.id, target.new_user_id, now)
    return SendMessageResult(_insert_message(tx, target, sender, draft, files, now), created=True)


def _get_target(tx: Connection, sender_id: str, recipient: Recipient) -> _Target:
    if recipient.conversation_id is not None:
        return _existing_target(tx, recipient.conversation_id, sender_id)
    assert recipient.recipient_id is not None
    other_id = users.resolve_refs(tx, refs=[UserRef("/recipientId", recipient.recipient_id)])[0]
    if other_id == sender_id:
        raise InvalidField("/recipientId", "range", "You cannot send a message to yourself.")
    direct_key = membership.direct_key(sender_id, other_id)
    conversation_id = tx.execute(_DIRECT, {"direct_key": direct_key}).scalar_one_or_none()
    if conversation_id is not None:
        return _existing_target(tx, conversation_id, sender_id)
    return _Target(new_id(), "direct", None, direct_key, 0, 0, other_id)


def _existing_target(tx: Connection, conversation_id: str, sender_id: str) -> _Target:
    row = membership.get_membership(tx, conversation_id=conversation_id, user_id=sender_id)
    return _Target(row.id, row.kind, row.title, row.direct_key, row.from_seq, row.unread)


def _find_duplicate(tx: Connection, target: _Target, sender_id: str, client_message_id: str | None) -> Message | None:
    if client_message_id is None or target.new_user_id is not None:
        return None
    parameters = {"conversation_id": target.id, "sender_id": sender_id, "client_message_id": client_message_id}
    message_id = tx.execute(_DUPLICATE, parameters).scalar_one_or_none()
    return None if message_id is None else history.load_many(tx, ids=[message_id])[message_id]


def _load_files(tx: Connection, sender_id: str, draft: MessageDraft) -> list[Attachment]:
    """Return the attachments of the draft in its order. Raises InvalidField."""
    if not draft.attachment_ids:
        return []
    rows = tx.execute(_UNSENT_FILES, {"ids": list(draft.attachment_ids), "owner_id": sender_id})
    files = {row.id: row for row in rows}
    for index, attachment_id in enumerate(draft.attachment_ids):
        pointer = f"/attachmentIds/{index}"
        if attachment_id not in files:
            raise InvalidField(pointer, "range", "This file was not uploaded by you, or it was sent before.")
        if draft.type == "image" and files[attachment_id].type not in IMAGE_TYPES:
            raise InvalidField(pointer, "type", "This file is not an image. Send it as a file.")
    return [history.attachment_to_schema(files[attachment_id]) for attachment_id in draft.attachment_ids]


def _create_direct(tx: Connection, target: _Target, creator_id: str, other_id: str, now: int) -> None:
    row = {
        "id": target.id,
        "kind": target.kind,
        "title": None,
        "direct_key": target.direct_key,
        "creator_id": creator_id,
        "last_seq": 0,
        "created_at": now,
        "updated_at": now,
    }
    tx.execute(_INSERT_CONVERSATION, row)
    tx.execute(_INSERT_MEMBERS, [groups.member_row(target.id, user_id, now=now) for user_id in (creator_id, other_id)])


def _insert_message(
    tx: Connection, target: _Target, sender: Person, draft: MessageDraft, files: Sequence[Attachment], now: int
) -> Message:
    message_id, seq = new_id(), membership.next_position(tx)
    values = {
        "id": message_id,
        "conversation_id": target.id,
        "seq": seq,
        "sender_id": sender.id,
        "type": draft.type,
        "content": draft.content,
        "reply_to": draft.reply_to,
        "client_message_id": draft.client_message_id,
        "created_at": now,
        "edited_at": None,
        "deleted_at": None,
    }
    row = tx.execute(_INSERT_MESSAGE, values).one()
    if files:
        tx.execute(
            _ATTACH,
            [
                {"where_id": file.id, "message_id": message_id, "position": position}
                for position, file in enumerate(files)
            ],
        )
    tx.execute(_SET_LAST_SEQ, {"where_id": target.id, "last_seq": seq, "updated_at": now})
    members = _update_members(tx, target.id, sender.id, seq, now)
    message = history.to_schema(row, sender.name, files)
    events.publish_created(tx, message, _to_counts(tx, members), now=now)
    if target.unread:
        notifications.retract_for_reader(tx, user_id=sender.id, conversation_id=target.id, now=now)
    _notify(tx, target, message, members, now)
    return message


def _update_members(
    tx: Connection, conversation_id: str, sender_id: str, seq: int, now: int
) -> Sequence[Row[*tuple[Any, ...]]]:
    parameters = {
        "where_conversation_id": conversation_id,
        "sender_id": sender_id,
        "seq": seq,
        "now": now,
        "active_since": now - ACTIVE_MS,
        "delayed_until": now + ACTIVE_MS,
    }
    return tx.execute(_UPDATE_MEMBERS, parameters).all()


def _to_counts(tx: Connection, members: Sequence[Row[*tuple[Any, ...]]]) -> Mapping[str, UnreadCounts]:
    totals = membership.load_unread_totals(tx, ids=[member.user_id for member in members])
    return {member.user_id: UnreadCounts(member.unread, totals.get(member.user_id, 0)) for member in members}


def _notify(
    tx: Connection, target: _Target, message: Message, members: Sequence[Row[*tuple[Any, ...]]], now: int
) -> None:
    items = [
        (
            member.user_id,
            notifications.draft_for(message, kind=target.kind, title=target.title, unread=member.unread),
        )
        for member in members
        if member.user_id != message.sender.id and not member.muted and member.notify_at is None
    ]
    if items:
        inbox.deliver(tx, items=items, now=now)
