"""How far a member has read, and how far their browsers have been given what was said; neither ever goes back."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, case, func, select, update

from services.messages import conversations, events, history, membership, notifications
from services.messages.events import MessageStateEvent
from services.messages.membership import Unread
from services.messages.schemas import ReadReceipt
from services.tables import conversation_members
from services.tables import conversations as conversation_rows
from services.tables import messages as table_messages

# In larger conversations the others see how far somebody has read when they fetch it, or everybody's reading would be
# an event for everybody.
MAX_NOTIFIED_MEMBERS: Final = 20
# Of one report, so many conversations are looked at, the last active first; the others follow when they are read.
LOOKED_AT: Final = 200

_c, _m, _s = conversation_rows.c, conversation_members.c, table_messages.c

_BETWEEN = select(func.count()).where(
    _s.conversation_id == bindparam("which"),
    _s.seq > bindparam("past"),
    _s.seq <= bindparam("seq"),
    _s.sender_id != bindparam("who"),
    _s.deleted_at.is_(None),
)
_READ = (
    update(conversation_members)
    .where(_m.conversation_id == bindparam("which"), _m.user_id == bindparam("who"))
    .values(
        read_seq=bindparam("seq"),
        delivered_seq=func.max(_m.delivered_seq, bindparam("seq")),
        unread=bindparam("left"),
        looked_at=bindparam("now"),
        notify_at=case((bindparam("left") == 0, None), else_=_m.notify_at),
    )
)
_LOOK = (
    update(conversation_members)
    .where(_m.conversation_id == bindparam("which"), _m.user_id == bindparam("who"))
    .values(looked_at=bindparam("now"))
)
_UPTO = (
    select(func.max(_s.seq))
    .where(_s.conversation_id == _m.conversation_id, _s.seq <= bindparam("position"))
    .correlate(conversation_members)
    .scalar_subquery()
)
_recent = (
    select(_m.conversation_id)
    .where(_m.user_id == bindparam("who"))
    .order_by(_m.activity.desc())
    .limit(LOOKED_AT)
    .scalar_subquery()
)
_BEHIND = (
    select(_m.conversation_id, _c.pair, _UPTO.label("upto"))
    .join(conversation_rows, _c.id == _m.conversation_id)
    .where(
        _m.user_id == bindparam("who"),
        _m.conversation_id.in_(_recent),
        _c.last_seq > _m.delivered_seq,
        _m.delivered_seq < _UPTO,
        _m.from_seq < _UPTO,
    )
)
_DELIVER = (
    update(conversation_members)
    .where(_m.conversation_id == bindparam("which"), _m.user_id == bindparam("who"))
    .values(delivered_seq=bindparam("upto"))
)


def mark_read(tx: Connection, *, conversation_id: str, user_id: str, up_to: str, now: int) -> ReadReceipt:
    """Somebody has read up to this message, on any of their devices; an earlier one than before changes nothing.

    Raises NotFound and InvalidField.
    """
    member = membership.get_membership(tx, conversation_id=conversation_id, user_id=user_id)
    seq = history.position_of(
        tx, message_id=up_to, conversation_id=conversation_id, past=member.from_seq, pointer="/upTo"
    )
    if seq <= member.read_seq:
        tx.execute(_LOOK, {"which": conversation_id, "who": user_id, "now": now})
        return ReadReceipt(unread=member.unread, unread_total=membership.total(tx, user_id))
    left = _left(tx, member, seq)
    tx.execute(_READ, {"which": conversation_id, "who": user_id, "seq": seq, "left": left, "now": now})
    counts = Unread(left, membership.total(tx, user_id))
    _tell(
        tx,
        member,
        MessageStateEvent(conversation_id=conversation_id, kind="read", user_id=user_id, up_to=up_to),
        counts,
        now,
    )
    if member.unread and not left:
        notifications.retract_for_reader(tx, user_id=user_id, conversation_id=conversation_id, now=now)
    return ReadReceipt(unread=left, unread_total=counts.total)


def _left(tx: Connection, member: Row[*tuple[Any, ...]], seq: int) -> int:
    """What is unread once it is read up to `seq`: counted along what was read now, which is seldom long."""
    if seq == member.last_seq:
        return 0
    past = max(member.read_seq, member.from_seq)
    asked = {"which": member.id, "who": member.user_id, "past": past, "seq": seq}
    return int(member.unread - tx.execute(_BETWEEN, asked).scalar_one())


def find_undelivered(tx: Connection, *, reports: Mapping[str, int]) -> list[str]:
    """Those of these users (with the position that their browser has stored) for whom `deliver` has something to do."""
    return [user_id for user_id, position in reports.items() if _behind(tx, user_id, position)]


def mark_delivered(tx: Connection, *, reports: Mapping[str, int], now: int) -> None:
    """Note what each of these users has been given: everything up to this position of the log."""
    for user_id, position in reports.items():
        for row in _behind(tx, user_id, position):
            tx.execute(_DELIVER, {"which": row.conversation_id, "who": user_id, "upto": row.upto})
            # To one it is told; in a group it is seen by who fetches it.
            if row.pair is not None:
                _tell_peer(tx, row, user_id, now)


def _behind(tx: Connection, user_id: str, position: int) -> Sequence[Row[*tuple[Any, ...]]]:
    return tx.execute(_BEHIND, {"who": user_id, "position": position}).all()


def _tell(tx: Connection, member: Row[*tuple[Any, ...]], event: MessageStateEvent, counts: Unread, now: int) -> None:
    """The reader with their counts, the others without."""
    events.publish_changed(tx, event, {member.user_id: counts}, now=now)
    others = [each for each in membership.member_ids(tx, member.id) if each != member.user_id]
    if len(others) >= MAX_NOTIFIED_MEMBERS:
        return
    if member.pair is not None and membership.blocked_with(tx, user_id=member.user_id, ids=others):
        return
    events.publish_to_others(tx, event, others, now=now)


def _tell_peer(tx: Connection, row: Row[*tuple[Any, ...]], user_id: str, now: int) -> None:
    peer = membership.other_user(row.pair, user_id)
    if membership.blocked_with(tx, user_id=user_id, ids=[peer]):
        return
    shown = conversations.load_members(tx, conversation_id=row.conversation_id, user_ids=[user_id])
    event = MessageStateEvent(
        conversation_id=row.conversation_id, kind="members", members=shown, removed=[], title=None
    )
    events.publish_to_others(tx, event, [peer], now=now)
