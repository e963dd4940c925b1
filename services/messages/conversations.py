"""Conversations as one of their members sees them: the list, and one of them."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

from msgspec.structs import replace
from sqlalchemy import Connection, Row, bindparam, func, select

from services import pagination
from services.database import outbox
from services.errors import NotFound
from services.messages import history, membership
from services.messages.schemas import Conversation, Conversations, Member, Message
from services.tables import conversation_members, conversations, users
from services.tables import messages as table_messages
from services.times import to_rfc3339

# Members that a page shows together, unless its first conversation alone has more: a hundred groups of a hundred would
# be a megabyte, and nobody else would have the loop while it is made.
PAGE_MEMBERS: Final = 1_000

_c, _m, _s = conversations.c, conversation_members.c, table_messages.c
_read, _given = table_messages.alias("read_ones"), table_messages.alias("given_ones")

_MINE = (
    select(
        _c.id,
        _c.kind,
        _c.title,
        _c.last_seq,
        _c.created_at,
        _c.updated_at,
        _m.from_seq,
        _m.unread,
        _m.muted,
        _m.activity,
    )
    .join(conversation_members, _m.conversation_id == _c.id)
    .where(_m.user_id == bindparam("who"))
)
_ONE = _MINE.where(_c.id == bindparam("which"))
_PAGE = _MINE.where(_m.activity < bindparam("below")).order_by(_m.activity.desc()).limit(bindparam("most"))
_MEMBERS = (
    select(
        _m.conversation_id,
        _m.user_id,
        users.c.name,
        _read.c.id.label("read_up_to"),
        _given.c.id.label("delivered_up_to"),
    )
    .join(users, users.c.id == _m.user_id)
    .outerjoin(_read, (_read.c.conversation_id == _m.conversation_id) & (_read.c.seq == _m.read_seq))
    .outerjoin(_given, (_given.c.conversation_id == _m.conversation_id) & (_given.c.seq == _m.delivered_seq))
    .order_by(_m.joined_at, _m.user_id)
)
_SIZES = (
    select(_m.conversation_id, func.count().label("size"))
    .where(_m.conversation_id.in_(bindparam("ids", expanding=True)))
    .group_by(_m.conversation_id)
)
_ALL_MEMBERS = _MEMBERS.where(_m.conversation_id.in_(bindparam("ids", expanding=True)))
_SOME_MEMBERS = _MEMBERS.where(
    _m.conversation_id == bindparam("which"), _m.user_id.in_(bindparam("who", expanding=True))
)
_LAST = select(_s.id, _s.conversation_id).where(
    _s.conversation_id.in_(bindparam("ids", expanding=True)), _s.seq.in_(bindparam("seqs", expanding=True))
)


def list_conversations(
    tx: Connection, *, user_id: str, limit: int = pagination.DEFAULT_LIMIT, after: str | None = None
) -> Conversations:
    """The next conversations of a user, the last active first: `limit` of them, or fewer where they are large ones.

    Raises InvalidField for a bad `after`.
    """
    rows = tx.execute(_PAGE, {"who": user_id, "below": pagination.seq_from_token(after), "most": limit + 1}).all()
    shown = _fitting(tx, rows[:limit])
    position, epoch = outbox.head(tx)
    return Conversations(
        items=_shown(tx, shown, user_id),
        next=pagination.page_token(shown[-1].activity) if len(rows) > len(shown) else None,
        unread=membership.total(tx, user_id),
        cursor=f"{epoch}.{position}",
    )


def get_conversation(tx: Connection, *, conversation_id: str, user_id: str) -> Conversation:
    """One of a user's conversations. Raises NotFound."""
    row = tx.execute(_ONE, {"which": conversation_id, "who": user_id}).one_or_none()
    if row is None:
        raise NotFound
    return _shown(tx, [row], user_id)[0]


def load_members(tx: Connection, *, conversation_id: str, user_ids: Sequence[str]) -> list[Member]:
    """Those of these users who are in a conversation, as its members see them."""
    rows = tx.execute(_SOME_MEMBERS, {"which": conversation_id, "who": list(user_ids)})
    return [_member(row) for row in rows]


def _fitting(tx: Connection, rows: Sequence[Row[*tuple[Any, ...]]]) -> Sequence[Row[*tuple[Any, ...]]]:
    """The first of these: as many as have `PAGE_MEMBERS` members together, and one in any case."""
    sizes = {row.conversation_id: row.size for row in tx.execute(_SIZES, {"ids": [row.id for row in rows]})}
    members_so_far = list(accumulate(sizes[row.id] for row in rows))
    return rows[: max(1, bisect_right(members_so_far, PAGE_MEMBERS))]


def _shown(tx: Connection, rows: Sequence[Row[*tuple[Any, ...]]], user_id: str) -> list[Conversation]:
    if not rows:
        return []
    found = _members(tx, rows, user_id)
    last = _last(tx, rows)
    return [
        Conversation(
            id=row.id,
            kind=row.kind,
            title=row.title,
            members=found[row.id],
            last_message=last.get(row.id),
            unread=row.unread,
            muted=bool(row.muted),
            created_at=to_rfc3339(row.created_at),
            updated_at=to_rfc3339(row.updated_at),
        )
        for row in rows
    ]


def _members(tx: Connection, rows: Sequence[Row[*tuple[Any, ...]]], user_id: str) -> Mapping[str, list[Member]]:
    """Everybody in each. Where two are apart by a block, not how far the other one has read."""
    found: dict[str, list[Member]] = {row.id: [] for row in rows}
    for row in tx.execute(_ALL_MEMBERS, {"ids": list(found)}):
        found[row.conversation_id].append(_member(row))
    direct = [row.id for row in rows if row.kind == "direct"]
    peers = {member.id for id in direct for member in found[id]} - {user_id}
    apart = membership.blocked_with(tx, user_id=user_id, ids=list(peers))
    for id in direct if apart else ():
        found[id] = [
            replace(each, read_up_to=None, delivered_up_to=None) if each.id in apart else each for each in found[id]
        ]
    return found


def _last(tx: Connection, rows: Sequence[Row[*tuple[Any, ...]]]) -> Mapping[str, Message]:
    """The last message of each, where its reader may see it. A place is one message's, whatever the conversation."""
    seen = [row for row in rows if row.last_seq > row.from_seq]
    if not seen:
        return {}
    asked = {"ids": [row.id for row in seen], "seqs": [row.last_seq for row in seen]}
    shown = history.load_many(tx, ids=[row.id for row in tx.execute(_LAST, asked)])
    return {message.conversation_id: message for message in shown.values()}


def _member(row: Row[*tuple[Any, ...]]) -> Member:
    return Member(id=row.user_id, name=row.name, read_up_to=row.read_up_to, delivered_up_to=row.delivered_up_to)
