"""How the hub is doing."""

from typing import Any, Literal

from msgspec import UNSET, UnsetType

from api.operations.call import Call
from api.operations.policy import ADMIN, Policy
from api.version import VERSION
from services import times
from services.schemas import Schema

# Of ten thousand sessions the first thousand: a list of all takes longer than anybody else should wait.
SESSIONS_SHOWN = 1_000


class Status(Schema, frozen=True):
    """Counts anybody may see; `channels` and `sessions` (the first thousand) are for admins and services."""

    status: Literal["ok"]
    connections: int
    users_online: int
    queued: int
    delivered: int
    dropped: int
    uptime_seconds: int
    version: str
    channels: dict[str, int] | UnsetType = UNSET
    sessions: list[dict[str, Any]] | UnsetType = UNSET


async def status(call: Call[None, None]) -> Status:
    """How many streams are open, and what went through them."""
    manager = call.hub.manager
    channels, sessions = _inside(call) if _is_trusted(call, ADMIN) else (UNSET, UNSET)
    return Status(
        status="ok",
        connections=manager.connections,
        users_online=manager.users_online,
        queued=manager.queued,
        delivered=manager.delivered,
        dropped=manager.dropped,
        uptime_seconds=manager.uptime_seconds,
        version=VERSION,
        channels=channels,
        sessions=sessions,
    )


def _is_trusted(call: Call[None, None], admins: Policy) -> bool:
    user = call.caller.user
    return call.caller.kind == "service" or (user is not None and user.role in admins.roles)


def _inside(call: Call[None, None]) -> tuple[dict[str, int], list[dict[str, Any]]]:
    manager = call.hub.manager
    snapshot = manager.snapshot()
    sessions = [
        {
            "id": manager.stream_id(session),
            "userId": session.user_id,
            "channels": list(session.channels),
            "openedAt": times.to_rfc3339(manager.opened_at(session)),
        }
        for session in snapshot.streams[:SESSIONS_SHOWN]
    ]
    return snapshot.channels, sessions
