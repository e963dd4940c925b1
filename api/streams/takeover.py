"""Sink that writes to the connection directly, taken over from uvicorn."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from api.http.protocol import BoundedProtocol
from api.streams.uvicorn_internals import find_missing_names
from realtime.stream import Stream

Header = tuple[bytes, bytes]

# The end of a chunked body (RFC 9112, 7.1).
LAST_CHUNK: Final = b"0\r\n\r\n"


class ChunkEncoder:
    """Encodes chunks in chunked transfer coding (RFC 9112, 7.1), once for all streams that write the same bytes."""

    __slots__ = ("chunk", "encoded")

    def __init__(self) -> None:
        # The last chunk and its encoding. The reference prevents that other bytes get the same identity.
        self.chunk = self.encoded = b""

    def encode(self, chunk: bytes) -> bytes:
        """Return the encoded chunk. Empty bytes are not encoded, because an empty chunk ends the body."""
        if chunk is not self.chunk:
            self.encoded = b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunk else b""
            self.chunk = chunk
        return self.encoded


class DirectSink(asyncio.Protocol):
    """A realtime.ports.Sink that is the protocol of its connection: no task, no queue, one system call per chunk."""

    __slots__ = ("_drain_callback", "_encoder", "_open", "_stream", "_takeover", "_transport", "is_drained")

    def __init__(self, takeover: "Takeover", encoder: ChunkEncoder | None) -> None:
        """Without an `encoder` the body is not chunked and ends with the connection (HTTP/1.0)."""
        self._takeover = takeover
        self._encoder = encoder
        self._transport: asyncio.Transport | None = None
        self._open = True
        # Whether the kernel has accepted all bytes, as last reported by the transport.
        self.is_drained = True
        self._stream: Stream | None = None
        self._drain_callback: Callable[[], None] | None = None

    def attach(self, stream: Stream) -> None:
        """Set the stream that is closed when the connection is lost."""
        self._stream = stream

    # Sink

    def write(self, chunk: bytes) -> None:
        """Write to the kernel; the transport buffers what the kernel does not accept."""
        if self._open:
            encoder = self._encoder
            if encoder is not None:
                # The cache is checked inline: a function call per event and stream is a tenth of the cost.
                chunk = encoder.encoded if chunk is encoder.chunk else encoder.encode(chunk)
            self._transport.write(chunk)  # type: ignore[union-attr]  # not None while open

    def buffered_bytes(self) -> int:
        """Return the number of bytes that the kernel has not accepted yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def end(self, last: bytes = b"") -> None:
        """Write `last` and the end of the body in one call, then close."""
        if self._open and self._transport is not None:
            self._open = False
            self._transport.write(last if self._encoder is None else self._encoder.encode(last) + LAST_CHUNK)
            self._transport.close()

    def abort(self) -> None:
        """Close the connection immediately and discard buffered bytes."""
        self._open = False
        if self._transport is not None:
            self._transport.abort()

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when all bytes have been accepted."""
        self._drain_callback = callback
        if self.is_drained:
            self._takeover.loop.call_soon(self.resume_writing)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Use this transport from now on; called by `Takeover.take`, not by the loop."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio's subclasses
        # With a limit of 0 the transport reports the first buffered byte and the last accepted one.
        self._transport.set_write_buffer_limits(high=0)  # type: ignore[union-attr]  # as above
        self.is_drained = not self.buffered_bytes()

    def pause_writing(self) -> None:
        """Record that the transport buffers bytes."""
        self.is_drained = False

    def resume_writing(self) -> None:
        """Record that all bytes were accepted, and call the drain callback."""
        self.is_drained = not self.buffered_bytes()
        if self._drain_callback is not None and self.is_drained:
            callback, self._drain_callback = self._drain_callback, None
            callback()

    @staticmethod
    def data_received(data: bytes) -> None:  # static: uvloop would keep a bound method, 64 bytes for each stream
        """Ignore all input: the response said `connection: close`."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the stream, and drop all references so that no reference cycle remains."""
        stream, self._stream = self._stream, None
        self._open, self._transport, self._drain_callback, self.is_drained = False, None, None, True
        self._takeover.connection_lost(stream)


class TakeoverConnection:
    """One connection that can be taken over."""

    __slots__ = ("_cycle", "_protocol", "_takeover")

    def __init__(self, takeover: "Takeover", protocol: BoundedProtocol, cycle: RequestResponseCycle) -> None:
        self._takeover, self._protocol, self._cycle = takeover, protocol, cycle

    def take(self, headers: Sequence[Header]) -> DirectSink | None:
        """Take over the connection and write the head of a 200 response; None if the client has disconnected."""
        cycle, protocol = self._cycle, self._protocol
        disconnected = cycle.disconnected or cycle.transport.is_closing()
        # For uvicorn, this request is complete.
        cycle.disconnected = True
        if disconnected:
            return None
        # Chunked transfer coding exists since HTTP/1.1.
        chunked = cycle.scope["http_version"] == "1.1"
        cycle.transport.write(_head([*cycle.default_headers, *headers], chunked=chunked))
        return self._takeover.take(protocol, chunked=chunked)


class Takeover:
    """Decides which connections can be taken over, and counts those that were: uvicorn no longer knows them."""

    def __init__(self, transport: str, on_connection_lost: Callable[[Stream], None]) -> None:
        """`transport` is `auto`, `direct` or `asgi`. `on_connection_lost` is called with the stream of the connection.

        If this uvicorn lacks a required name, `direct` raises LookupError and `auto` logs a warning.
        """
        self.streams = 0
        self.loop: asyncio.AbstractEventLoop
        self._on_connection_lost = on_connection_lost
        self.encoder = ChunkEncoder()
        missing = [] if transport == "asgi" else find_missing_names()
        if missing and transport == "direct":
            raise LookupError(f"uvicorn has no {', '.join(missing)}")
        if missing:
            structlog.get_logger("takeover").warning(
                "takeover_unavailable", reason="uvicorn has changed", missing=missing
            )
        self._enabled = transport != "asgi" and not missing
        self._all_closed: asyncio.Event | None = None

    def connection_of(self, scope: Scope) -> TakeoverConnection | None:
        """Return the connection of this request, or None if it cannot be taken over."""
        transport = scope.get("hub.transport")
        if not self._enabled or transport is None:
            return None
        protocol = transport.get_protocol()
        if not isinstance(protocol, BoundedProtocol):
            return None
        cycle = protocol.current_cycle
        if type(cycle) is not RequestResponseCycle or cycle.scope is not scope:
            return None
        return TakeoverConnection(self, protocol, cycle)

    def take(self, protocol: BoundedProtocol, *, chunked: bool) -> DirectSink:
        """Return a sink that replaces the protocol of the connection."""
        self.loop = protocol.loop
        sink = DirectSink(self, self.encoder if chunked else None)
        sink.connection_made(protocol.hand_over(sink))
        self.streams += 1
        return sink

    def connection_lost(self, stream: Stream | None) -> None:
        """Count a lost connection and close its stream, if it has one."""
        self.streams -= 1
        if stream is not None:
            self._on_connection_lost(stream)
        if self._all_closed is not None and not self.streams:
            self._all_closed.set()

    async def wait_closed(self, seconds: float) -> None:
        """Wait until all connections are closed, at most `seconds`."""
        if self.streams:
            self._all_closed = asyncio.Event()
            try:
                await asyncio.wait_for(self._all_closed.wait(), seconds)
            except TimeoutError:
                structlog.get_logger("takeover").warning("streams_still_open", streams=self.streams)


def _head(headers: Sequence[Header], *, chunked: bool) -> bytes:
    """Return the status line and headers of a 200 response (RFC 9112, 4 and 5) whose length is unknown."""
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    return b"HTTP/1.1 200 OK\r\n%b%b\r\n" % (lines, b"transfer-encoding: chunked\r\n" if chunked else b"")
