"""Attachment rows: ownership, access, quota and cleanup."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, func, insert, or_, select

from services.errors import NotFound, QuotaExceeded
from services.ids import new_id
from services.messages import history
from services.messages.schemas import Attachment
from services.tables import attachments, conversation_members, messages
from services.times import DAY_MS

# A file that was not sent within this time is deleted.
UNSENT_MS = DAY_MS

_a, _m, _s = attachments.c, conversation_members.c, messages.c

_INSERT = insert(attachments).returning(_a.id, _a.name, _a.type, _a.size, _a.width, _a.height, _a.thumbnail)
_USED_BYTES = select(func.coalesce(func.sum(_a.size), 0)).where(_a.owner_id == bindparam("owner_id"))
# Members who may see the message can download a sent file; only the owner can download an unsent one.
_DOWNLOADABLE = (
    select(_a.hash, _a.name, _a.type, _a.size, _a.thumbnail)
    .outerjoin(messages, _s.id == _a.message_id)
    .outerjoin(conversation_members, and_(_m.conversation_id == _s.conversation_id, _m.user_id == bindparam("user_id")))
    .where(
        _a.id == bindparam("id"),
        or_(and_(_a.message_id.is_(None), _a.owner_id == bindparam("user_id")), _s.seq > _m.from_seq),
    )
)
_REFERENCED = select(_a.hash).where(_a.hash.in_(bindparam("hashes", expanding=True))).distinct()
_UNSENT = (
    select(_a.id)
    .where(_a.message_id.is_(None), _a.created_at < bindparam("before"))
    .order_by(_a.created_at)
    .limit(bindparam("limit"))
)
_DELETE_UNSENT = delete(attachments).where(_a.id.in_(bindparam("ids", expanding=True)), _a.message_id.is_(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A committed file. `name` is only for display."""

    hash: str
    name: str
    type: str
    size: int
    width: int | None = None
    height: int | None = None
    thumbnail: bool = False


def create(tx: Connection, *, owner_id: str, file: StoredFile, quota: int, now: int) -> Attachment:
    """Insert the row of an uploaded file; `quota` limits the bytes of the owner's files, 0 disables it.

    Raises QuotaExceeded.
    """
    require_quota(tx, owner_id=owner_id, size=file.size, quota=quota)
    row = {
        "id": new_id(),
        "owner_id": owner_id,
        "hash": file.hash,
        "name": file.name,
        "type": file.type,
        "size": file.size,
        "width": file.width,
        "height": file.height,
        "thumbnail": int(file.thumbnail),
        "message_id": None,
        "position": 0,
        "created_at": now,
    }
    return history.attachment_to_schema(tx.execute(_INSERT, row).one())


def require_quota(tx: Connection, *, owner_id: str, size: int, quota: int) -> None:
    """Require that the owner may upload `size` more bytes. Raises QuotaExceeded."""
    if quota and int(tx.execute(_USED_BYTES, {"owner_id": owner_id}).scalar_one()) + size > quota:
        raise QuotaExceeded(quota)


def get_downloadable(tx: Connection, *, attachment_id: str, user_id: str) -> Row[*tuple[Any, ...]]:
    """Return the row of a file that the user may download now. Raises NotFound."""
    row = tx.execute(_DOWNLOADABLE, {"id": attachment_id, "user_id": user_id}).one_or_none()
    if row is None:
        raise NotFound
    return row


def find_referenced(tx: Connection, *, hashes: Sequence[str]) -> set[str]:
    """Return those of these hashes that a row references."""
    return set(tx.execute(_REFERENCED, {"hashes": list(hashes)}).scalars())


def find_unsent(tx: Connection, /, *, now: int, limit: int) -> Sequence[str]:
    """Return the ids of at most `limit` files that were not sent within `UNSENT_MS`."""
    return tx.execute(_UNSENT, {"before": now - UNSENT_MS, "limit": limit}).scalars().all()


def delete_unsent(tx: Connection, /, *, found: Sequence[str], now: int) -> None:
    """Delete these rows unless they were sent meanwhile; the file cleanup then deletes the files."""
    tx.execute(_DELETE_UNSENT, {"ids": list(found)})
