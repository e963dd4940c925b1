"""The HTTP/1.1 protocol of uvicorn with limits on head size and idle time."""

import asyncio
from typing import Any, Final

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from api.http.client_address import endpoints_of
from api.http.problems import BodyTooLarge, problem_response
from services.errors import DomainError, InvalidJson
from services.ids import new_id

# The request line and headers of a request; also the bytes between two chunks of a body (trailers).
MAX_HEAD_BYTES: Final = 64 * 1024
# For the head of a request, and again for each PROGRESS_BYTES of its body and of the response.
TIMEOUT_SECONDS: Final = 30.0
PROGRESS_BYTES: Final = 64 * 1024
# Requests of one connection that wait for the response to an earlier one (RFC 9112, 9.3.2).
MAX_PIPELINED: Final = 16


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    Heads that are too large and too many pipelined requests are rejected. The connection is aborted when the client
    stops in the middle of a request, or does not read the response.
    """

    timeout = TIMEOUT_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Bytes received since the last complete part of a request, and bytes of its body since the timer was set.
        self._unparsed_bytes = 0
        self._body_bytes = 0
        self._is_request_complete = True
        self._rejection: DomainError | None = None
        self._timer: asyncio.TimerHandle | None = None
        # Bytes of the response in the write buffer when the client was last checked.
        self._unread_bytes = 0
        self._reader_timer: asyncio.TimerHandle | None = None
        # The request whose response is being sent; uvicorn's `cycle` is the newest request.
        self.current_cycle: RequestResponseCycle | None = None
        # Input is ignored: the connection closes after the pending responses.
        self._ignores_input = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Start the timeout for the first request."""
        # As in uvicorn, except for the addresses: see `on_message_begin`.
        self.connections.add(self)
        self.transport = transport
        self.flow = FlowControl(transport)
        self.scheme = "http"
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers and tell the current request that the client has disconnected."""
        self._stop_timer()
        self._stop_reader_timer()
        current, self.current_cycle = self.current_cycle, None
        if current is not None and not current.response_complete:
            # uvicorn tells only the newest request.
            current.disconnected = True
            current.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the received bytes; reject invalid requests and large heads."""
        if self._ignores_input:
            return
        self._unparsed_bytes += len(data)
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self.send_400_response("")
        else:
            if self._unparsed_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._rejection = BodyTooLarge(MAX_HEAD_BYTES, "head of the request")
                self.send_400_response("")
        is_responding = self._ignores_input or (
            self._is_request_complete and self.cycle is not None and not self.cycle.response_complete
        )
        if not is_responding and self._timer is None and not self.transport.is_closing():
            self._start_timer()

    def on_message_begin(self) -> None:
        """Handle the first byte of a request."""
        self._is_request_complete = False
        if self.server is None:
            # Not in `connection_made`: the call blocks while the kernel still sets up a new connection.
            self.server, self.client = endpoints_of(self.transport)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Reject a head that is too large. It is measured only if enough bytes were received."""
        if self.parser.should_upgrade():
            # The request is parsed again without the upgrade: see `_parse`.
            return
        if self._unparsed_bytes > MAX_HEAD_BYTES:
            self._measure_head()
        self._unparsed_bytes = 0
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many requests at once")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Restart the timer as the body arrives, unless the response is complete."""
        self._unparsed_bytes = 0
        self._body_bytes += len(body)
        if self._body_bytes > PROGRESS_BYTES and not self.cycle.response_complete:
            self._start_timer()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Stop the timer: the hub must respond now."""
        if self.parser.should_upgrade():
            return
        self._unparsed_bytes = 0
        self._is_request_complete = True
        self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Start the timer for a client that has not read the whole response."""
        super().on_response_complete()
        self._start_reader_timer()

    def pause_writing(self) -> None:
        """Start the timer for a client that does not read fast enough."""
        super().pause_writing()
        self._start_reader_timer()

    def resume_writing(self) -> None:
        """Stop the timer; restart it for the rest of a complete response."""
        super().resume_writing()
        self._stop_reader_timer()
        if self.cycle is None or self.cycle.response_complete:
            self._start_reader_timer()

    def hand_over(self, new_protocol: asyncio.Protocol) -> asyncio.Transport:
        """Give the connection to another protocol, as uvicorn does for WebSockets, and return its transport."""
        self._stop_timer()
        self._stop_reader_timer()
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        self.pipeline.clear()
        # The new protocol must notice when the client disconnects.
        self.flow.resume_reading()
        transport = self.transport
        transport.set_protocol(new_protocol)
        # Without reference cycles the objects are freed at once, not by the garbage collector.
        self.current_cycle = None
        self.transport = self.flow = self.cycle = self.parser = None  # type: ignore[assignment]  # unused from here on
        return transport

    def send_400_response(self, msg: str) -> None:
        """Send a problem for input that cannot be parsed, and close the connection.

        While earlier, valid requests have no response yet, the problem would look like their response. They are
        answered first, and no problem is sent.
        """
        current = self.current_cycle
        if current is not None and not current.response_complete and not (current is self.cycle and current.more_body):
            self._close_after_pending_responses()
            return
        if current is None or current.response_complete or not current.response_started:
            error = self._rejection or InvalidJson("This is not a valid HTTP/1.1 request.")
            self.transport.write(_encode_problem(error))
        self.transport.close()

    def _close_after_pending_responses(self) -> None:
        """Close the connection after the response to the last valid request."""
        self._ignores_input = True
        self._stop_timer()
        # Unread bytes in the kernel would reset the connection at its end, and the response would be lost.
        self.flow.resume_reading()
        if self.cycle.more_body:
            self.pipeline.popleft()
        last = self.pipeline[0][0] if self.pipeline else self.current_cycle
        last.keep_alive = False  # type: ignore[union-attr]  # not None: the caller checked

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.current_cycle = cycle
        super()._start_asgi_task(cycle, app)

    def _parse(self, data: bytes) -> None:
        """Parse the bytes; ignore requests to upgrade the protocol (RFC 9110, 7.8).

        The parser treats everything after such a request as the other protocol. A new parser therefore gets the
        request again, without the upgrade.
        """
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                # As in uvicorn.
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _head_without_upgrade(self) -> bytes:
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            raise httptools.HttpParserError("CONNECT is not supported (RFC 9110, 9.3.6)")
        lines = [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        return b"".join((b"%b %b HTTP/%b\r\n" % (method, self.url, version), *lines, b"\r\n"))

    def _measure_head(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)
        if size > MAX_HEAD_BYTES:
            self._rejection = BodyTooLarge(MAX_HEAD_BYTES, "head of the request")
            raise ValueError("the head is too large")

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(self.timeout, self.transport.abort)

    def _stop_timer(self) -> None:
        self._body_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start_reader_timer(self) -> None:
        self._stop_reader_timer()
        self._unread_bytes = self.transport.get_write_buffer_size()
        if self._unread_bytes:
            self._reader_timer = self.loop.call_later(self.timeout, self._check_reader)

    def _check_reader(self) -> None:
        if self.transport.get_write_buffer_size() > max(0, self._unread_bytes - PROGRESS_BYTES):
            self.transport.abort()
        else:
            self._start_reader_timer()

    def _stop_reader_timer(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None


def _encode_problem(error: DomainError) -> bytes:
    """Return a whole response as bytes, because there is no request to respond to."""
    response = problem_response(error, new_id().replace("-", "")[-12:])
    headers = [*response.raw_headers, (b"connection", b"close"), (b"x-content-type-options", b"nosniff")]
    lines = [STATUS_LINE[response.status_code], *(name + b": " + value + b"\r\n" for name, value in headers)]
    return b"".join((*lines, b"\r\n", bytes(response.body)))
