"""The rows of uploaded files: whose they are, who may fetch them, and which nobody needs any more."""

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

# What was uploaded and not sent by then never will be.
UNSENT_MS = DAY_MS

_a, _m, _s = attachments.c, conversation_members.c, messages.c

_ADD = insert(attachments).returning(_a.id, _a.name, _a.type, _a.size, _a.width, _a.height, _a.thumbnail)
_USED = select(func.coalesce(func.sum(_a.size), 0)).where(_a.owner_id == bindparam("who"))
# Sent: to who is a member now and may see the message; not sent yet: to who uploaded it.
_FETCHABLE = (
    select(_a.hash, _a.name, _a.type, _a.size, _a.thumbnail)
    .outerjoin(messages, _s.id == _a.message_id)
    .outerjoin(conversation_members, and_(_m.conversation_id == _s.conversation_id, _m.user_id == bindparam("who")))
    .where(
        _a.id == bindparam("which"),
        or_(and_(_a.message_id.is_(None), _a.owner_id == bindparam("who")), _s.seq > _m.from_seq),
    )
)
_KNOWN = select(_a.hash).where(_a.hash.in_(bindparam("hashes", expanding=True))).distinct()
_UNSENT = (
    select(_a.id)
    .where(_a.message_id.is_(None), _a.created_at < bindparam("before"))
    .order_by(_a.created_at)
    .limit(bindparam("most"))
)
_DROP = delete(attachments).where(_a.id.in_(bindparam("ids", expanding=True)), _a.message_id.is_(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file that is in its place on disk. `name` is only ever shown."""

    hash: str
    name: str
    type: str
    size: int
    width: int | None = None
    height: int | None = None
    thumbnail: bool = False


def create(tx: Connection, *, owner_id: str, file: StoredFile, quota: int, now: int) -> Attachment:
    """Note a file that somebody has uploaded; `quota` is what theirs may come to in bytes, 0 for no such bound.

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
    return history.attachment_to_schema(tx.execute(_ADD, row).one())


def require_quota(tx: Connection, *, owner_id: str, size: int, quota: int) -> None:
    """See that somebody may upload so many bytes more. Raises QuotaExceeded."""
    if quota and int(tx.execute(_USED, {"who": owner_id}).scalar_one()) + size > quota:
        raise QuotaExceeded(quota)


def get_downloadable(tx: Connection, *, attachment_id: str, user_id: str) -> Row[*tuple[Any, ...]]:
    """What is needed to give a file to somebody who may have it: asked every time. Raises NotFound."""
    row = tx.execute(_FETCHABLE, {"which": attachment_id, "who": user_id}).one_or_none()
    if row is None:
        raise NotFound
    return row


def find_referenced(tx: Connection, *, hashes: Sequence[str]) -> set[str]:
    """Those of these files that a row names."""
    return set(tx.execute(_KNOWN, {"hashes": list(hashes)}).scalars())


def find_unsent(tx: Connection, /, *, now: int, limit: int) -> Sequence[str]:
    """At most `limit` files that were uploaded and not sent within a day."""
    return tx.execute(_UNSENT, {"before": now - UNSENT_MS, "most": limit}).scalars().all()


def delete_unsent(tx: Connection, /, *, found: Sequence[str], now: int) -> None:
    """Forget these, unless they were sent after all; the files follow."""
    tx.execute(_DROP, {"ids": list(found)})
