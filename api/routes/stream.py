"""`GET /api/realtime/connect`: opens a stream."""

from typing import Final

import msgspec
from starlette.types import ASGIApp

from api.http.bodies import Query
from api.http.client_address import rate_limit_group
from api.hub import Hub
from api.operations.call import Call
from api.streams.responses import AsgiStreamResponse, DirectStreamResponse, StreamOpening, bye_response
from realtime import event
from realtime.cursor import Cursor
from realtime.ports import Sink
from realtime.resume import ResumeDecision
from realtime.stream import Stream
from services import times
from services.errors import Forbidden, Overloaded, StorageUnavailable
from services.event_log import channels
from services.notifications.events import Counts
from services.schemas import Schema

# If the counts change during each read, the stream gets the last ones, and the next event corrects them.
_MAX_COUNT_READS: Final = 3

_encoder = msgspec.json.Encoder()


class Connect(Query, frozen=True):
    """The query string of a stream."""

    user_id: str | None = None
    channels: str | None = None
    ticket: str | None = None
    last_event_id: str | None = None


class Confirmation(Schema, frozen=True):
    """The data of the first frame of a stream."""

    session_id: str
    user_id: str
    channels: tuple[str, ...]
    cursor: str
    recovered: bool
    heartbeat_seconds: float
    server_time: str
    unread: int
    unseen: int


async def connect(call: Call[None, Connect]) -> ASGIApp:
    """Open a stream of Server-Sent Events (WHATWG HTML, 9.2)."""
    hub, user, scope = call.hub, call.user, call.request.scope
    if call.query.user_id not in (None, user.id):
        raise Forbidden("A stream can only be opened for yourself.")
    requested = None if call.query.channels is None else call.query.channels.split(",")
    resolved, own = channels.resolve_channels(user.id, user.role, requested), channels.user_channel(user.id)
    cursor, malformed = _parse_cursor(call)
    if cursor is not None and own in resolved:
        hub.acknowledgements.acknowledge(user.id, cursor, hub.manager.head)
    try:
        decision = await hub.manager.decide_resume(cursor, malformed, resolved, own)
        counts = await _load_counts(hub, user.id, own)
    except (Overloaded, StorageUnavailable):
        return bye_response(hub.manager, "overloaded")
    address = rate_limit_group(scope["hub.address"])

    def open_stream(sink: Sink) -> Stream:
        return hub.manager.open_stream(
            sink,
            user_id=user.id,
            channels=resolved,
            own_channel=own,
            decision=decision,
            session_id=call.caller.session_key,
            address=address,
            confirm=lambda stream, cursor: _confirmation_frame(hub, stream, cursor, decision, counts),
        )

    def is_still_valid() -> bool:
        return hub.authenticator.is_still_valid(call.request, call.caller)

    opening = StreamOpening(hub.manager, user.id, address, is_still_valid=is_still_valid, open=open_stream)
    connection = hub.takeover.connection_of(scope)
    return (
        AsgiStreamResponse(opening)
        if connection is None or scope["method"] == "HEAD"
        else DirectStreamResponse(opening, connection)
    )


async def _load_counts(hub: Hub, user_id: str, own: str) -> Counts:
    """Return the unread and unseen counts, read again if an event was published during the read.

    The counts are at least as new as the position at which the stream starts.
    """
    for _ in range(_MAX_COUNT_READS):
        before = hub.manager.last_position(own)
        counts = await hub.inbox_counts.load(user_id) or Counts(0, 0)
        if hub.manager.last_position(own) == before:
            break
    return counts


def _parse_cursor(call: Call[None, Connect]) -> tuple[Cursor | None, bool]:
    """Return the cursor of the client, if any, and whether it was malformed. The header precedes the query."""
    text = call.request.headers.get("last-event-id") or call.query.last_event_id
    if not text:
        return None, False
    try:
        return Cursor.parse(text), False
    except ValueError:
        return None, True


def _confirmation_frame(
    hub: Hub, stream: Stream, cursor: Cursor | None, decision: ResumeDecision, counts: Counts
) -> bytes:
    manager = hub.manager
    cursor_text = str(cursor or Cursor(manager.options.epoch, manager.head))
    confirmation = Confirmation(
        session_id=manager.stream_id(stream),
        user_id=stream.user_id,
        channels=stream.channels,
        cursor=cursor_text,
        recovered=decision.recovered,
        heartbeat_seconds=manager.options.heartbeat_seconds,
        server_time=times.to_rfc3339(hub.clock()),
        unread=counts.unread,
        unseen=counts.unseen,
    )
    return event.confirmation_frame(
        _encoder.encode(confirmation), manager.reconnect_delay_ms(), None if cursor is None else cursor_text
    )
