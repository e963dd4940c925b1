"""JSON objects of presence."""

from typing import Literal

from services.schemas import Shape

Status = Literal["online", "idle", "offline"]


class Presence(Shape, frozen=True):
    """Whether somebody is there, and when they last were."""

    user_id: str
    status: Status
    last_seen_at: str | None


class Presences(Shape, frozen=True):
    """Those that were asked about and may be seen."""

    items: list[Presence]
