"""Broadcasts over HTTP: services and admins tell a channel what they like."""

from typing import Any

from api.http.bodies import Body, Line200
from api.operations.call import Call
from services.event_log import channels
from services.notifications import broadcasts
from services.notifications.broadcasts import BroadcastAccepted


class Broadcast(Body, frozen=True):
    """An event; `channel` is `jobs`, `announcements`, `role:…` or `user:{id}`, where an external id will do."""

    type: Line200
    data: dict[str, Any]
    channel: Line200 = channels.JOBS


async def send(call: Call[Broadcast, None]) -> BroadcastAccepted | bytes:
    """Tell a channel; on disk when this is answered."""
    body = call.body
    return await call.write_idempotent(
        broadcasts.send, caller=call.caller, type=body.type, data=body.data, channel=body.channel
    )
