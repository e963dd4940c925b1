"""JSON objects of presence."""

from typing import Literal

from services.schemas import Schema

PresenceStatus = Literal["online", "idle", "offline"]


class Presence(Schema, frozen=True):
    """The presence of a user, and when the user was last seen."""

    user_id: str
    status: PresenceStatus
    last_seen_at: str | None


class PresenceList(Schema, frozen=True):
    """The presence of the requested users that are visible to the caller."""

    items: list[Presence]
