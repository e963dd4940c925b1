"""Messages as the members of their conversation see them, alone and in pages both ways."""

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

_ANY = select(*COLUMNS, users.c.name.label("sender_name")).join(users, users.c.id == _m.sender_id)
_BY_ID = _ANY.where(_m.id.in_(bindparam("ids", expanding=True)))
_PLACE = select(_m.seq).where(
    _m.id == bindparam("which"), _m.conversation_id == bindparam("place"), _m.seq > bindparam("past")
)
_VISIBLE = (
    _ANY.add_columns(conversation_members.c.from_seq)
    .join(
        conversation_members,
        (conversation_members.c.conversation_id == _m.conversation_id)
        & (conversation_members.c.user_id == bindparam("who")),
    )
    .where(_m.id == bindparam("which"), _m.seq > conversation_members.c.from_seq)
)
_PART = _ANY.where(
    _m.conversation_id == bindparam("place"), _m.seq > bindparam("past"), _m.seq < bindparam("below")
).limit(bindparam("most"))
_NEWEST, _OLDEST = _PART.order_by(_m.seq.desc()), _PART.order_by(_m.seq)
_FILES = (
    select(_a.id, _a.message_id, _a.name, _a.type, _a.size, _a.width, _a.height, _a.thumbnail)
    .where(_a.message_id.in_(bindparam("ids", expanding=True)))
    .order_by(_a.message_id, _a.place)
)


def to_schema(row: Row[*tuple[Any, ...]], sender_name: str, files: Sequence[Attachment] = ()) -> Message:
    """A row with `COLUMNS` as members see it."""
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
    """A row of `attachments` as members see it."""
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
    """These messages, by id, for those who may see them."""
    return {message.id: message for message in _shown(tx, tx.execute(_BY_ID, {"ids": list(ids)}).all())}


def get_visible(tx: Connection, *, message_id: str, user_id: str) -> Row[*tuple[Any, ...]]:
    """A message's row (with `sender_name`), for a member who may see it. Raises NotFound."""
    row = tx.execute(_VISIBLE, {"which": message_id, "who": user_id}).one_or_none()
    if row is None:
        raise NotFound
    return row


def position_of(tx: Connection, *, message_id: str, conversation_id: str, past: int, pointer: str) -> int:
    """A message's place in its conversation; it must come after `past`. Raises InvalidField at `pointer`."""
    asked = {"which": message_id, "place": conversation_id, "past": past}
    seq = tx.execute(_PLACE, asked).scalar_one_or_none()
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
    """The `limit` messages next to one of them, before or after it, or else the last ones; always the newest first.

    Raises NotFound for somebody who is not a member, and InvalidField.
    """
    if before is not None and after is not None:
        raise InvalidField("after", "type", "Ask for what is before a message or after one, not both.")
    named, pointer = (after, "after") if after is not None else (before, "before")
    if named is not None:
        pagination.check_id(named, pointer)
    member = membership.get_membership(tx, conversation_id=conversation_id, user_id=user_id)
    asked = {"place": conversation_id, "past": member.from_seq, "below": pagination.LAST_SEQ, "most": limit + 1}
    if named is not None:
        seq = position_of(tx, message_id=named, conversation_id=conversation_id, past=member.from_seq, pointer=pointer)
        asked |= {"past": seq} if after is not None else {"below": seq}
    rows = tx.execute(_NEWEST if after is None else _OLDEST, asked).all()
    more = rows[limit - 1].id if len(rows) > limit else None
    shown = _shown(tx, rows[:limit])
    return Messages(items=shown if after is None else shown[::-1], next=more)


def load_attachments(tx: Connection, *, ids: Sequence[str]) -> Mapping[str, list[Attachment]]:
    """What was sent with these messages, in order."""
    found: dict[str, list[Attachment]] = {}
    for row in tx.execute(_FILES, {"ids": list(ids)}):
        found.setdefault(row.message_id, []).append(attachment_to_schema(row))
    return found


def _shown(tx: Connection, rows: Sequence[Row[*tuple[Any, ...]]]) -> list[Message]:
    with_files = [row.id for row in rows if row.type != "text"]
    files = load_attachments(tx, ids=with_files) if with_files else {}
    return [to_schema(row, row.sender_name, files.get(row.id, ())) for row in rows]
