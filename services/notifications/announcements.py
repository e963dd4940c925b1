"""Something said to everybody: kept as long as it is in force, and told on `announcements`."""

from typing import Any

from sqlalchemy import Connection, bindparam, insert, or_, select

from services import pagination, text
from services.database import outbox
from services.errors import InvalidField
from services.event_log import channels
from services.ids import new_id
from services.notifications.schemas import Announcement, Priority
from services.tables import announcements
from services.times import to_rfc3339, to_rfc3339_or_none

_a = announcements.c

_ADD = insert(announcements)
_PAGE = (
    select(announcements)
    .where(_a.id < bindparam("below"), or_(_a.expires_at.is_(None), _a.expires_at > bindparam("now")))
    .order_by(_a.id.desc())
    .limit(bindparam("most"))
)


def create(
    tx: Connection,
    *,
    title: str,
    body: str,
    url: str | None = None,
    priority: Priority = "normal",
    expires_at: int | None = None,
    now: int,
) -> Announcement:
    """Say something to everybody, until `expires_at` (ms) if that is given. Raises InvalidField."""
    text.check_line(title, "/title", 200)
    text.check_multiline(body, "/body", 2_000)
    if url is not None:
        text.check_link(url, "/url")
    if expires_at is not None and expires_at <= now:
        raise InvalidField("/expiresAt", "range", "It would have expired before it was said.")
    row: dict[str, Any] = {
        "id": new_id(),
        "title": title,
        "body": body,
        "url": url,
        "priority": priority,
        "created_at": now,
        "expires_at": expires_at,
    }
    tx.execute(_ADD, row)
    made = _show(**row)
    outbox.append(tx, channels.ANNOUNCEMENTS, "announcement", made, now=now, subject=made.id)
    return made


def list_current(
    tx: Connection, *, limit: int = pagination.DEFAULT_LIMIT, after: str | None = None, now: int
) -> pagination.Page[Announcement]:
    """The next `limit` announcements that have not expired, newest first; `after` is the `next` of the page before.

    Raises InvalidField for an `after` that is none.
    """
    asked = {"below": pagination.id_from_token(after), "now": now, "most": limit + 1}
    rows = tx.execute(_PAGE, asked).mappings().all()
    return pagination.page(rows, limit=limit, show=lambda row: _show(**row), key=lambda row: str(row["id"]))


def _show(*, created_at: int, expires_at: int | None, **same: Any) -> Announcement:
    return Announcement(created_at=to_rfc3339(created_at), expires_at=to_rfc3339_or_none(expires_at), **same)
