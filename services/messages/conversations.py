"""Lists conversations and reads one of them."""

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

# Members in the conversations of one page, unless its first conversation alone has more. One hundred groups of one
# hundred members would be a response of a megabyte, and building it would block the event loop.
MAX_PAGE_MEMBERS: Final = 1_000

_c, _m, _s = conversations.c, conversation_members.c, table_messages.c
_read, _delivered = table_messages.alias("read_messages"), table_messages.alias("delivered_messages")

_OF_USER = (
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
        _m.activity_seq,
    )
    .join(conversation_members, _m.conversation_id == _c.id)
    .where(_m.user_id == bindparam("user_id"))
)
_FIND = _OF_USER.where(_c.id == bindparam("conversation_id"))
_PAGE = (
    _OF_USER.where(_m.activity_seq < bindparam("before_seq")).order_by(_m.activity_seq.desc()).limit(bindparam("limit"))
)
_MEMBERS = (
    select(
        _m.conversation_id,
        _m.user_id,
        users.c.name,
        _read.c.id.label("read_up_to"),
        _delivered.c.id.label("delivered_up_to"),
    )
    .join(users, users.c.id == _m.user_id)
    .outerjoin(_read, (_read.c.conversation_id == _m.conversation_id) & (_read.c.seq == _m.read_seq))
    .outerjoin(
        _delivered, (_delivered.c.conversation_id == _m.conversation_id) & (_delivered.c.seq == _m.delivered_seq)
    )
    .order_by(_m.joined_at, _m.user_id)
)
_MEMBER_COUNTS = (
    select(_m.conversation_id, func.count().label("member_count"))
    .where(_m.conversation_id.in_(bindparam("ids", expanding=True)))
    .group_by(_m.conversation_id)
)
_ALL_MEMBERS = _MEMBERS.where(_m.conversation_id.in_(bindparam("ids", expanding=True)))
_MEMBERS_BY_ID = _MEMBERS.where(
    _m.conversation_id == bindparam("conversation_id"), _m.user_id.in_(bindparam("user_ids", expanding=True))
)
_LAST_MESSAGES = select(_s.id, _s.conversation_id).where(
    _s.conversation_id.in_(bindparam("ids", expanding=True)), _s.seq.in_(bindparam("seqs", expanding=True))
)


def list_conversations(
    tx: Connection, *, user_id: str, limit: int = pagination.DEFAULT_LIMIT, after: str | None = None
) -> Conversations:
    """Return one page of a user's conversations, last active first.

    The page has at most `limit` conversations, and fewer when they have many members. Raises InvalidField for an
    invalid `after`.
    """
    parameters = {"user_id": user_id, "before_seq": pagination.seq_from_token(after), "limit": limit + 1}
    rows = tx.execute(_PAGE, parameters).all()
    selected = _limit_members(tx, rows[:limit])
    position, epoch = outbox.head(tx)
    return Conversations(
        items=_to_schemas(tx, selected, user_id),
        next=pagination.page_token(selected[-1].activity_seq) if len(rows) > len(selected) else None,
        unread=membership.load_unread_total(tx, user_id),
        cursor=f"{epoch}.{position}",
    )


def get_conversation(tx: Connection, *, conversation_id: str, user_id: str) -> Conversation:
    """Return one conversation of a user. Raises NotFound when the user is not a member."""
    row = tx.execute(_FIND, {"conversation_id": conversation_id, "user_id": user_id}).one_or_none()
    if row is None:
        raise NotFound
    return _to_schemas(tx, [row], user_id)[0]


def load_members(tx: Connection, *, conversation_id: str, user_ids: Sequence[str]) -> list[Member]:
    """Return those of these users who are members of the conversation."""
    rows = tx.execute(_MEMBERS_BY_ID, {"conversation_id": conversation_id, "user_ids": list(user_ids)})
    return [_to_member(row) for row in rows]


def _limit_members(tx: Connection, rows: Sequence[Row[*tuple[Any, ...]]]) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return the first rows that together have at most `MAX_PAGE_MEMBERS` members, and at least one row."""
    counted = tx.execute(_MEMBER_COUNTS, {"ids": [row.id for row in rows]})
    member_counts = {row.conversation_id: row.member_count for row in counted}
    running_totals = list(accumulate(member_counts[row.id] for row in rows))
    return rows[: max(1, bisect_right(running_totals, MAX_PAGE_MEMBERS))]


def _to_schemas(tx: Connection, rows: Sequence[Row[*tuple[Any, ...]]], user_id: str) -> list[Conversation]:
    if not rows:
        return []
    members = _load_all_members(tx, rows, user_id)
    last_messages = _load_last_messages(tx, rows)
    return [
        Conversation(
            id=row.id,
            kind=row.kind,
            title=row.title,
            members=members[row.id],
            last_message=last_messages.get(row.id),
            unread=row.unread,
            muted=bool(row.muted),
            created_at=to_rfc3339(row.created_at),
            updated_at=to_rfc3339(row.updated_at),
        )
        for row in rows
    ]


def _load_all_members(
    tx: Connection, rows: Sequence[Row[*tuple[Any, ...]]], user_id: str
) -> Mapping[str, list[Member]]:
    """Return the members of each conversation; a block hides the receipts of the other user of a direct one."""
    members: dict[str, list[Member]] = {row.id: [] for row in rows}
    for row in tx.execute(_ALL_MEMBERS, {"ids": list(members)}):
        members[row.conversation_id].append(_to_member(row))
    direct_ids = [row.id for row in rows if row.kind == "direct"]
    other_ids = {member.id for id in direct_ids for member in members[id]} - {user_id}
    blocked = membership.find_blocked(tx, user_id=user_id, ids=list(other_ids))
    for id in direct_ids if blocked else ():
        members[id] = [
            replace(member, read_up_to=None, delivered_up_to=None) if member.id in blocked else member
            for member in members[id]
        ]
    return members


def _load_last_messages(tx: Connection, rows: Sequence[Row[*tuple[Any, ...]]]) -> Mapping[str, Message]:
    """Return the last message of each conversation that the user may see.

    The query may match by `seq` alone, because no two messages of the hub share one.
    """
    with_messages = [row for row in rows if row.last_seq > row.from_seq]
    if not with_messages:
        return {}
    parameters = {"ids": [row.id for row in with_messages], "seqs": [row.last_seq for row in with_messages]}
    messages = history.load_many(tx, ids=[row.id for row in tx.execute(_LAST_MESSAGES, parameters)])
    return {message.conversation_id: message for message in messages.values()}


def _to_member(row: Row[*tuple[Any, ...]]) -> Member:
    return Member(id=row.user_id, name=row.name, read_up_to=row.read_up_to, delivered_up_to=row.delivered_up_to)
