"""The two SSE responses: direct, and via sse-starlette."""

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
# The headers of an EventSourceResponse, and `connection: close`: a direct connection serves no second request.
_DIRECT_HEADERS: Final[Sequence[Header]] = (
    *((name.encode(), value.encode()) for name, value in HEADERS.items()),
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"connection", b"close"),
)
# The scope key of the function that writes the body of an AsgiStreamResponse after all middleware has returned.
BODY_KEY: Final = "hub.body"


class StreamOpening:
    """A requested stream: whether it may open now, and the function that opens it."""

    __slots__ = ("_address", "_is_still_valid", "_user_id", "manager", "open")

    def __init__(
        self,
        manager: RealtimeManager,
        user_id: str,
        address: str,
        *,
        is_still_valid: Callable[[], bool],
        open: Callable[[Sink], Stream],
    ) -> None:
        """`is_still_valid` tells whether the caller's authentication still holds.

        Do not await between `rejection` and `open`.
        """
        self.manager, self._user_id, self._address = manager, user_id, address
        self._is_still_valid, self.open = is_still_valid, open

    def rejection(self) -> ByeReason | None:
        """Return why the stream is rejected, or None. None counts as one connect."""
        if not self._is_still_valid():
            # The session or key was revoked after authentication. The client reconnects and is authenticated again.
            return "rotate"
        return self.manager.admit(self._user_id, self._address)


class DirectStreamResponse:
    """ASGI response for a connection that the hub takes over. The request ends when the head is written."""

    __slots__ = ("_connection", "_opening")

    def __init__(self, opening: StreamOpening, connection: TakeoverConnection) -> None:
        self._opening, self._connection = opening, connection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let each middleware add its headers; the outermost calls `_take` with them and sends nothing."""
        await send(
            {"type": "http.response.start", "status": 200, "headers": [*_DIRECT_HEADERS], HEAD_WRITER: self._take}
        )

    def _take(self, headers: Sequence[Header]) -> None:
        opening, sink = self._opening, self._connection.take(headers)
        if sink is None:
            return
        # No await from here on: an admitted stream must be counted before the next one is admitted.
        try:
            if reason := opening.rejection():
                opening.manager.reject(sink, reason)
            else:
                sink.attach(opening.open(sink))
        except Exception:
            # No other code would close the connection.
            sink.abort()
            raise


class AsgiStreamResponse(EventSourceResponse):
    """A stream on any ASGI server. The stream is closed in the manager however the response ends."""

    def __init__(self, opening: StreamOpening) -> None:
        self._opening = opening
        super().__init__(_empty_body(), headers=HEADERS, ping=0, sep="\n")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reject the stream with a bye frame, or open it, send the headers and leave the body in the scope."""
        if scope["method"] == "HEAD":
            await super().__call__(scope, receive, send)
        elif reason := self._opening.rejection():
            await bye_response(self._opening.manager, reason)(scope, receive, send)
        else:
            await self._send_headers(scope, send)

    async def _send_headers(self, scope: Scope, send: Send) -> None:
        """Open the stream and send the headers. The body is written after all middleware has returned."""
        sink = AsgiSink(asyncio.get_running_loop(), scope.get("hub.transport"), asyncio.current_task())
        stream = self._opening.open(sink)
        close = partial(self._opening.manager.stream_closed, stream)
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        except BaseException:
            close()
            raise
        scope[BODY_KEY] = partial(_write_body, sink, close)


def bye_response(manager: RealtimeManager, reason: ByeReason) -> Response:
    """Return a response of status 200 with one bye frame. After any other status EventSource never reconnects."""
    frame = manager.bye_frame(reason)
    return Response(frame, headers=HEADERS | {"connection": "close"}, media_type="text/event-stream")


def disable_sse_starlette_shutdown() -> None:
    """Disable the shutdown of sse-starlette: the hub ends its streams itself, with a bye frame."""
    AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]  # not annotated by sse-starlette


async def _write_body(sink: AsgiSink, close: Callable[[], None], receive: Receive, send: Send) -> None:
    """Write the body in this task; a second task waits for the client to disconnect."""
    disconnect = asyncio.get_running_loop().create_task(_wait_for_disconnect(receive, sink))
    try:
        await sink.drain_to(send)
    except OSError:
        # In ASGI, this means that the client has disconnected.
        pass
    except asyncio.CancelledError:
        if not sink.aborted:
            raise
    finally:
        disconnect.cancel()
        close()


async def _wait_for_disconnect(receive: Receive, sink: AsgiSink) -> None:
    """Wait until the client has disconnected or the response is complete."""
    while (await receive())["type"] != "http.disconnect":
        pass
    sink.client_gone()


async def _empty_body() -> AsyncIterator[bytes]:
    """A body without chunks; EventSourceResponse needs an iterator."""
    return
    yield b""
