"""SSE over HTTP: one open stream as an EventSourceResponse of sse-starlette; imported nowhere else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Final

import msgspec
from sse_starlette.sse import AppStatus, EventSourceResponse
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.addresses import group
from api.bodies import Query
from api.call import Call
from api.hub import Hub
from api.sink import PortableSink
from api.takeover import Line
from realtime import event
from realtime.cursor import Cursor
from realtime.event import Bye
from realtime.manager import RealtimeManager
from realtime.ports import Sink
from realtime.session import Session
from realtime.verdict import Verdict
from services import channels, times
from services.errors import Forbidden
from services.inbox_events import Counts

HEADERS = {"cache-control": "no-store, no-transform", "x-accel-buffering": "no"}
# Where the scope holds what writes the rest of a portable stream, once all layers have returned.
BODY: Final = "hub.body"
# A user whose counts change faster than they can be read gets the last ones; the next event corrects them.
COUNT_TRIES = 3


class Connect(Query, frozen=True):
    """The query string of a stream."""

    user_id: str | None = None
    channels: str | None = None
    ticket: str | None = None
    last_event_id: str | None = None


class Stream(EventSourceResponse):
    """One stream from its first byte to its last; the session is closed however it ends."""

    def __init__(
        self,
        manager: RealtimeManager,
        user_id: str,
        address: str,
        *,
        line: Line | None,
        still: Callable[[], bool],
        begin: Callable[[Sink], Session],
    ) -> None:
        """`line` is the connection, if it can be taken; `still` whether its caller may still be answered."""
        self._manager, self._user_id, self._address = manager, user_id, address
        self._line, self._still, self._begin = line, still, begin
        super().__init__(_nothing(), headers=HEADERS, ping=0, sep="\n")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admit, open the session, stream until either side ends it, close the session."""
        if scope["method"] == "HEAD":
            await super().__call__(scope, receive, send)
        elif self._line is not None:
            await self._take_over(self._line, send)
        elif reason := self._refusal():
            await _farewell(self._manager.farewell(reason))(scope, receive, send)
        else:
            await self._begin_body(scope, send)

    async def _take_over(self, line: Line, send: Send) -> None:
        """Headers by the server; all that follows by the hub, and this request is over."""
        headers = [header for header in self.raw_headers if header[0] != b"connection"]
        headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        sink = line.take()
        if sink is None:
            return
        # No await from here on: whoever is let in is counted before the next one asks.
        try:
            if reason := self._refusal():
                sink.end(self._manager.farewell(reason))
            else:
                sink.carry(self._begin(sink))
        except Exception:
            # Nobody else would ever close it.
            sink.abort()
            raise

    async def _begin_body(self, scope: Scope, send: Send) -> None:
        """The portable way, on any ASGI server: the headers here, the body when all layers have returned."""
        sink = PortableSink(asyncio.get_running_loop(), scope.get("hub.transport"), asyncio.current_task())
        session = self._begin(sink)
        close = partial(self._manager.close, session)
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        except BaseException:
            close()
            raise
        scope[BODY] = partial(_write_body, sink, close)

    def _refusal(self) -> Bye | None:
        """Why there is no stream; None counts as one that is opened."""
        if not self._still():
            # What the caller rests on ended since they were identified: coming back, they are judged anew.
            return "rotate"
        return self._manager.admit(self._user_id, self._address)


async def connect(call: Call[None, Connect]) -> Response:
    """Open a stream of Server-Sent Events (WHATWG HTML, 9.2)."""
    user, manager, address = call.user, call.hub.manager, group(call.request.scope["hub.address"])
    if call.query.user_id not in (None, user.id):
        raise Forbidden("A stream can only be opened for yourself.")
    asked = None if call.query.channels is None else call.query.channels.split(",")
    heard, own = channels.readable(user.id, user.role, asked), channels.of_user(user.id)
    cursor, malformed = _cursor(call)
    if cursor is not None and own in heard:
        call.hub.deliveries.report(user.id, cursor, manager.head)
    verdict = await manager.judge(cursor, malformed, heard, own)
    counts = await _counts(call.hub, user.id, own)
    line = call.hub.takeover.line(call.request.scope)

    def begin(sink: Sink) -> Session:
        return manager.open(
            sink,
            user_id=user.id,
            channels=heard,
            own_channel=own,
            verdict=verdict,
            login=call.caller.ends_with,
            address=address,
            confirm=lambda session, at: _confirmation(call.hub, session, at, verdict, counts),
        )

    def still() -> bool:
        return call.hub.identities.still(call.request, call.caller)

    return Stream(manager, user.id, address, line=line, still=still, begin=begin)


async def _counts(hub: Hub, user_id: str, own: str) -> Counts:
    """What is unread and unseen, not older than what the stream will show: read again if something came meanwhile."""
    for _ in range(COUNT_TRIES):
        before = hub.manager.newest(own)
        counts = await hub.counts.get(user_id) or Counts(0, 0)
        if hub.manager.newest(own) == before:
            break
    return counts


def take_over_shutdown() -> None:
    """Tell sse-starlette that the hub ends its streams itself, with a farewell."""
    AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]  # theirs


def _cursor(call: Call[None, Connect]) -> tuple[Cursor | None, bool]:
    """Where the client stands, and whether it said something that cannot be read; the header wins."""
    text = call.request.headers.get("last-event-id") or call.query.last_event_id
    if not text:
        return None, False
    try:
        return Cursor.parse(text), False
    except ValueError:
        return None, True


def _confirmation(hub: Hub, session: Session, at: Cursor | None, verdict: Verdict, counts: Counts) -> bytes:
    manager = hub.manager
    stands = at or Cursor(manager.options.epoch, manager.head)
    data = {
        "sessionId": manager.id_of(session),
        "userId": session.user_id,
        "channels": session.channels,
        "cursor": str(stands),
        "recovered": verdict.recovered,
        "heartbeatSeconds": manager.options.heartbeat_seconds,
        "serverTime": times.render(hub.clock()),
        "unread": counts.unread,
        "unseen": counts.unseen,
    }
    id = None if at is None else str(at)
    return event.confirmed(msgspec.json.encode(data), manager.broken_retry(), id)


def _farewell(frame: bytes) -> Response:
    """200, `retry:`, `bye` and a close: EventSource would never come back after any other answer."""
    return Response(frame, headers=HEADERS | {"connection": "close"}, media_type="text/event-stream")


async def _write_body(sink: PortableSink, close: Callable[[], None], receive: Receive, send: Send) -> None:
    """This task writes, one more waits for the client to go."""
    listening = asyncio.get_running_loop().create_task(_until_gone(receive, sink))
    try:
        await sink.pour(send)
    except OSError:
        # ASGI's way to say that the client has gone.
        pass
    except asyncio.CancelledError:
        if not sink.aborted:
            raise
    finally:
        listening.cancel()
        close()


async def _until_gone(receive: Receive, sink: PortableSink) -> None:
    """Wait until the client has gone, or has its whole answer."""
    while (await receive())["type"] != "http.disconnect":
        pass
    sink.give_up()


async def _nothing() -> AsyncIterator[bytes]:
    """The body before it is known who writes it."""
    return
    yield b""
