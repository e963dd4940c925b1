"""Read and delivery receipts of conversation members; positions only increase."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, case, func, select, update

from services.messages import conversations, events, history, membership, notifications
from services.messages.events import MessageStateEvent
from services.messages.membership import UnreadCounts
from services.messages.schemas import ReadReceipt
from services.tables import conversation_members
from services.tables import conversations as conversation_rows
from services.tables import messages as table_messages

# Members who get an event when another member reads. In larger conversations the members see read receipts when they
# fetch the conversation; otherwise each read would append an event for every member.
MAX_NOTIFIED_MEMBERS: Final = 20
# Conversations checked for one acknowledged position, last active first. The others follow when they are read.
MAX_CHECKED_CONVERSATIONS: Final = 200

_c, _m, _s = conversation_rows.c, conversation_members.c, table_messages.c

_COUNT_RECEIVED = select(func.count()).where(
    _s.conversation_id == bindparam("conversation_id"),
    _s.seq > bindparam("after_seq"),
    _s.seq <= bindparam("up_to_seq"),
    _s.sender_id != bindparam("user_id"),
    _s.deleted_at.is_(None),
)
# Bind names of an UPDATE's condition begin with `where_`: SQLAlchemy would take a column's name for a value to set.
_UPDATE = update(conversation_members).where(
    _m.conversation_id == bindparam("where_conversation_id"), _m.user_id == bindparam("where_user_id")
)
_SET_READ = _UPDATE.values(
    read_seq=bindparam("read_seq"),
    delivered_seq=func.max(_m.delivered_seq, bindparam("read_seq")),
    unread=bindparam("unread"),
    last_active_at=bindparam("last_active_at"),
    notify_at=case((bindparam("unread") == 0, None), else_=_m.notify_at),
)
_SET_ACTIVE = _UPDATE.values(last_active_at=bindparam("last_active_at"))
_SET_DELIVERED = _UPDATE.values(delivered_seq=bindparam("delivered_seq"))
_LAST_SEQ_AT_POSITION = (
    select(func.max(_s.seq))
    .where(_s.conversation_id == _m.conversation_id, _s.seq <= bindparam("position"))
    .correlate(conversation_members)
    .scalar_subquery()
)
_LAST_ACTIVE_IDS = (
    select(_m.conversation_id)
    .where(_m.user_id == bindparam("user_id"))
    .order_by(_m.activity_seq.desc())
    .limit(MAX_CHECKED_CONVERSATIONS)
    .scalar_subquery()
)
_UNDELIVERED = (
    select(_m.conversation_id, _c.direct_key, _LAST_SEQ_AT_POSITION.label("delivered_seq"))
    .join(conversation_rows, _c.id == _m.conversation_id)
    .where(
        _m.user_id == bindparam("user_id"),
        _m.conversation_id.in_(_LAST_ACTIVE_IDS),
        _c.last_seq > _m.delivered_seq,
        _m.delivered_seq < _LAST_SEQ_AT_POSITION,
        _m.from_seq < _LAST_SEQ_AT_POSITION,
    )
)


def mark_read(tx: Connection, *, conversation_id: str, user_id: str, up_to: str, now: int) -> ReadReceipt:
    """Mark a conversation read up to the message `up_to`; an earlier message than before changes nothing.

    Raises NotFound and InvalidField.
    """
    member = membership.get_membership(tx, conversation_id=conversation_id, user_id=user_id)
    seq = history.position_of(
        tx, message_id=up_to, conversation_id=conversation_id, after_seq=member.from_seq, pointer="/upTo"
    )
    condition = {"where_conversation_id": conversation_id, "where_user_id": user_id}
    if seq <= member.read_seq:
        tx.execute(_SET_ACTIVE, condition | {"last_active_at": now})
        return ReadReceipt(unread=member.unread, unread_total=membership.load_unread_total(tx, user_id))
    unread = _count_unread_after(tx, member, seq)
    tx.execute(_SET_READ, condition | {"read_seq": seq, "unread": unread, "last_active_at": now})
    counts = UnreadCounts(unread, membership.load_unread_total(tx, user_id))
    event = MessageStateEvent(conversation_id=conversation_id, kind="read", user_id=user_id, up_to=up_to)
    _publish_read(tx, member, event, counts, now)
    if member.unread and not unread:
        notifications.retract_for_reader(tx, user_id=user_id, conversation_id=conversation_id, now=now)
    return ReadReceipt(unread=unread, unread_total=counts.total)


def find_undelivered(tx: Connection, *, positions: Mapping[str, int]) -> list[str]:
    """Return the users for whom `mark_delivered` has work; `positions` are acknowledged log positions by user id."""
    return [user_id for user_id, position in positions.items() if _find_undelivered_rows(tx, user_id, position)]


def mark_delivered(tx: Connection, *, positions: Mapping[str, int], now: int) -> None:
    """Mark all messages up to each user's acknowledged log position as delivered."""
    for user_id, position in positions.items():
        for row in _find_undelivered_rows(tx, user_id, position):
            parameters = {
                "where_conversation_id": row.conversation_id,
                "where_user_id": user_id,
                "delivered_seq": row.delivered_seq,
            }
            tx.execute(_SET_DELIVERED, parameters)
            # Only direct conversations get an event; group members see deliveries when they fetch the conversation.
            if row.direct_key is not None:
                _publish_delivered(tx, row, user_id, now)


def _count_unread_after(tx: Connection, member: Row[*tuple[Any, ...]], seq: int) -> int:
    """Return the unread messages once all up to `seq` are read; only the newly read ones are counted."""
    if seq == member.last_seq:
        return 0
    parameters = {
        "conversation_id": member.id,
        "user_id": member.user_id,
        "after_seq": max(member.read_seq, member.from_seq),
        "up_to_seq": seq,
    }
    return int(member.unread - tx.execute(_COUNT_RECEIVED, parameters).scalar_one())


def _find_undelivered_rows(tx: Connection, user_id: str, position: int) -> Sequence[Row[*tuple[Any, ...]]]:
    return tx.execute(_UNDELIVERED, {"user_id": user_id, "position": position}).all()


def _publish_read(
    tx: Connection, member: Row[*tuple[Any, ...]], event: MessageStateEvent, counts: UnreadCounts, now: int
) -> None:
    """Publish the event to the reader with counts and to the other members without."""
    events.publish_changed(tx, event, {member.user_id: counts}, now=now)
    other_ids = [id for id in membership.load_member_ids(tx, member.id) if id != member.user_id]
    if len(other_ids) >= MAX_NOTIFIED_MEMBERS:
        return
    if member.direct_key is not None and membership.find_blocked(tx, user_id=member.user_id, ids=other_ids):
        return
    events.publish_to_others(tx, event, other_ids, now=now)


def _publish_delivered(tx: Connection, row: Row[*tuple[Any, ...]], user_id: str, now: int) -> None:
    other_id = membership.other_user(row.direct_key, user_id)
    if membership.find_blocked(tx, user_id=user_id, ids=[other_id]):
        return
    members = conversations.load_members(tx, conversation_id=row.conversation_id, user_ids=[user_id])
    event = MessageStateEvent(
        conversation_id=row.conversation_id, kind="members", members=members, removed=[], title=None
    )
    events.publish_to_others(tx, event, [other_id], now=now)
