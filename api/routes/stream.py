"""Opening a stream: who asks, what they may hear, where they stand, and the first frame that tells them so."""

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

# A user whose counts change faster than they can be read gets the last ones; the next event corrects them.
COUNT_TRIES = 3

_encoder = msgspec.json.Encoder()


class Connect(Query, frozen=True):
    """The query string of a stream."""

    user_id: str | None = None
    channels: str | None = None
    ticket: str | None = None
    last_event_id: str | None = None


class Confirmed(Schema, frozen=True):
    """What the first frame of a stream says."""

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
    asked = None if call.query.channels is None else call.query.channels.split(",")
    heard, own = channels.resolve_channels(user.id, user.role, asked), channels.user_channel(user.id)
    cursor, malformed = _cursor(call)
    if cursor is not None and own in heard:
        hub.acknowledgements.acknowledge(user.id, cursor, hub.manager.head)
    try:
        verdict = await hub.manager.decide_resume(cursor, malformed, heard, own)
        counts = await _counts(hub, user.id, own)
    except (Overloaded, StorageUnavailable):
        return bye_response(hub.manager, "overloaded")
    address = rate_limit_group(scope["hub.address"])

    def begin(sink: Sink) -> Stream:
        return hub.manager.open_stream(
            sink,
            user_id=user.id,
            channels=heard,
            own_channel=own,
            decision=verdict,
            session_id=call.caller.session_key,
            address=address,
            confirm=lambda session, at: _confirmation(hub, session, at, verdict, counts),
        )

    def still() -> bool:
        return hub.identities.is_still_valid(call.request, call.caller)

    opening = StreamOpening(hub.manager, user.id, address, is_still_valid=still, open=begin)
    line = hub.takeover.connection_of(scope)
    return (
        AsgiStreamResponse(opening)
        if line is None or scope["method"] == "HEAD"
        else DirectStreamResponse(opening, line)
    )


async def _counts(hub: Hub, user_id: str, own: str) -> Counts:
    """What is unread and unseen, not older than what the stream will show: read again if something came meanwhile."""
    for _ in range(COUNT_TRIES):
        before = hub.manager.last_position(own)
        counts = await hub.inbox_counts.load(user_id) or Counts(0, 0)
        if hub.manager.last_position(own) == before:
            break
    return counts


def _cursor(call: Call[None, Connect]) -> tuple[Cursor | None, bool]:
    """Where the client stands, and whether it said something that cannot be read; the header wins."""
    text = call.request.headers.get("last-event-id") or call.query.last_event_id
    if not text:
        return None, False
    try:
        return Cursor.parse(text), False
    except ValueError:
        return None, True


def _confirmation(hub: Hub, session: Stream, at: Cursor | None, verdict: ResumeDecision, counts: Counts) -> bytes:
    manager = hub.manager
    here = str(at or Cursor(manager.options.epoch, manager.head))
    confirmed = Confirmed(
        session_id=manager.stream_id(session),
        user_id=session.user_id,
        channels=session.channels,
        cursor=here,
        recovered=verdict.recovered,
        heartbeat_seconds=manager.options.heartbeat_seconds,
        server_time=times.to_rfc3339(hub.clock()),
        unread=counts.unread,
        unseen=counts.unseen,
    )
    return event.confirmation_frame(
        _encoder.encode(confirmed), manager.reconnect_delay_ms(), None if at is None else here
    )
