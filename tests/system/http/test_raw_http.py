"""Raw HTTP: invalid, endless, slow and pipelined requests are rejected or bounded."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import anyio.to_thread
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from api.http.protocol import MAX_HEAD_BYTES, MAX_PIPELINED, BoundedProtocol
from tests.support.hub import Hub
from tests.support.timeouts import TIMEOUT_SECONDS

GET = b"GET /api/health HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
# More than the socket buffers can hold.
LARGE_BYTES = 32 * 1024 * 1024
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

INVALID_REQUESTS = {
    "invalid_chunk_size": CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
    "negative_chunk_size": CHUNKED + b"-1\r\n{}\r\n0\r\n\r\n",
    "chunk_size_beyond_64_bits": CHUNKED + b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "chunk_longer_than_its_size": CHUNKED + b"2\r\n{}{}\r\n0\r\n\r\n",
    "two_lengths": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "repeated_length": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "length_and_chunked": POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "unknown_coding": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n{}",
    "negative_length": POST + b"Content-Length: -2\r\n\r\n{}",
    "length_not_a_number": POST + b"Content-Length: 2x\r\n\r\n{}",
    "length_beyond_64_bits": POST + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "nul_in_header": GET + b"X: a\x00b\r\n\r\n",
    "cr_in_header": GET + b"X: a\rb\r\n\r\n",
    "space_before_colon": GET + b"X : a\r\n\r\n",
    "folded_header": GET + b"X: a\r\n folded\r\n\r\n",
    "header_without_name": GET + b": a\r\n\r\n",
    "nul_in_path": b"GET /a\x00b HTTP/1.1\r\n\r\n",
    "non_ascii_path": b"GET /\xff HTTP/1.1\r\n\r\n",
    "no_path": b"GET http://x HTTP/1.1\r\n\r\n",
    "empty_path": b"GET  HTTP/1.1\r\n\r\n",
    "invalid_version": b"GET /api/health HTTP/9.9\r\n\r\n",
    "bare_line_feeds": b"GET /api/health HTTP/1.1\nHost: x\n\n",
    "connect": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "http_2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "unknown_method": b"BREW /pot HTTP/1.1\r\n\r\n",
    "tls": b"\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03",
    "zeros": b"\x00" * 100,
}


async def send_raw(port: int, *pieces: bytes, abort: bool = False) -> bytes:
    """Send the pieces and return everything the hub sends until it closes. `abort` closes without reading."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            while not abort and (data := await reader.read(65_536)):
                received += data
    except ConnectionError:
        pass  # The hub closed the connection before it had read everything.
    finally:
        writer.transport.abort()
    return received


def problem(received: bytes) -> tuple[int, str]:
    """Return the status and the code of a single problem response."""
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head, received
    assert b"connection: close" in head
    problem = json.loads(body)
    assert problem["status"] == int(head.split()[1])
    return problem["status"], problem["code"]


async def check_healthy(hub: Hub) -> None:
    """Check that the hub answers and that its log has no unexpected event."""
    response = await hub.client().get("/api/health")
    id = response.headers["x-request-id"]
    await anyio.to_thread.run_sync(
        hub.server.wait_for_log, lambda: any(line["request_id"] == id for line in hub.lines("request"))
    )
    hub.check_log()
    assert {line["event"] for line in hub.lines()} <= {"request", "Invalid HTTP request received."}


@pytest.mark.parametrize("raw_request", INVALID_REQUESTS.values(), ids=INVALID_REQUESTS.keys())
async def test_invalid_http_is_rejected_and_the_connection_closed(shared_hub: Hub, raw_request: bytes) -> None:
    assert problem(await send_raw(shared_hub.server.port, raw_request)) == (400, "INVALID_JSON")
    # The same request, sent byte by byte.
    received = await send_raw(shared_hub.server.port, *(raw_request[at : at + 1] for at in range(len(raw_request))))
    assert received == b"" or problem(received) == (400, "INVALID_JSON")
    await check_healthy(shared_hub)


@pytest.mark.parametrize(
    "raw_request",
    [
        GET + b"X: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n",
        GET + b"X: a\r\n" * (MAX_HEAD_BYTES // 6) + b"\r\n",
        b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        GET + b"X: " + b"a" * 2 * MAX_HEAD_BYTES,
        CHUNKED + b"2\r\n{}\r\n0\r\n" + b"X: a\r\n" * MAX_HEAD_BYTES,
        CHUNKED + b"2;" + b"x" * 2 * MAX_HEAD_BYTES,
    ],
    ids=["one_header", "many_headers", "path", "endless_header", "endless_trailers", "endless_chunk_extension"],
)
async def test_endless_head_is_rejected_before_it_fills_the_memory(shared_hub: Hub, raw_request: bytes) -> None:
    received = await send_raw(shared_hub.server.port, raw_request, b"more" * 1_000_000)
    # The reset of the connection may discard the response before the client has read it.
    assert received == b"" or problem(received) == (413, "BODY_TOO_LARGE") or b" 422 " in received
    await check_healthy(shared_hub)


async def test_head_is_accepted_below_and_rejected_above_the_size_limit(
    shared_hub: Hub,
) -> None:
    allowed = GET + b"Connection: close\r\nX: " + b"a" * (MAX_HEAD_BYTES - 200) + b"\r\n\r\n"
    assert b"200 OK" in await send_raw(shared_hub.server.port, allowed)
    too_large = GET + b"X: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n"
    assert problem(await send_raw(shared_hub.server.port, too_large)) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    "raw_request",
    [CHUNKED + b"2\r\n{}\r\n", CHUNKED + b"ff\r\n{", POST + b"Content-Length: 9\r\n\r\n{", GET],
    ids=["between_chunks", "in_chunk", "in_body", "in_head"],
)
async def test_client_that_closes_during_a_request_causes_no_error(shared_hub: Hub, raw_request: bytes) -> None:
    assert await send_raw(shared_hub.server.port, raw_request, abort=True) == b""
    await check_healthy(shared_hub)


async def test_body_with_a_too_large_length_is_rejected_before_it_is_sent(shared_hub: Hub) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", shared_hub.server.port)
    writer.write(POST + b"Expect: 100-continue\r\nContent-Length: 65537\r\n\r\n")
    async with asyncio.timeout(TIMEOUT_SECONDS):
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    writer.transport.abort()


async def test_upgrade_is_ignored_and_the_connection_stays_usable(shared_hub: Hub) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", shared_hub.server.port)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        for headers in (b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"Connection: close\r\n"):
            writer.write(GET + headers + b"\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
            assert await reader.readexactly(len(b'{"status":"ok"}')) == b'{"status":"ok"}'
        assert await reader.read() == b""
    writer.close()
    await check_healthy(shared_hub)


LOGIN = b'{"email":"nobody@example.org","password":"wrong horse"}'
UPGRADE_HEADERS = b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
UPGRADES_WITH_BODY = {
    "length": POST + b"%bContent-Length: %d\r\n\r\n%b" % (UPGRADE_HEADERS, len(LOGIN), LOGIN),
    "chunked": POST
    + b"%bTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (UPGRADE_HEADERS, len(LOGIN), LOGIN),
}


@pytest.mark.parametrize("raw_request", UPGRADES_WITH_BODY.values(), ids=UPGRADES_WITH_BODY.keys())
@pytest.mark.parametrize("piece_bytes", [1, 100_000], ids=["byte_by_byte", "at_once"])
async def test_request_with_upgrade_headers_is_answered_after_its_whole_body(
    shared_hub: Hub, raw_request: bytes, piece_bytes: int
) -> None:
    received = await send_raw(
        shared_hub.server.port, *(raw_request[at : at + piece_bytes] for at in range(0, len(raw_request), piece_bytes))
    )
    # The Java HTTP client sends these headers to every server. 401 shows that the hub has read the body.
    assert received.startswith(b"HTTP/1.1 401 "), received
    assert received.count(b"HTTP/1.1 ") == 1
    await check_healthy(shared_hub)


async def test_body_of_an_upgrade_request_is_not_parsed_as_a_request(shared_hub: Hub) -> None:
    inner = GET + b"\r\n"
    upgrade = b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: %d\r\n\r\n%b" % (len(inner), inner)
    received = await send_raw(
        shared_hub.server.port, GET + upgrade + GET + upgrade + GET + b"Connection: close\r\n\r\n"
    )
    assert received.count(b"HTTP/1.1 200 OK") == 3
    await check_healthy(shared_hub)


async def test_connect_method_is_rejected(shared_hub: Hub) -> None:
    received = await send_raw(
        shared_hub.server.port, b"CONNECT /api/health HTTP/1.1\r\nHost: x\r\n\r\n" + GET + b"\r\n"
    )
    assert problem(received) == (400, "INVALID_JSON")


async def test_request_is_answered_when_invalid_http_follows_it(shared_hub: Hub) -> None:
    login = POST + b"Content-Length: %d\r\n\r\n%b" % (len(LOGIN), LOGIN)
    for trailing in (b"\0\0\r\n\r\n", CHUNKED + b"zz\r\n"):
        received = await send_raw(shared_hub.server.port, login + trailing)
        assert received.startswith(b"HTTP/1.1 401 "), received
        assert received.count(b"HTTP/1.1 ") == 1
        received = await send_raw(shared_hub.server.port, login + GET + b"\r\n" + trailing)
        assert received.startswith(b"HTTP/1.1 401 "), received
        assert received.count(b"HTTP/1.1 200 OK") == 1
        assert received.count(b"HTTP/1.1 ") == 2
    await check_healthy(shared_hub)


async def test_pipelined_requests_are_answered_in_order(shared_hub: Hub) -> None:
    pipelined = b"".join(b"GET /api/%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(MAX_PIPELINED))
    received = await send_raw(shared_hub.server.port, pipelined + GET + b"Connection: close\r\n\r\n")
    assert received.count(b"HTTP/1.1 404 ") == MAX_PIPELINED
    assert received.index(b"HTTP/1.1 200 OK") > received.rindex(b"HTTP/1.1 404 ")


async def test_pipelined_requests_above_the_limit_are_not_stored(shared_hub: Hub) -> None:
    # The hub reads the requests at once and does not answer those beyond its limit.
    received = await send_raw(shared_hub.server.port, (GET + b"\r\n") * 1_000)
    assert received.count(b"HTTP/1.1 200 OK") == received.count(b"HTTP/1.1 ") <= MAX_PIPELINED + 1
    await check_healthy(shared_hub)


class ShortTimeoutProtocol(BoundedProtocol):
    """The protocol of the hub with a timeout of 50 ms."""

    timeout = 0.05


async def app(may_respond: asyncio.Event, scope: Scope, receive: Receive, send: Send) -> None:
    """Respond when the whole body has arrived or the client has closed the connection.

    `/slow` waits for `may_respond`; `/large/SIZE/PIECES` sends SIZE bytes in PIECES pieces.
    """
    if scope["path"] == "/slow":
        await may_respond.wait()
    if scope["path"].startswith("/large"):
        size, pieces = scope["path"].removeprefix("/large/").split("/")
        await send_large(int(size), int(pieces), send)
        return
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


async def send_large(size: int, pieces: int, send: Send) -> None:
    """Respond with `size` bytes in `pieces` pieces."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
    for number in range(pieces):
        body = b"x" * (size // pieces)
        await send({"type": "http.response.body", "body": body, "more_body": number < pieces - 1})


@asynccontextmanager
async def serve(
    protocol: type[BoundedProtocol], may_respond: asyncio.Event | None = None
) -> AsyncIterator[uvicorn.Server]:
    """Serve `app` with this protocol on a free port."""
    config = uvicorn.Config(
        partial(app, may_respond or asyncio.Event()),
        interface="asgi3",
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        port=0,
        timeout_keep_alive=3_600,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server
    finally:
        await server.shutdown()


def get_port(server: uvicorn.Server) -> int:
    return int(server.servers[0].sockets[0].getsockname()[1])


@pytest.mark.parametrize("headers", [b"", b"Connection: close\r\n"], ids=["keep_alive", "close"])
@pytest.mark.parametrize(
    ("size", "pieces", "read_bytes"),
    [(LARGE_BYTES, 1, 1), (LARGE_BYTES, 512, 1), (60_000, 1, 1), (LARGE_BYTES, 1, LARGE_BYTES - 20_000)],
    ids=["large", "in_pieces", "small", "nearly_read"],
)
async def test_connection_is_closed_when_the_client_does_not_read(
    size: int, pieces: int, read_bytes: int, headers: bytes
) -> None:
    async with serve(ShortTimeoutProtocol) as server:
        # Small socket buffers, because large ones would hold the whole small response.
        server.servers[0].sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.connect(("127.0.0.1", get_port(server)))
            client.sendall(b"GET /large/%d/%d HTTP/1.1\r\nHost: x\r\n%b\r\n" % (size, pieces, headers))
            await anyio.to_thread.run_sync(read_at_most, client, read_bytes)
            async with asyncio.timeout(TIMEOUT_SECONDS):
                while server.server_state.connections:  # noqa: ASYNC110  # uvicorn has no event for it
                    await asyncio.sleep(0.01)


def read_at_most(client: socket.socket, size: int) -> None:
    """Read `size` bytes, or fewer if the server closes the connection, which happens early on a slow machine."""
    with suppress(ConnectionError):
        while size > 0 and (count := len(client.recv(min(size, 65_536)))):
            size -= count


@dataclass
class Timer:
    """A callback that runs at `due`, in seconds, unless it is cancelled."""

    due: float
    callback: Callable[[], object]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeTimeLoop:
    """An event loop whose `call_later` uses a clock that the test advances."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._now = 0.0
        self._timers: list[Timer] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        self._timers.append(Timer(self._now + delay, partial(callback, *args)))
        return self._timers[-1]

    def advance(self, seconds: float) -> None:
        self._now += seconds
        due = [timer for timer in self._timers if timer.due <= self._now]
        self._timers = [timer for timer in self._timers if timer.due > self._now]
        for timer in due:
            if not timer.cancelled:
                timer.callback()


class FakeTimeProtocol(BoundedProtocol):
    """The protocol of the hub with a fake clock.

    Its timeout is longer than each step of the response takes, and shorter than the whole response takes.
    """

    timeout = 1.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.received_bytes = 0
        self.fake_loop = FakeTimeLoop(self.loop)
        self.loop = cast(asyncio.AbstractEventLoop, self.fake_loop)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.received_bytes += len(data)


async def receive_request(server: uvicorn.Server, size: int) -> FakeTimeProtocol:
    """Wait until the server has received this number of bytes on its only connection, and return the connection."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not server.server_state.connections:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0)
        (connection,) = server.server_state.connections
        assert isinstance(connection, FakeTimeProtocol)
        while connection.received_bytes < size:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0)
    return connection


@pytest.mark.parametrize("pieces", [1, 512], ids=["at_once", "in_pieces"])
async def test_slow_reader_receives_the_whole_response(pieces: int) -> None:
    async with serve(FakeTimeProtocol) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", get_port(server), limit=64 * 1024)
        writer.write(b"GET /large/%d/%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % (LARGE_BYTES, pieces))
        await reader.readuntil(b"\r\n\r\n")
        (connection,) = server.server_state.connections
        assert isinstance(connection, FakeTimeProtocol)
        total, step = 0, LARGE_BYTES // 16
        while chunk := await reader.read(step):
            total += len(chunk)
            connection.fake_loop.advance(0.1 * len(chunk) / step)
        assert total == LARGE_BYTES
        writer.close()


@pytest.mark.parametrize("previous_requests", [0, 1], ids=["first_request", "second_request"])
@pytest.mark.parametrize(
    "raw_request",
    [b"\r\n", b"GET / HT", GET, POST + b"Content-Length: 9\r\n\r\n{", CHUNKED + b"2\r\n{}\r\n"],
    ids=["blank_line", "request_line", "head", "body", "chunks"],
)
async def test_connection_is_closed_when_a_request_is_not_completed(raw_request: bytes, previous_requests: int) -> None:
    async with serve(FakeTimeProtocol) as server, asyncio.timeout(TIMEOUT_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", get_port(server))
        for _ in range(previous_requests):
            writer.write(GET + b"\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
        writer.write(raw_request)
        connection = await receive_request(server, previous_requests * len(GET + b"\r\n") + len(raw_request))
        connection.fake_loop.advance(FakeTimeProtocol.timeout - 0.1)
        assert not connection.transport.is_closing()
        connection.fake_loop.advance(0.1)
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("trailing", [b"GET / HT\0\0\r\n\r\n", CHUNKED + b"zz\r\n"], ids=["head", "body"])
async def test_response_is_completed_when_invalid_http_arrives_during_it(trailing: bytes) -> None:
    may_respond, slow = asyncio.Event(), b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
    async with serve(FakeTimeProtocol, may_respond) as server, asyncio.timeout(TIMEOUT_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", get_port(server))
        writer.write(slow + trailing)
        connection = await receive_request(server, len(slow + trailing))
        assert connection._ignores_input
        more = b"more" + GET + b"\r\n"
        writer.write(more)
        await receive_request(server, len(slow + trailing + more))
        may_respond.set()
        received = await reader.read()
        assert received.startswith(b"HTTP/1.1 200 OK")
        assert received.count(b"HTTP/1.1 ") == 1
        writer.close()


async def test_idle_connection_is_closed() -> None:
    async with serve(FakeTimeProtocol) as server, asyncio.timeout(TIMEOUT_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", get_port(server))
        (await receive_request(server, 0)).fake_loop.advance(FakeTimeProtocol.timeout)
        assert await reader.read() == b""
        writer.close()


async def test_connection_stays_open_during_a_slow_response() -> None:
    may_respond, slow = asyncio.Event(), b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with serve(FakeTimeProtocol, may_respond) as server, asyncio.timeout(TIMEOUT_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", get_port(server))
        writer.write(slow)
        (await receive_request(server, len(slow))).fake_loop.advance(5 * FakeTimeProtocol.timeout)
        may_respond.set()
        assert b"200 OK" in await reader.read()
        writer.close()
