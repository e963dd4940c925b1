"""Takeover: a stream's connection is taken from uvicorn, and the hub writes to it by itself, from the head on."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from api.http.protocol import BoundedProtocol
from api.streams.uvicorn_internals import missing_names
from realtime.stream import Stream

Header = tuple[bytes, bytes]

# RFC 9112, 7.1: what ends a chunked body.
LAST_CHUNK: Final = b"0\r\n\r\n"


class ChunkEncoder:
    """Chunks of HTTP/1.1 (RFC 9112, 7.1), made once for all who are given the same bytes one after the other."""

    __slots__ = ("chunk", "encoded")

    def __init__(self) -> None:
        # The last chunk, held so that no other bytes can have the same identity meanwhile; and what became of it.
        self.chunk = self.encoded = b""

    def encode(self, chunk: bytes) -> bytes:
        """The chunk with its frame; there are no empty ones, for such a one would be the last."""
        if chunk is not self.chunk:
            self.encoded = b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunk else b""
            self.chunk = chunk
        return self.encoded


class DirectSink(asyncio.Protocol):
    """A realtime.ports.Sink that is the connection's protocol itself: no task, no queue, one system call a chunk."""

    __slots__ = ("_drained", "_framing", "_open", "_session", "_takeover", "_transport", "is_drained")

    def __init__(self, takeover: "Takeover", framing: ChunkEncoder | None) -> None:
        """Without `framing` the body is as it is, and ends with the connection (HTTP/1.0)."""
        self._takeover = takeover
        self._framing = framing
        self._transport: asyncio.Transport | None = None
        self._open = True
        # Whether the kernel has taken everything, as the transport last told us.
        self.is_drained = True
        self._session: Stream | None = None
        self._drained: Callable[[], None] | None = None

    def attach(self, session: Stream) -> None:
        """The session that is closed when the connection is lost."""
        self._session = session

    # Sink

    def write(self, chunk: bytes) -> None:
        """Hand over to the kernel, or to the transport what the kernel does not take."""
        if self._open:
            framing = self._framing
            if framing is not None:
                # Looked at here, too: a call for each event and stream is a tenth of what it costs.
                chunk = framing.encoded if chunk is framing.chunk else framing.encode(chunk)
            self._transport.write(chunk)  # type: ignore[union-attr]  # open

    def buffered_bytes(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def end(self, last: bytes = b"") -> None:
        """Write `last` and the end of the body, in one; then close."""
        if self._open and self._transport is not None:
            self._open = False
            self._transport.write(last if self._framing is None else self._framing.encode(last) + LAST_CHUNK)
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection."""
        self._open = False
        if self._transport is not None:
            self._transport.abort()

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when everything has been taken."""
        self._drained = callback
        if self.is_drained:
            self._takeover.loop.call_soon(self.resume_writing)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From now on this is the connection's protocol; called by `take`, not by the loop."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio's subclasses
        # So that they are told of the first byte that waits, and of the last that was taken.
        self._transport.set_write_buffer_limits(high=0)  # type: ignore[union-attr]  # as above
        self.is_drained = not self.buffered_bytes()

    def pause_writing(self) -> None:
        """The kernel does not take everything."""
        self.is_drained = False

    def resume_writing(self) -> None:
        """Everything has been taken."""
        self.is_drained = not self.buffered_bytes()
        if self._drained is not None and self.is_drained:
            drained, self._drained = self._drained, None
            drained()

    @staticmethod
    def data_received(data: bytes) -> None:  # static: uvloop would keep a bound method, 64 bytes for each stream
        """Nothing more is wanted from this client: the answer says `connection: close`."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, or has everything; nothing must keep the rest of us alive."""
        session, self._session = self._session, None
        self._open, self._transport, self._drained, self.is_drained = False, None, None, True
        self._takeover.connection_lost(session)


class TakeoverConnection:
    """One connection that can be taken."""

    __slots__ = ("_cycle", "_protocol", "_takeover")

    def __init__(self, takeover: "Takeover", protocol: BoundedProtocol, cycle: RequestResponseCycle) -> None:
        self._takeover, self._protocol, self._cycle = takeover, protocol, cycle

    def take(self, headers: Sequence[Header]) -> DirectSink | None:
        """Take the connection and write the head of a good answer; None when the client has gone."""
        cycle, protocol = self._cycle, self._protocol
        gone = cycle.disconnected or cycle.transport.is_closing()
        # For uvicorn this request is over.
        cycle.disconnected = True
        if gone:
            return None
        # Chunks came with 1.1.
        framed = cycle.scope["http_version"] == "1.1"
        cycle.transport.write(_head([*cycle.default_headers, *headers], framed=framed))
        return self._takeover.take(protocol, framed=framed)


class Takeover:
    """Which streams can be taken, and how many have been: uvicorn does not know of them any more."""

    def __init__(self, path: str, close: Callable[[Stream], None]) -> None:
        """`close` is called for a session whose connection is lost.

        Raises LookupError for `direct` when this uvicorn is not the one we know; `auto` then says so in the log.
        """
        self.streams = 0
        self.loop: asyncio.AbstractEventLoop
        self._close = close
        self.encoder = ChunkEncoder()
        missing = [] if path == "asgi" else missing_names()
        if missing and path == "direct":
            raise LookupError(f"uvicorn has no {', '.join(missing)}")
        if missing:
            structlog.get_logger("takeover").warning("portable streams", why="uvicorn has changed", missing=missing)
        self._wanted = path != "asgi" and not missing
        self._nobody: asyncio.Event | None = None

    def connection_of(self, scope: Scope) -> TakeoverConnection | None:
        """The connection of this request, if it is one that can be taken."""
        transport = scope.get("hub.transport")
        if not self._wanted or transport is None:
            return None
        protocol = transport.get_protocol()
        if not isinstance(protocol, BoundedProtocol):
            return None
        cycle = protocol.current_cycle
        if type(cycle) is not RequestResponseCycle or cycle.scope is not scope:
            return None
        return TakeoverConnection(self, protocol, cycle)

    def take(self, protocol: BoundedProtocol, *, framed: bool) -> DirectSink:
        """Make a sink that is the connection's protocol from now on."""
        self.loop = protocol.loop
        sink = DirectSink(self, self.encoder if framed else None)
        sink.connection_made(protocol.hand_over(sink))
        self.streams += 1
        return sink

    def connection_lost(self, session: Stream | None) -> None:
        """A connection is lost."""
        self.streams -= 1
        if session is not None:
            self._close(session)
        if self._nobody is not None and not self.streams:
            self._nobody.set()

    async def wait_closed(self, seconds: float) -> None:
        """Wait until the last connection is gone, so many seconds at most."""
        if self.streams:
            self._nobody = asyncio.Event()
            try:
                await asyncio.wait_for(self._nobody.wait(), seconds)
            except TimeoutError:
                structlog.get_logger("takeover").warning("streams left", streams=self.streams)


def _head(headers: Sequence[Header], *, framed: bool) -> bytes:
    """A good answer's status line and headers (RFC 9112, 4 and 5), the length of whose body nobody knows."""
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    return b"HTTP/1.1 200 OK\r\n%b%b\r\n" % (lines, b"transfer-encoding: chunked\r\n" if framed else b"")
