"""Blocks between users.

A block stops direct messages, typing events and presence events in both directions.
"""

from sqlalchemy import Connection, bindparam, delete, select

from services import pagination
from services.accounts import users
from services.database.statements import upsert
from services.errors import InvalidField, NotFound
from services.messages.schemas import BlockedUser
from services.pagination import Page
from services.tables import blocks
from services.tables import users as table_users
from services.times import to_rfc3339

_b = blocks.c

_INSERT = upsert(blocks).on_conflict_do_nothing()
_DELETE = delete(blocks).where(_b.user_id == bindparam("user_id"), _b.blocked_id == bindparam("blocked_id"))
_PAGE = (
    select(_b.blocked_id, table_users.c.name, _b.created_at)
    .join(table_users, table_users.c.id == _b.blocked_id)
    .where(_b.user_id == bindparam("user_id"), _b.blocked_id < bindparam("before_id"))
    .order_by(_b.blocked_id.desc())
    .limit(bindparam("limit"))
)


def block(tx: Connection, *, user_id: str, other_id: str, now: int) -> None:
    """Block a user; an existing block is kept. Raises InvalidField for the caller's own id, and NotFound."""
    if other_id == user_id:
        raise InvalidField("userId", "range", "You cannot block yourself.")
    if other_id not in users.load_names(tx, ids=[other_id]):
        raise NotFound
    tx.execute(_INSERT, {"user_id": user_id, "blocked_id": other_id, "created_at": now})


def unblock(tx: Connection, *, user_id: str, other_id: str, now: int) -> None:
    """Delete a block if it exists."""
    tx.execute(_DELETE, {"user_id": user_id, "blocked_id": other_id})


def list_blocks(
    tx: Connection, *, user_id: str, limit: int = pagination.DEFAULT_LIMIT, after: str | None = None
) -> Page[BlockedUser]:
    """Return one page of the users that a user has blocked. Raises InvalidField for an invalid `after`."""
    parameters = {"user_id": user_id, "before_id": pagination.id_from_token(after), "limit": limit + 1}
    return pagination.make_page(
        tx.execute(_PAGE, parameters).all(),
        limit=limit,
        to_item=lambda row: BlockedUser(id=row.blocked_id, name=row.name, created_at=to_rfc3339(row.created_at)),
        key=lambda row: row.blocked_id,
    )
