"""One open stream as an answer over HTTP: on its own connection, or as an EventSourceResponse of sse-starlette."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Final

from sse_starlette.sse import AppStatus, EventSourceResponse
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.http.request_context import HEAD_WRITER
from api.streams.portable_sink import AsgiSink
from api.streams.takeover import Header, TakeoverConnection
from realtime.event import ByeReason
from realtime.manager import RealtimeManager
from realtime.ports import Sink
from realtime.stream import Stream

HEADERS = {"cache-control": "no-store, no-transform", "x-accel-buffering": "no"}
# With what an EventSourceResponse adds to them; a connection that was taken serves no second request.
_TAKEN_HEADERS: Final[Sequence[Header]] = (
    *((name.encode(), value.encode()) for name, value in HEADERS.items()),
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"connection", b"close"),
)
# Where the scope holds what writes the rest of a portable stream, once all layers have returned.
BODY_KEY: Final = "hub.body"


class StreamOpening:
    """A stream that somebody wants: whether they may have it now, and what opens it."""

    __slots__ = ("_address", "_still", "_user_id", "manager", "open")

    def __init__(
        self,
        manager: RealtimeManager,
        user_id: str,
        address: str,
        *,
        is_still_valid: Callable[[], bool],
        open: Callable[[Sink], Stream],
    ) -> None:
        """`still`: whether its caller may still be answered. Await nothing between `refusal` and `begin`."""
        self.manager, self._user_id, self._address = manager, user_id, address
        self._still, self.open = is_still_valid, open

    def rejection(self) -> ByeReason | None:
        """Why there is no stream; None counts as one that is opened."""
        if not self._still():
            # What the caller rests on ended since they were identified: coming back, they are judged anew.
            return "rotate"
        return self.manager.admit(self._user_id, self._address)


class DirectStreamResponse:
    """ASGI: a stream on a connection that the hub takes. With the head, in one write, this request is over."""

    __slots__ = ("_line", "_opening")

    def __init__(self, opening: StreamOpening, line: TakeoverConnection) -> None:
        self._opening, self._line = opening, line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """All layers add their headers on the way; the outermost gives them to `_take` and sends nothing."""
        await send(
            {"type": "http.response.start", "status": 200, "headers": [*_TAKEN_HEADERS], HEAD_WRITER: self._take}
        )

    def _take(self, headers: Sequence[Header]) -> None:
        opening, sink = self._opening, self._line.take(headers)
        if sink is None:
            return
        # No await from here on: whoever is let in is counted before the next one asks.
        try:
            if reason := opening.rejection():
                opening.manager.reject(sink, reason)
            else:
                sink.attach(opening.open(sink))
        except Exception:
            # Nobody else would ever close it.
            sink.abort()
            raise


class AsgiStreamResponse(EventSourceResponse):
    """A stream on any ASGI server, from its first byte to its last; the session is closed however it ends."""

    def __init__(self, opening: StreamOpening) -> None:
        self._opening = opening
        super().__init__(_nothing(), headers=HEADERS, ping=0, sep="\n")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admit, open the session, stream until either side ends it, close the session."""
        if scope["method"] == "HEAD":
            await super().__call__(scope, receive, send)
        elif reason := self._opening.rejection():
            await bye_response(self._opening.manager, reason)(scope, receive, send)
        else:
            await self._begin_body(scope, send)

    async def _begin_body(self, scope: Scope, send: Send) -> None:
        """The headers here, the body when all layers have returned."""
        sink = AsgiSink(asyncio.get_running_loop(), scope.get("hub.transport"), asyncio.current_task())
        session = self._opening.open(sink)
        close = partial(self._opening.manager.stream_closed, session)
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        except BaseException:
            close()
            raise
        scope[BODY_KEY] = partial(_write_body, sink, close)


def bye_response(manager: RealtimeManager, reason: ByeReason) -> Response:
    """200, `retry:`, `bye` and a close: EventSource would never come back after any other answer."""
    said = manager.bye_frame(reason)
    return Response(said, headers=HEADERS | {"connection": "close"}, media_type="text/event-stream")


def disable_sse_starlette_shutdown() -> None:
    """Tell sse-starlette that the hub ends its streams itself, with a farewell."""
    AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]  # theirs


async def _write_body(sink: AsgiSink, close: Callable[[], None], receive: Receive, send: Send) -> None:
    """This task writes, one more waits for the client to go."""
    listening = asyncio.get_running_loop().create_task(_until_gone(receive, sink))
    try:
        await sink.drain_to(send)
    except OSError:
        # ASGI's way to say that the client has gone.
        pass
    except asyncio.CancelledError:
        if not sink.aborted:
            raise
    finally:
        listening.cancel()
        close()


async def _until_gone(receive: Receive, sink: AsgiSink) -> None:
    """Wait until the client has gone, or has its whole answer."""
    while (await receive())["type"] != "http.disconnect":
        pass
    sink.client_gone()


async def _nothing() -> AsyncIterator[bytes]:
    """The body before it is known who writes it."""
    return
    yield b""
