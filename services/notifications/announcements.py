"""Announcements to everybody, kept while they are in force."""

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

_INSERT = insert(announcements)
_PAGE = (
    select(announcements)
    .where(_a.id < bindparam("id"), or_(_a.expires_at.is_(None), _a.expires_at > bindparam("now")))
    .order_by(_a.id.desc())
    .limit(bindparam("limit"))
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
    """Create an announcement and publish it on `announcements`.

    `expires_at` and `now` are milliseconds since 1970. Raises InvalidField for invalid texts, links and past expiries.
    """
    text.check_line(title, "/title", 200)
    text.check_multiline(body, "/body", 2_000)
    if url is not None:
        text.check_link(url, "/url")
    if expires_at is not None and expires_at <= now:
        raise InvalidField("/expiresAt", "range", "The expiry time must be in the future.")
    row: dict[str, Any] = {
        "id": new_id(),
        "title": title,
        "body": body,
        "url": url,
        "priority": priority,
        "created_at": now,
        "expires_at": expires_at,
    }
    tx.execute(_INSERT, row)
    announcement = _to_schema(**row)
    outbox.append(tx, channels.ANNOUNCEMENTS, "announcement", announcement, now=now, subject=announcement.id)
    return announcement


def list_current(
    tx: Connection, *, limit: int = pagination.DEFAULT_LIMIT, after: str | None = None, now: int
) -> pagination.Page[Announcement]:
    """Return the next `limit` announcements that have not expired, newest first.

    `after` is the `next` token of the previous page. Raises InvalidField for an invalid token.
    """
    parameters = {"id": pagination.id_from_token(after), "now": now, "limit": limit + 1}
    rows = tx.execute(_PAGE, parameters).mappings().all()
    return pagination.make_page(
        rows, limit=limit, to_item=lambda row: _to_schema(**row), key=lambda row: str(row["id"])
    )


def _to_schema(*, created_at: int, expires_at: int | None, **unchanged: Any) -> Announcement:
    return Announcement(created_at=to_rfc3339(created_at), expires_at=to_rfc3339_or_none(expires_at), **unchanged)
