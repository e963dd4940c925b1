"""Edits and deletes messages, in rows, log and notifications."""

from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from services import text
from services.database import outbox
from services.errors import Conflict, Forbidden, InvalidField
from services.messages import events, history, membership, notifications
from services.messages.draft import MAX_CONTENT
from services.messages.events import MessageStateEvent
from services.messages.membership import UnreadCounts
from services.messages.schemas import Message
from services.tables import attachments, conversation_members
from services.tables import messages as table_messages

_s, _m = table_messages.c, conversation_members.c

# Bind names of an UPDATE's condition begin with `where_`: SQLAlchemy would take a column's name for a value to set.
_EDIT = (
    update(table_messages)
    .where(_s.id == bindparam("where_id"))
    .values(content=bindparam("content"), edited_at=bindparam("edited_at"))
    .returning(*history.COLUMNS)
)
_DELETE = (
    update(table_messages)
    .where(_s.id == bindparam("where_id"))
    .values(content="", deleted_at=bindparam("deleted_at"))
    .returning(*history.COLUMNS)
)
_DELETE_ATTACHMENTS = delete(attachments).where(attachments.c.message_id == bindparam("message_id"))
_CAN_SEE = _m.conversation_id == bindparam("where_conversation_id"), _m.from_seq < bindparam("seq")
_READERS = select(_m.user_id, _m.unread).where(*_CAN_SEE)
_DECREMENT_UNREAD = (
    update(conversation_members)
    .where(*_CAN_SEE, _m.read_seq < bindparam("seq"), _m.user_id != bindparam("sender_id"))
    .values(unread=_m.unread - 1)
    .returning(_m.user_id, _m.unread)
)


def edit(tx: Connection, *, message_id: str, user_id: str, content: str, now: int) -> Message:
    """Replace the content of a message that the user sent, and return the message.

    Raises NotFound, Forbidden (another user's message, or a block in a direct conversation), Conflict (a deleted
    message) and InvalidField.
    """
    if content:
        text.check_multiline(content, "/content", MAX_CONTENT)
    row = _get_own(tx, message_id, user_id)
    if not content and row.type == "text":
        raise InvalidField("/content", "length", "A text message cannot be empty; delete it instead.")
    if row.deleted_at is not None:
        raise Conflict("This message was deleted.")
    direct_key = membership.find_direct_key(tx, conversation_id=row.conversation_id)
    if direct_key is not None:
        membership.require_not_blocked(tx, user_id=user_id, key=direct_key)
    edited = row
    if row.content != content:
        edited = tx.execute(_EDIT, {"where_id": message_id, "content": content, "edited_at": now}).one()
    files = history.load_attachments(tx, ids=[message_id]).get(message_id, [])
    message = history.to_schema(edited, row.sender_name, files)
    if edited is not row:
        _publish(tx, row, message, "edited", now)
    return message


def delete_message(tx: Connection, *, message_id: str, user_id: str, now: int) -> None:
    """Delete the content, attachments and events of a message that the user sent; an empty message remains.

    Does nothing for a deleted message. Raises NotFound and Forbidden.
    """
    row = _get_own(tx, message_id, user_id)
    if row.deleted_at is not None:
        return
    deleted = tx.execute(_DELETE, {"where_id": message_id, "deleted_at": now}).one()
    tx.execute(_DELETE_ATTACHMENTS, {"message_id": message_id})
    parameters = {"where_conversation_id": row.conversation_id, "seq": row.seq, "sender_id": user_id}
    readers = tx.execute(_DECREMENT_UNREAD, parameters).all()
    outbox.forget(tx, message_id)
    _publish(tx, row, history.to_schema(deleted, row.sender_name), "deleted", now)
    for reader in readers:
        if not reader.unread:
            notifications.retract_for_reader(tx, user_id=reader.user_id, conversation_id=row.conversation_id, now=now)


def _get_own(tx: Connection, message_id: str, user_id: str) -> Row[*tuple[Any, ...]]:
    row = history.get_visible(tx, message_id=message_id, user_id=user_id)
    if row.sender_id != user_id:
        raise Forbidden("Only the sender of a message can change it.")
    return row


def _publish(
    tx: Connection, row: Row[*tuple[Any, ...]], message: Message, kind: Literal["edited", "deleted"], now: int
) -> None:
    counts = _load_reader_counts(tx, row)
    event = MessageStateEvent(conversation_id=message.conversation_id, kind=kind, message=message)
    events.publish_changed(tx, event, counts, now=now)
    notifications.retract_for_message(
        tx, conversation_id=message.conversation_id, message_id=message.id, user_ids=list(counts), now=now
    )


def _load_reader_counts(tx: Connection, row: Row[*tuple[Any, ...]]) -> Mapping[str, UnreadCounts]:
    readers = tx.execute(_READERS, {"where_conversation_id": row.conversation_id, "seq": row.seq}).all()
    totals = membership.load_unread_totals(tx, ids=[reader.user_id for reader in readers])
    return {reader.user_id: UnreadCounts(reader.unread, totals.get(reader.user_id, 0)) for reader in readers}
