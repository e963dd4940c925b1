"""Loads a user's membership; the authorization check of every conversation."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, bindparam, func, or_, select
from sqlalchemy.sql.expression import literal_column

from services.database import outbox
from services.errors import Conflict, Forbidden, NotFound
from services.tables import blocks, conversation_members, conversations

# Members of a conversation. A message updates one row and appends one event for each of them.
MAX_MEMBERS: Final = 100

_c, _m = conversations.c, conversation_members.c

_MEMBERSHIP = (
    select(
        _c.id,
        _c.kind,
        _c.title,
        _c.direct_key,
        _c.creator_id,
        _c.last_seq,
        _m.user_id,
        _m.from_seq,
        _m.read_seq,
        _m.delivered_seq,
        _m.unread,
        _m.muted,
    )
    .join(conversation_members, _m.conversation_id == _c.id)
    .where(_c.id == bindparam("conversation_id"), _m.user_id == bindparam("user_id"))
)
_MEMBER_IDS = select(_m.user_id).where(_m.conversation_id == bindparam("conversation_id")).order_by(_m.user_id)
# SQLite uses the partial index only if the conditions have exactly the text of the index.
_UNREAD_TOTALS = (
    select(_m.user_id, func.sum(_m.unread).label("total"))
    .where(
        _m.user_id.in_(bindparam("ids", expanding=True)),
        _m.unread > literal_column("0"),
        _m.muted == literal_column("0"),
    )
    .group_by(_m.user_id)
)
_DIRECT_KEY = select(_c.direct_key).where(_c.id == bindparam("conversation_id"))
_BLOCKED = select(blocks.c.user_id, blocks.c.blocked_id).where(
    or_(
        (blocks.c.user_id == bindparam("user_id")) & blocks.c.blocked_id.in_(bindparam("ids", expanding=True)),
        (blocks.c.blocked_id == bindparam("user_id")) & blocks.c.user_id.in_(bindparam("ids", expanding=True)),
    )
)


class UnreadCounts(NamedTuple):
    """Unread messages of a member: in one conversation, and in all that the member has not muted."""

    unread: int
    total: int


def get_membership(tx: Connection, *, conversation_id: str, user_id: str) -> Row[*tuple[Any, ...]]:
    """Return the conversation together with the user's membership. Raises NotFound when the user is not a member."""
    row = tx.execute(_MEMBERSHIP, {"conversation_id": conversation_id, "user_id": user_id}).one_or_none()
    if row is None:
        raise NotFound
    return row


def get_as_creator(tx: Connection, *, conversation_id: str, user_id: str) -> Row[*tuple[Any, ...]]:
    """Return the membership of a group's creator. Raises NotFound, Conflict (not a group) and Forbidden."""
    row = get_membership(tx, conversation_id=conversation_id, user_id=user_id)
    if row.kind != "group":
        raise Conflict("A direct conversation cannot be changed. Create a group instead.")
    if row.creator_id != user_id:
        raise Forbidden("Only the creator of this group can do that.")
    return row


def load_member_ids(tx: Connection, conversation_id: str) -> Sequence[str]:
    """Return the user ids of all members, in ascending order."""
    return tx.execute(_MEMBER_IDS, {"conversation_id": conversation_id}).scalars().all()


def load_unread_totals(tx: Connection, *, ids: Sequence[str]) -> dict[str, int]:
    """Return the unread messages of each user in all conversations that the user has not muted, if there are any."""
    return {user_id: int(total) for user_id, total in tx.execute(_UNREAD_TOTALS, {"ids": list(ids)})}


def load_unread_total(tx: Connection, user_id: str) -> int:
    """Return the unread messages of one user in all conversations that the user has not muted."""
    return load_unread_totals(tx, ids=[user_id]).get(user_id, 0)


def visible_members(tx: Connection, *, conversation_id: str, user_id: str) -> list[str]:
    """Return the other members, without those separated from this user by a block. Raises NotFound."""
    get_membership(tx, conversation_id=conversation_id, user_id=user_id)
    other_ids = [member_id for member_id in load_member_ids(tx, conversation_id) if member_id != user_id]
    blocked = find_blocked(tx, user_id=user_id, ids=other_ids)
    return [other_id for other_id in other_ids if other_id not in blocked]


def direct_key(user_id: str, other_id: str) -> str:
    """Return the key of the direct conversation of two users; their order does not matter."""
    return f"{min(user_id, other_id)}:{max(user_id, other_id)}"


def other_user(key: str, user_id: str) -> str:
    """Return the other user of a direct key."""
    first_id, _, second_id = key.partition(":")
    return second_id if first_id == user_id else first_id


def find_direct_key(tx: Connection, *, conversation_id: str) -> str | None:
    """Return the direct key of a conversation; None for a group and for an unknown conversation."""
    return tx.execute(_DIRECT_KEY, {"conversation_id": conversation_id}).scalar_one_or_none()


def direct_users(tx: Connection, *, conversation_id: str) -> tuple[str, ...]:
    """Return the two users of a direct conversation; empty for a group and for an unknown conversation."""
    key = find_direct_key(tx, conversation_id=conversation_id)
    return () if key is None else tuple(key.split(":"))


def find_blocked(tx: Connection, *, user_id: str, ids: Sequence[str]) -> set[str]:
    """Return those of these users that this user has blocked or that have blocked this user."""
    rows = tx.execute(_BLOCKED, {"user_id": user_id, "ids": list(ids)}) if ids else ()
    return {row.blocked_id if row.user_id == user_id else row.user_id for row in rows}


def require_not_blocked(tx: Connection, *, user_id: str, key: str) -> None:
    """Require that no block exists between the two users of a direct key. Raises Forbidden."""
    if find_blocked(tx, user_id=user_id, ids=[other_user(key, user_id)]):
        raise Forbidden("You cannot send messages to this user.")


def next_position(tx: Connection) -> int:
    """Return the log position of the event appended next; it orders messages and conversations."""
    return int(outbox.next_cursor(tx).partition(".")[2]) + 1
