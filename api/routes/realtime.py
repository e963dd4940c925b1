"""Stream status, stream tickets and broadcasts."""

from typing import Any, Final, Literal

from msgspec import UNSET, UnsetType

from api.http.bodies import Body, Id, Line200
from api.operations.call import Call
from api.operations.policy import ADMIN
from api.version import VERSION
from services import times
from services.accounts import users
from services.accounts.schemas import Ticket
from services.accounts.tokens import TICKET_SECONDS
from services.errors import Forbidden, InvalidField
from services.event_log import channels
from services.notifications import broadcasts
from services.notifications.broadcasts import BroadcastAccepted
from services.schemas import Schema

# A list of all streams of a large hub would block the event loop for too long.
MAX_LISTED_STREAMS: Final = 1_000


class Status(Schema, frozen=True):
    """Counts of the hub; `channels` and `sessions` (the first thousand) are for admins and services only."""

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


class TicketRequest(Body, frozen=True):
    """The owner of the stream. A user may omit it; a service names the user by hub id or external id."""

    user_id: Id | None = None
    external_id: Id | None = None


class Broadcast(Body, frozen=True):
    """An event; `channel` is `jobs`, `announcements`, `role:…` or `user:{id}` (hub id or external id)."""

    type: Line200
    data: dict[str, Any]
    channel: Line200 = channels.JOBS


async def get_status(call: Call[None, None]) -> Status:
    """Count open streams, online users and delivered events."""
    manager = call.hub.manager
    channel_counts, streams = _list_streams(call) if _may_see_streams(call) else (UNSET, UNSET)
    return Status(
        status="ok",
        connections=manager.connections,
        users_online=manager.users_online,
        queued=manager.queued,
        delivered=manager.delivered,
        dropped=manager.dropped,
        uptime_seconds=manager.uptime_seconds,
        version=VERSION,
        channels=channel_counts,
        sessions=streams,
    )


async def issue_ticket(call: Call[TicketRequest | None, None]) -> Ticket:
    """Issue a ticket that opens one stream; single use, valid for 30 seconds."""
    owner_id = await _resolve_owner(call, call.body or TicketRequest())
    ticket = call.hub.authenticator.issue_ticket(owner_id, call.caller)
    return Ticket(ticket=ticket, expires_in=TICKET_SECONDS)


async def broadcast(call: Call[Broadcast, None]) -> BroadcastAccepted | bytes:
    """Publish an event to a channel; durable before the response."""
    body = call.body
    return await call.write_idempotent(
        broadcasts.send, caller=call.caller, type=body.type, data=body.data, channel=body.channel
    )


def _may_see_streams(call: Call[None, None]) -> bool:
    user = call.caller.user
    return call.caller.kind == "service" or (user is not None and user.role in ADMIN.roles)


def _list_streams(call: Call[None, None]) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Return the number of streams per channel, and the first streams as JSON objects."""
    manager = call.hub.manager
    snapshot = manager.snapshot()
    streams = [
        {
            "id": manager.stream_id(stream),
            "userId": stream.user_id,
            "channels": list(stream.channels),
            "openedAt": times.to_rfc3339(manager.opened_at(stream)),
        }
        for stream in snapshot.streams[:MAX_LISTED_STREAMS]
    ]
    return snapshot.channels, streams


async def _resolve_owner(call: Call[TicketRequest | None, None], request: TicketRequest) -> str:
    """Return the id of the user whose stream the ticket opens. Raises Forbidden, InvalidField."""
    if call.caller.user is not None:
        if request.external_id is not None or request.user_id not in (None, call.caller.user.id):
            raise Forbidden("You can only open a stream for yourself.")
        return call.caller.user.id
    if (request.user_id is None) == (request.external_id is None):
        raise InvalidField("/userId", "type", "Name the user, by userId or by externalId.")
    pointer = "/externalId" if request.user_id is None else "/userId"
    ref = users.UserRef(pointer, request.user_id, request.external_id)
    return (await call.read(users.resolve_refs, refs=[ref]))[0]
