"""Whom one does not want to hear of: no direct messages, no typing, no presence, in both directions."""

from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy.dialects.sqlite import insert

from services import pagination
from services.accounts import users
from services.errors import InvalidField, NotFound
from services.messages.schemas import BlockedUser
from services.pagination import Page
from services.tables import blocks
from services.tables import users as table_users
from services.times import to_rfc3339

_b = blocks.c

_BLOCK = insert(blocks).on_conflict_do_nothing()
_UNBLOCK = delete(blocks).where(_b.user_id == bindparam("who"), _b.blocked_id == bindparam("whom"))
_PAGE = (
    select(_b.blocked_id, table_users.c.name, _b.created_at)
    .join(table_users, table_users.c.id == _b.blocked_id)
    .where(_b.user_id == bindparam("who"), _b.blocked_id < bindparam("below"))
    .order_by(_b.blocked_id.desc())
    .limit(bindparam("most"))
)


def block(tx: Connection, *, user_id: str, other_id: str, now: int) -> None:
    """Hear nothing of somebody any more, nor let them hear; no harm if it is so already. Raises NotFound."""
    if other_id == user_id:
        raise InvalidField("userId", "range", "Nobody can block themselves.")
    if other_id not in users.load_names(tx, ids=[other_id]):
        raise NotFound
    tx.execute(_BLOCK, {"user_id": user_id, "blocked_id": other_id, "created_at": now})


def unblock(tx: Connection, *, user_id: str, other_id: str, now: int) -> None:
    """Take a block back; no harm if there is none."""
    tx.execute(_UNBLOCK, {"who": user_id, "whom": other_id})


def list_blocks(
    tx: Connection, *, user_id: str, limit: int = pagination.DEFAULT_LIMIT, after: str | None = None
) -> Page[BlockedUser]:
    """Those whom a user has blocked. Raises InvalidField for a bad `after`."""
    rows = tx.execute(_PAGE, {"who": user_id, "below": pagination.id_from_token(after), "most": limit + 1}).all()
    return pagination.page(
        rows,
        limit=limit,
        show=lambda row: BlockedUser(id=row.blocked_id, name=row.name, created_at=to_rfc3339(row.created_at)),
        key=lambda row: row.blocked_id,
    )
