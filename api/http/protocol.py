"""HTTP/1.1 as uvicorn has it, with bounds that it has none of: the size of a head, requests ahead, and patience."""

import asyncio
from typing import Any, Final

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from api.http.client_address import endpoints_of
from api.http.problems import BodyTooLarge, problem_response
from services.errors import DomainError, InvalidJson
from services.ids import new_id

# The first line and the headers of a request; also what may come between two pieces of a body (trailers).
HEAD_BYTES: Final = 64 * 1024
# For a request's head, and again for each so many bytes of its body, and of the answer.
PATIENCE_SECONDS: Final = 30.0
STEP_BYTES: Final = 64 * 1024
# Requests of one connection that wait for the answer to the one before (RFC 9112, 9.3.2).
MAX_PIPELINED: Final = 16


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    Who sends a head without end, or request upon request, is refused; who begins one and does not go on, or does not
    take the answer, is cut off.
    """

    timeout = PATIENCE_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Bytes since the last piece of a request was whole, and of its body since the timer was set.
        self._pending = 0
        self._body = 0
        self._whole = True
        self._refusal: DomainError | None = None
        self._timer: asyncio.TimerHandle | None = None
        # Of what is written, how much was not taken when the client was last looked at.
        self._untaken = 0
        self._reader_timer: asyncio.TimerHandle | None = None
        # The request that is being answered; uvicorn's `cycle` is the one that came last.
        self.running: RequestResponseCycle | None = None
        # What comes is not read any more: the connection ends with the answers that are owed.
        self._deaf = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """The first request is waited for as long as any."""
        # As uvicorn does it, but for the addresses: see `on_message_begin`.
        self.connections.add(self)
        self.transport = transport
        self.flow = FlowControl(transport)
        self.scheme = "http"
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._unset_timer()
        self._unset_reader_timer()
        running, self.running = self.running, None
        if running is not None and not running.response_complete:
            # uvicorn tells the request that came last.
            running.disconnected = True
            running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, as far as there is anything in it."""
        if self._deaf:
            return
        self._pending += len(data)
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self.send_400_response("")
        else:
            if self._pending > HEAD_BYTES and not self.transport.is_closing():
                self._refusal = BodyTooLarge(HEAD_BYTES, "head of the request")
                self.send_400_response("")
        answering = self._deaf or (self._whole and self.cycle is not None and not self.cycle.response_complete)
        if not answering and self._timer is None and not self.transport.is_closing():
            self._set_timer()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._whole = False
        if self.server is None:
            # Not before: the kernel still works on a connection that has just come, and would keep us waiting.
            self.server, self.client = endpoints_of(self.transport)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Only where so much has come at once can the head be too large, and it is measured."""
        if self.parser.should_upgrade():
            # It comes once more, without its wish: see `_parse`.
            return
        if self._pending > HEAD_BYTES:
            self._measure_head()
        self._pending = 0
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many requests at once")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A body that is still wanted gets more time as it comes."""
        self._pending = 0
        self._body += len(body)
        if self._body > STEP_BYTES and not self.cycle.response_complete:
            self._set_timer()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """From here on it is our turn."""
        if self.parser.should_upgrade():
            return
        self._pending = 0
        self._whole = True
        self._unset_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """It is written, and not always taken yet."""
        super().on_response_complete()
        self._watch_reader()

    def pause_writing(self) -> None:
        """Much of the answer was not taken yet."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """Nearly all of it was taken: the rest has as much time again, or there is more to come."""
        super().resume_writing()
        self._unset_reader_timer()
        if self.cycle is None or self.cycle.response_complete:
            self._watch_reader()

    def hand_over(self, to: asyncio.Protocol) -> asyncio.Transport:
        """Give the connection to another protocol, as uvicorn does for WebSockets; nothing of it is left here."""
        self._unset_timer()
        self._unset_reader_timer()
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        self.pipeline.clear()
        # Whoever has it must notice when the client goes.
        self.flow.resume_reading()
        transport = self.transport
        transport.set_protocol(to)
        # Rings of objects that point at each other would wait for the collector of garbage.
        self.running = None
        self.transport = self.flow = self.cycle = self.parser = None  # type: ignore[assignment]  # done with them
        return transport

    def send_400_response(self, msg: str) -> None:
        """What cannot be read is answered like every other error, and ends the connection.

        Not where it would pass for the answer to a request before it, which was good: such are answered first, and
        nothing is after them.
        """
        running = self.running
        if running is not None and not running.response_complete and not (running is self.cycle and running.more_body):
            self._answer_what_is_whole()
            return
        if running is None or running.response_complete or not running.response_started:
            refusal = self._refusal or InvalidJson("This is not a request as HTTP/1.1 has them.")
            self.transport.write(_rendered(refusal))
        self.transport.close()

    def _answer_what_is_whole(self) -> None:
        """The last request that was good ends the connection."""
        self._deaf = True
        self._unset_timer()
        # What the kernel still had when the connection ends would sweep the answer away.
        self.flow.resume_reading()
        if self.cycle.more_body:
            self.pipeline.popleft()
        last = self.pipeline[0][0] if self.pipeline else self.running
        last.keep_alive = False  # type: ignore[union-attr]  # there is one: see above

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    def _parse(self, data: bytes) -> None:
        """As if nobody ever wished for another protocol (RFC 9110, 7.8).

        After a request that does, the parser takes its body and all else for that protocol's: another gets the request
        again, without the wish.
        """
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as wish:
                data = self._head_without_upgrade() + data[wish.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                # As uvicorn's own.
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _head_without_upgrade(self) -> bytes:
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            raise httptools.HttpParserError("a tunnel to elsewhere (RFC 9110, 9.3.6)")
        lines = [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        return b"".join((b"%b %b HTTP/%b\r\n" % (method, self.url, version), *lines, b"\r\n"))

    def _measure_head(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)
        if size > HEAD_BYTES:
            self._refusal = BodyTooLarge(HEAD_BYTES, "head of the request")
            raise ValueError("the head is too large")

    def _set_timer(self) -> None:
        self._unset_timer()
        self._timer = self.loop.call_later(self.timeout, self.transport.abort)

    def _unset_timer(self) -> None:
        self._body = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch_reader(self) -> None:
        self._unset_reader_timer()
        self._untaken = self.transport.get_write_buffer_size()
        if self._untaken:
            self._reader_timer = self.loop.call_later(self.timeout, self._look_at_reader)

    def _look_at_reader(self) -> None:
        if self.transport.get_write_buffer_size() > max(0, self._untaken - STEP_BYTES):
            self.transport.abort()
        else:
            self._watch_reader()

    def _unset_reader_timer(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None


def _rendered(refusal: DomainError) -> bytes:
    """The answer as bytes, for there is no request that it could belong to."""
    answer = problem_response(refusal, new_id().replace("-", "")[-12:])
    headers = [*answer.raw_headers, (b"connection", b"close"), (b"x-content-type-options", b"nosniff")]
    lines = [STATUS_LINE[answer.status_code], *(name + b": " + value + b"\r\n" for name, value in headers)]
    return b"".join((*lines, b"\r\n", bytes(answer.body)))
