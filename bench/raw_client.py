"""A fast HTTP client for load: keep-alive connections and event streams."""

import asyncio
import itertools
import re
import select
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
# The longest wait for a response or an event.
TIMEOUT_SECONDS = 30.0


class Caller(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._response: asyncio.Future[tuple[int, bytes]] | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio's subclasses

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        match = _LENGTH.search(head)
        length = int(match[1]) if match else 0
        if end and len(body) >= length and self._response is not None and not self._response.done():
            self._buffer = b""
            self._response.set_result((int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        if self._response is not None and not self._response.done():
            self._response.set_exception(error or ConnectionResetError())

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Send a request and return the status and body of the response."""
        self._response = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await self._response


class Listener(asyncio.Protocol):
    """An open event stream; calls `on_marks` with the time and number of marks of each received block."""

    def __init__(self, request: bytes, mark: bytes, on_marks: Callable[[float, int], None]) -> None:
        self._request, self._mark, self._on_marks = request, mark, on_marks
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio's subclasses
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            if not data.startswith(b"HTTP/1.1 200"):
                self.opened.set_exception(RuntimeError(data[:300].decode("latin-1")))
                return
            self.opened.set_result(None)
        if count := data.count(self._mark):
            self._on_marks(time.perf_counter(), count)


class MarkCounter:
    """Counts the marks that all streams of one server received and keeps the time of each block."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.count = 0

    def record(self, at: float, count: int) -> None:
        self.count += count
        self.times.append(at)

    async def wait_for(self, count: int) -> float:
        """Return the time at which the last of `count` marks arrived."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while self.count < count:  # noqa: ASYNC110  # the busy loop measures the event loop
                await asyncio.sleep(0)
        self.count = 0
        return self.times[-1]


async def open_streams(url: str, requests: Sequence[bytes], mark: bytes, counter: MarkCounter) -> list[Listener]:
    """Open one stream for each request, 32 at a time."""
    (host, port), loop = parse_address(url), asyncio.get_running_loop()
    listeners: list[Listener] = []
    for start in range(0, len(requests), 32):
        batch = []
        for request in requests[start : start + 32]:
            listener = Listener(request, mark, counter.record)
            await loop.create_connection(lambda protocol=listener: protocol, host, port)  # type: ignore[misc]  # bound now
            batch.append(listener)
        await asyncio.gather(*(listener.opened for listener in batch))
        listeners += batch
    return listeners


def build_request(
    method: str, url: str, path: str, *, token: str | None = None, body: bytes = b"", extra: Sequence[str] = ()
) -> bytes:
    """Return the bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}", *extra]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def open_callers(url: str, count: int) -> list[Caller]:
    """Open `count` connections."""
    (host, port), loop = parse_address(url), asyncio.get_running_loop()
    return [(await loop.create_connection(Caller, host, port))[1] for _ in range(count)]


def parse_address(url: str) -> tuple[str, int]:
    """Return the host and port of a URL."""
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80


async def run_callers(
    callers: Sequence[Caller], seconds: float, action: Callable[[Caller], Awaitable[bool]]
) -> tuple[float, list[float]]:
    """Repeat `action` with each caller until the time is over or it returns False.

    Returns the number of actions per second that returned True, and their durations in seconds.
    """
    times: list[float] = []
    deadline = time.perf_counter() + seconds

    async def repeat(caller: Caller) -> None:
        while (began := time.perf_counter()) < deadline and await action(caller):
            times.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(repeat(caller) for caller in callers))
    return len(times) / (time.perf_counter() - began), times


def run_requests(url: str, requests: Sequence[bytes], connections: int, seconds: float) -> tuple[float, list[float]]:
    """Send these requests in turn over several connections until the time is over.

    Returns responses (201) per second, and the duration of each in seconds. With plain sockets and epoll, the client
    needs about 15 µs per request, so that the server limits the rate.
    """
    next_requests, poller = itertools.cycle(requests), select.epoll()
    times: list[float] = []
    sockets: dict[int, socket.socket] = {}
    partial: dict[int, bytes] = {}
    for _ in range(connections):
        connection = socket.create_connection(parse_address(url))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poller.register(connection, select.EPOLLIN)
        sockets[connection.fileno()] = connection
    began = {number: time.perf_counter() for number in sockets}
    start = time.perf_counter()
    for connection in sockets.values():
        connection.sendall(next(next_requests))
    active = len(sockets)
    while active:
        ready = poller.poll(TIMEOUT_SECONDS)
        if not ready:
            raise TimeoutError("the server does not respond")
        for number, _ in ready:
            response, now = partial.pop(number, b"") + sockets[number].recv(65_536), time.perf_counter()
            if not response.startswith(b"HTTP/1.1 201"):
                raise RuntimeError(response[:500].decode("latin-1"))
            if not response.endswith(b"}"):
                partial[number] = response
                continue
            times.append(now - began[number])
            if now - start < seconds:
                began[number] = now
                sockets[number].sendall(next(next_requests))
            else:
                active -= 1
    for connection in sockets.values():
        connection.close()
    return len(times) / (time.perf_counter() - start), times


def get_percentile_ms(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the values (seconds) lie, in milliseconds."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1_000
