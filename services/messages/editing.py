"""Editing and deleting a message: everybody who sees it hears of it, and what it said before is nowhere any more."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from services import text
from services.database import outbox
from services.errors import Conflict, Forbidden, InvalidField
from services.messages import events, history, membership, notifications
from services.messages.draft import MAX_CONTENT
from services.messages.events import MessageStateEvent
from services.messages.membership import Unread
from services.messages.schemas import Message
from services.tables import attachments, conversation_members
from services.tables import messages as table_messages

_s, _m = table_messages.c, conversation_members.c

_EDIT = (
    update(table_messages)
    .where(_s.id == bindparam("which"))
    .values(content=bindparam("words"), edited_at=bindparam("now"))
    .returning(*history.COLUMNS)
)
_DELETE = (
    update(table_messages)
    .where(_s.id == bindparam("which"))
    .values(content="", deleted_at=bindparam("now"))
    .returning(*history.COLUMNS)
)
_DROP_FILES = delete(attachments).where(attachments.c.message_id == bindparam("which"))
_SEE_IT = _m.conversation_id == bindparam("place"), _m.from_seq < bindparam("seq")
_READERS = select(_m.user_id, _m.unread).where(*_SEE_IT)
_ONE_LESS = (
    update(conversation_members)
    .where(*_SEE_IT, _m.read_seq < bindparam("seq"), _m.user_id != bindparam("sender"))
    .values(unread=_m.unread - 1)
    .returning(_m.user_id, _m.unread)
)


def edit(tx: Connection, *, message_id: str, user_id: str, content: str, now: int) -> Message:
    """Give one's own message other words, for readers to whom one could say them now.

    Raises NotFound, Forbidden, Conflict (it was deleted) and InvalidField.
    """
    if content:
        text.check_multiline(content, "/content", MAX_CONTENT)
    row = _own(tx, message_id, user_id)
    if not content and row.type == "text":
        raise InvalidField("/content", "length", "A text cannot be empty; it can be deleted.")
    if row.deleted_at is not None:
        raise Conflict("This message was deleted.")
    pair = membership.find_direct_key(tx, conversation_id=row.conversation_id)
    if pair is not None:
        membership.require_not_blocked(tx, user_id=user_id, pair=pair)
    changed = row
    if row.content != content:
        changed = tx.execute(_EDIT, {"which": message_id, "words": content, "now": now}).one()
    files = history.load_attachments(tx, ids=[message_id]).get(message_id, [])
    message = history.to_schema(changed, row.sender_name, files)
    if changed is not row:
        _tell(tx, row, message, "edited", now)
    return message


def delete_message(tx: Connection, *, message_id: str, user_id: str, now: int) -> None:
    """Delete one's own message: words, files and events of it; its place stays. Raises NotFound and Forbidden."""
    row = _own(tx, message_id, user_id)
    if row.deleted_at is not None:
        return
    gone = tx.execute(_DELETE, {"which": message_id, "now": now}).one()
    tx.execute(_DROP_FILES, {"which": message_id})
    fewer = tx.execute(_ONE_LESS, {"place": row.conversation_id, "seq": row.seq, "sender": user_id}).all()
    outbox.forget(tx, message_id)
    _tell(tx, row, history.to_schema(gone, row.sender_name), "deleted", now)
    for reader in fewer:
        if not reader.unread:
            notifications.retract_for_reader(tx, user_id=reader.user_id, conversation_id=row.conversation_id, now=now)


def _own(tx: Connection, message_id: str, user_id: str) -> Row[*tuple[Any, ...]]:
    row = history.get_visible(tx, message_id=message_id, user_id=user_id)
    if row.sender_id != user_id:
        raise Forbidden("Only who wrote a message can change it.")
    return row


def _tell(tx: Connection, row: Row[*tuple[Any, ...]], message: Message, kind: Any, now: int) -> None:
    readers = _readers(tx, row)
    event = MessageStateEvent(conversation_id=message.conversation_id, kind=kind, message=message)
    events.publish_changed(tx, event, readers, now=now)
    notifications.retract_for_message(
        tx, conversation_id=message.conversation_id, message_id=message.id, user_ids=list(readers), now=now
    )


def _readers(tx: Connection, row: Row[*tuple[Any, ...]]) -> Mapping[str, Unread]:
    found = tx.execute(_READERS, {"place": row.conversation_id, "seq": row.seq}).all()
    totals = membership.totals(tx, ids=[each.user_id for each in found])
    return {each.user_id: Unread(each.unread, totals.get(each.user_id, 0)) for each in found}
