"""A small HTTP client for load: keep-alive connections and event streams, with as little Python as possible."""

import asyncio
import itertools
import re
import select
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
# No answer takes longer than this on a machine that is not broken.
PATIENCE_SECONDS = 30.0


class Caller(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio's subclasses

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        if end and len(body) >= length and self._answer is not None and not self._answer.done():
            self._buffer = b""
            self._answer.set_result((int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError())

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request and wait for its answer: status and body."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._answer


class Listener(asyncio.Protocol):
    """One open event stream; calls `heard` with the time of each block of bytes that holds the mark."""

    def __init__(self, request: bytes, mark: bytes, heard: Callable[[float, int], None]) -> None:
        self._request, self._mark, self._heard = request, mark, heard
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
            self._heard(time.perf_counter(), count)


class Ear:
    """Counts the marks that all streams of one server received and keeps the time of each block."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.count = 0

    def heard(self, at: float, count: int) -> None:
        self.count += count
        self.times.append(at)

    async def wait(self, count: int) -> float:
        """Return the time at which the last of `count` marks arrived."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.count < count:  # noqa: ASYNC110  # the event loop itself is what is watched
                await asyncio.sleep(0)
        self.count = 0
        return self.times[-1]


async def open_streams(url: str, asks: Sequence[bytes], mark: bytes, ear: Ear) -> list[Listener]:
    """Open one stream for each request, 32 at a time."""
    (host, port), loop = where(url), asyncio.get_running_loop()
    listeners: list[Listener] = []
    for start in range(0, len(asks), 32):
        part = []
        for ask in asks[start : start + 32]:
            listener = Listener(ask, mark, ear.heard)
            await loop.create_connection(lambda made=listener: made, host, port)  # type: ignore[misc]  # bound now
            part.append(listener)
        await asyncio.gather(*(listener.opened for listener in part))
        listeners += part
    return listeners


def request(
    method: str, url: str, path: str, *, token: str | None = None, body: bytes = b"", extra: Sequence[str] = ()
) -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}", *extra]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def callers(url: str, count: int) -> list[Caller]:
    """So many open connections."""
    (host, port), loop = where(url), asyncio.get_running_loop()
    return [(await loop.create_connection(Caller, host, port))[1] for _ in range(count)]


def where(url: str) -> tuple[str, int]:
    """Host and port of a URL that names both."""
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80


async def flat_out(
    callers: Sequence[Caller], seconds: float, one: Callable[[Caller], Awaitable[bool]]
) -> tuple[float, list[float]]:
    """Each caller repeats `one` until the time is over or it says False: good ones a second, and their seconds."""
    times: list[float] = []
    until = time.perf_counter() + seconds

    async def repeat(caller: Caller) -> None:
        while (began := time.perf_counter()) < until and await one(caller):
            times.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(repeat(caller) for caller in callers))
    return len(times) / (time.perf_counter() - began), times


def hammer(url: str, asks: Sequence[bytes], connections: int, seconds: float) -> tuple[float, list[float]]:
    """Keep so many connections busy with these requests, in turn: answers (201) a second, and the seconds of each.

    Plain sockets and epoll: some 15 µs a request, so that the server is what is measured.
    """
    turn, poller = itertools.cycle(asks), select.epoll()
    times: list[float] = []
    open_: dict[int, socket.socket] = {}
    parts: dict[int, bytes] = {}
    for _ in range(connections):
        one = socket.create_connection(where(url))
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poller.register(one, select.EPOLLIN)
        open_[one.fileno()] = one
    began = {number: time.perf_counter() for number in open_}
    start = time.perf_counter()
    for one in open_.values():
        one.sendall(next(turn))
    busy = len(open_)
    while busy:
        ready = poller.poll(PATIENCE_SECONDS)
        if not ready:
            raise TimeoutError("the server does not answer")
        for number, _ in ready:
            answer, now = parts.pop(number, b"") + open_[number].recv(65_536), time.perf_counter()
            if not answer.startswith(b"HTTP/1.1 201"):
                raise RuntimeError(answer[:500].decode("latin-1"))
            if not answer.endswith(b"}"):
                parts[number] = answer
                continue
            times.append(now - began[number])
            if now - start < seconds:
                began[number] = now
                open_[number].sendall(next(turn))
            else:
                busy -= 1
    for one in open_.values():
        one.close()
    return len(times) / (time.perf_counter() - start), times


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of all lie, in milliseconds."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1_000
