"""JSON objects of notifications."""

from typing import Any, Literal

from services.schemas import Schema

Category = Literal["job", "bid", "hire", "message", "comment", "payment", "system"]
Priority = Literal["low", "normal", "high", "urgent"]


class Notification(Schema, frozen=True):
    """One row of an inbox."""

    id: str
    type: str
    category: Category
    priority: Priority
    title: str
    body: str
    data: dict[str, Any]
    url: str | None
    icon: str | None
    actions: list[dict[str, Any]]
    collapse_key: str | None
    count: int
    created_at: str
    expires_at: str | None
    seen_at: str | None
    read_at: str | None
    archived_at: str | None


class Announcement(Schema, frozen=True):
    """An announcement to everybody."""

    id: str
    title: str
    body: str
    url: str | None
    priority: Priority
    created_at: str
    expires_at: str | None
