"""Reads messages and pages of a conversation."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, select

from services import pagination
from services.errors import InvalidField, NotFound
from services.messages import membership
from services.messages.schemas import Attachment, Message, Messages
from services.schemas import Person
from services.tables import attachments, conversation_members, messages, users
from services.times import to_rfc3339, to_rfc3339_or_none

_m, _a = messages.c, attachments.c

COLUMNS: Final = (
    _m.id,
    _m.conversation_id,
    _m.seq,
    _m.sender_id,
    _m.type,
    _m.content,
    _m.reply_to,
    _m.client_message_id,
    _m.created_at,
    _m.edited_at,
    _m.deleted_at,
)

_MESSAGES = select(*COLUMNS, users.c.name.label("sender_name")).join(users, users.c.id == _m.sender_id)
_BY_ID = _MESSAGES.where(_m.id.in_(bindparam("ids", expanding=True)))
_SEQ = select(_m.seq).where(
    _m.id == bindparam("id"), _m.conversation_id == bindparam("conversation_id"), _m.seq > bindparam("after_seq")
)
_VISIBLE = (
    _MESSAGES.add_columns(conversation_members.c.from_seq)
    .join(
        conversation_members,
        (conversation_members.c.conversation_id == _m.conversation_id)
        & (conversation_members.c.user_id == bindparam("user_id")),
    )
    .where(_m.id == bindparam("id"), _m.seq > conversation_members.c.from_seq)
)
_PAGE = _MESSAGES.where(
    _m.conversation_id == bindparam("conversation_id"),
    _m.seq > bindparam("after_seq"),
    _m.seq < bindparam("before_seq"),
).limit(bindparam("limit"))
_NEWEST_FIRST, _OLDEST_FIRST = _PAGE.order_by(_m.seq.desc()), _PAGE.order_by(_m.seq)
_ATTACHMENTS = (
    select(_a.id, _a.message_id, _a.name, _a.type, _a.size, _a.width, _a.height, _a.thumbnail)
    .where(_a.message_id.in_(bindparam("ids", expanding=True)))
    .order_by(_a.message_id, _a.position)
)


def to_schema(row: Row[*tuple[Any, ...]], sender_name: str, files: Sequence[Attachment] = ()) -> Message:
    """Return the JSON object of a row that has `COLUMNS`."""
    return Message(
        id=row.id,
        conversation_id=row.conversation_id,
        sender=Person(id=row.sender_id, name=sender_name),
        type=row.type,
        content=row.content,
        attachments=list(files),
        reply_to=row.reply_to,
        client_message_id=row.client_message_id,
        created_at=to_rfc3339(row.created_at),
        edited_at=to_rfc3339_or_none(row.edited_at),
        deleted_at=to_rfc3339_or_none(row.deleted_at),
    )


def attachment_to_schema(row: Row[*tuple[Any, ...]]) -> Attachment:
    """Return the JSON object of a row of `attachments`."""
    return Attachment(
        id=row.id,
        name=row.name,
        type=row.type,
        size=row.size,
        width=row.width,
        height=row.height,
        thumbnail=bool(row.thumbnail),
    )


def load_many(tx: Connection, *, ids: Sequence[str]) -> dict[str, Message]:
    """Return these messages by id. It does not check membership; the caller must."""
    return {message.id: message for message in _to_schemas(tx, tx.execute(_BY_ID, {"ids": list(ids)}).all())}


def get_visible(tx: Connection, *, message_id: str, user_id: str) -> Row[*tuple[Any, ...]]:
    """Return the row of a message (with `sender_name`) that this member may see. Raises NotFound."""
    row = tx.execute(_VISIBLE, {"id": message_id, "user_id": user_id}).one_or_none()
    if row is None:
        raise NotFound
    return row


def position_of(tx: Connection, *, message_id: str, conversation_id: str, after_seq: int, pointer: str) -> int:
    """Return the `seq` of a message of this conversation. Raises InvalidField at `pointer` unless after `after_seq`."""
    parameters = {"id": message_id, "conversation_id": conversation_id, "after_seq": after_seq}
    seq = tx.execute(_SEQ, parameters).scalar_one_or_none()
    if seq is None:
        raise InvalidField(pointer, "range", "There is no such message in this conversation.")
    return int(seq)


def list_messages(
    tx: Connection,
    *,
    conversation_id: str,
    user_id: str,
    before: str | None = None,
    after: str | None = None,
    limit: int = pagination.DEFAULT_LIMIT,
) -> Messages:
    """Return one page of a conversation, newest first.

    It holds the `limit` messages directly `before` or `after` a message, or the last ones. Raises NotFound when the
    user is not a member, and InvalidField.
    """
    if before is not None and after is not None:
        raise InvalidField("after", "type", "Use either before or after, not both.")
    message_id, pointer = (after, "after") if after is not None else (before, "before")
    if message_id is not None:
        pagination.check_id(message_id, pointer)
    member = membership.get_membership(tx, conversation_id=conversation_id, user_id=user_id)
    parameters = {
        "conversation_id": conversation_id,
        "after_seq": member.from_seq,
        "before_seq": pagination.AFTER_ALL_SEQS,
        "limit": limit + 1,
    }
    if message_id is not None:
        seq = position_of(
            tx, message_id=message_id, conversation_id=conversation_id, after_seq=member.from_seq, pointer=pointer
        )
        parameters |= {"after_seq": seq} if after is not None else {"before_seq": seq}
    rows = tx.execute(_NEWEST_FIRST if after is None else _OLDEST_FIRST, parameters).all()
    next_id = rows[limit - 1].id if len(rows) > limit else None
    messages = _to_schemas(tx, rows[:limit])
    return Messages(items=messages if after is None else messages[::-1], next=next_id)


def load_attachments(tx: Connection, *, ids: Sequence[str]) -> Mapping[str, list[Attachment]]:
    """Return the attachments of these messages by message id, in their order."""
    attachments_by_message: dict[str, list[Attachment]] = {}
    for row in tx.execute(_ATTACHMENTS, {"ids": list(ids)}):
        attachments_by_message.setdefault(row.message_id, []).append(attachment_to_schema(row))
    return attachments_by_message


def _to_schemas(tx: Connection, rows: Sequence[Row[*tuple[Any, ...]]]) -> list[Message]:
    with_files = [row.id for row in rows if row.type != "text"]
    files = load_attachments(tx, ids=with_files) if with_files else {}
    return [to_schema(row, row.sender_name, files.get(row.id, ())) for row in rows]
