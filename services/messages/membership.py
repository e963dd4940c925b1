"""Where somebody stands in a conversation: the check that everything about one begins with."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, bindparam, func, or_, select
from sqlalchemy.sql.expression import literal_column

from services.database import outbox
from services.errors import Conflict, Forbidden, NotFound
from services.tables import blocks, conversation_members, conversations

# A conversation's members, at most; a message is a row and an event for each of them.
MAX_MEMBERS: Final = 100

_c, _m = conversations.c, conversation_members.c

_STANDING = (
    select(
        _c.id,
        _c.kind,
        _c.title,
        _c.pair,
        _c.maker_id,
        _c.last_seq,
        _m.user_id,
        _m.from_seq,
        _m.read_seq,
        _m.delivered_seq,
        _m.unread,
        _m.muted,
    )
    .join(conversation_members, _m.conversation_id == _c.id)
    .where(_c.id == bindparam("which"), _m.user_id == bindparam("who"))
)
_MEMBER_IDS = select(_m.user_id).where(_m.conversation_id == bindparam("which")).order_by(_m.user_id)
# The conditions are those of the index, word for word, or SQLite would not use it.
_TOTALS = (
    select(_m.user_id, func.sum(_m.unread).label("total"))
    .where(
        _m.user_id.in_(bindparam("ids", expanding=True)),
        _m.unread > literal_column("0"),
        _m.muted == literal_column("0"),
    )
    .group_by(_m.user_id)
)
_PAIR = select(_c.pair).where(_c.id == bindparam("which"))
_BLOCKED_WITH = select(blocks.c.user_id, blocks.c.blocked_id).where(
    or_(
        (blocks.c.user_id == bindparam("who")) & blocks.c.blocked_id.in_(bindparam("ids", expanding=True)),
        (blocks.c.blocked_id == bindparam("who")) & blocks.c.user_id.in_(bindparam("ids", expanding=True)),
    )
)


class Unread(NamedTuple):
    """What a member has not read: in one conversation, and in all that are not muted."""

    unread: int
    total: int


def get_membership(tx: Connection, *, conversation_id: str, user_id: str) -> Row[*tuple[Any, ...]]:
    """The conversation, and where this member stands in it. Raises NotFound for one they are not in."""
    row = tx.execute(_STANDING, {"which": conversation_id, "who": user_id}).one_or_none()
    if row is None:
        raise NotFound
    return row


def get_as_creator(tx: Connection, *, conversation_id: str, user_id: str) -> Row[*tuple[Any, ...]]:
    """Like `of`, for what only the maker of a group may do. Raises NotFound, Conflict (no group) and Forbidden."""
    row = get_membership(tx, conversation_id=conversation_id, user_id=user_id)
    if row.kind != "group":
        raise Conflict("A conversation of two stays as it is; make a group for more.")
    if row.maker_id != user_id:
        raise Forbidden("Only who made this group can do that.")
    return row


def member_ids(tx: Connection, conversation_id: str) -> Sequence[str]:
    """Everybody in a conversation, in the order of their ids."""
    return tx.execute(_MEMBER_IDS, {"which": conversation_id}).scalars().all()


def totals(tx: Connection, *, ids: Sequence[str]) -> dict[str, int]:
    """What each of these users has not read in all conversations that are not muted; who has read all is left out."""
    return {user_id: int(total) for user_id, total in tx.execute(_TOTALS, {"ids": list(ids)})}


def total(tx: Connection, user_id: str) -> int:
    """`totals` of one."""
    return totals(tx, ids=[user_id]).get(user_id, 0)


def visible_members(tx: Connection, *, conversation_id: str, user_id: str) -> list[str]:
    """The other members who may see what this one is about: not those apart by a block. Raises NotFound."""
    get_membership(tx, conversation_id=conversation_id, user_id=user_id)
    others = [each for each in member_ids(tx, conversation_id) if each != user_id]
    apart = blocked_with(tx, user_id=user_id, ids=others)
    return [each for each in others if each not in apart]


def direct_key(one: str, other: str) -> str:
    """The name of the direct conversation of two users."""
    return f"{min(one, other)}:{max(one, other)}"


def other_user(pair: str, user_id: str) -> str:
    """The other one of a pair."""
    one, _, other = pair.partition(":")
    return other if one == user_id else one


def find_direct_key(tx: Connection, *, conversation_id: str) -> str | None:
    """The pair of a direct conversation; None for a group or none."""
    return tx.execute(_PAIR, {"which": conversation_id}).scalar_one_or_none()


def direct_users(tx: Connection, *, conversation_id: str) -> tuple[str, ...]:
    """The two users of a direct conversation; nobody for a group or none."""
    pair = find_direct_key(tx, conversation_id=conversation_id)
    return () if pair is None else tuple(pair.split(":"))


def blocked_with(tx: Connection, *, user_id: str, ids: Sequence[str]) -> set[str]:
    """Those of these users whom this one has blocked, or who have blocked this one."""
    rows = tx.execute(_BLOCKED_WITH, {"who": user_id, "ids": list(ids)}) if ids else ()
    return {row.blocked_id if row.user_id == user_id else row.user_id for row in rows}


def require_not_blocked(tx: Connection, *, user_id: str, pair: str) -> None:
    """Before anything is said in a direct conversation. Raises Forbidden where a block is between the two."""
    if blocked_with(tx, user_id=user_id, ids=[other_user(pair, user_id)]):
        raise Forbidden("You cannot write to this person.")


def next_position(tx: Connection) -> int:
    """The place that the event appended next will have: what is said now comes after all that was said."""
    return int(outbox.next_cursor(tx).partition(".")[2]) + 1
