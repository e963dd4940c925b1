"""JSON objects of presence."""

from typing import Literal

from services.schemas import Schema

PresenceStatus = Literal["online", "idle", "offline"]


class Presence(Schema, frozen=True):
    """Whether somebody is there, and when they last were."""

    user_id: str
    status: PresenceStatus
    last_seen_at: str | None


class PresenceList(Schema, frozen=True):
    """Those that were asked about and may be seen."""

    items: list[Presence]
