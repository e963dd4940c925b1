"""Announcements."""

from api.http.bodies import Body, Line200, PageQuery, Text2000, Url
from api.operations.call import Call
from services import times
from services.notifications import announcements
from services.notifications.schemas import Announcement, Priority
from services.pagination import Page


class NewAnnouncement(Body, frozen=True):
    """An announcement to everybody, in force until `expiresAt`."""

    title: Line200
    body: Text2000
    url: Url | None = None
    priority: Priority = "normal"
    expires_at: str | None = None


async def create(call: Call[NewAnnouncement, None]) -> Announcement | bytes:
    """Publish an announcement to all users."""
    body = call.body
    return await call.write_idempotent(
        announcements.create,
        title=body.title,
        body=body.body,
        url=body.url,
        priority=body.priority,
        expires_at=None if body.expires_at is None else times.parse_rfc3339(body.expires_at, "/expiresAt"),
    )


async def list_announcements(call: Call[None, PageQuery]) -> Page[Announcement]:
    """List the announcements in force, newest first."""
    return await call.read(announcements.list_current, limit=call.query.limit, after=call.query.after, now=call.now)
