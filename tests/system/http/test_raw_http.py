"""What is no HTTP, or HTTP without end, on a raw socket: refused, bounded, and nothing but a line in the log."""

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

PATIENCE = 10.0
GET = b"GET /api/health HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
# More than the kernel takes for itself.
MUCH = 32 * 1024 * 1024
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

NO_HTTP = {
    "a chunk size that is none": CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
    "a negative chunk size": CHUNKED + b"-1\r\n{}\r\n0\r\n\r\n",
    "a chunk size beyond 64 bits": CHUNKED + b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than it says": CHUNKED + b"2\r\n{}{}\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "one length twice": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a length and chunks": POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "an unknown coding": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n{}",
    "a negative length": POST + b"Content-Length: -2\r\n\r\n{}",
    "a length that is no number": POST + b"Content-Length: 2x\r\n\r\n{}",
    "a length beyond 64 bits": POST + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "NUL in a header": GET + b"X: a\x00b\r\n\r\n",
    "CR in a header": GET + b"X: a\rb\r\n\r\n",
    "a space before the colon": GET + b"X : a\r\n\r\n",
    "a folded header": GET + b"X: a\r\n folded\r\n\r\n",
    "a header without a name": GET + b": a\r\n\r\n",
    "NUL in the path": b"GET /a\x00b HTTP/1.1\r\n\r\n",
    "a path that is not ASCII": b"GET /\xff HTTP/1.1\r\n\r\n",
    "no path": b"GET http://x HTTP/1.1\r\n\r\n",
    "an empty path": b"GET  HTTP/1.1\r\n\r\n",
    "a version that is none": b"GET /api/health HTTP/9.9\r\n\r\n",
    "bare line feeds": b"GET /api/health HTTP/1.1\nHost: x\n\n",
    "CONNECT": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown method": b"BREW /pot HTTP/1.1\r\n\r\n",
    "TLS": b"\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03",
    "zeros": b"\x00" * 100,
}


async def talk(port: int, *pieces: bytes, leave: bool = False) -> bytes:
    """Send, and hear all that comes until the hub closes; `leave` closes first."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = b""
    try:
        async with asyncio.timeout(PATIENCE):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            while not leave and (data := await reader.read(65_536)):
                heard += data
    except ConnectionError:
        pass  # refused with something still on its way
    finally:
        writer.transport.abort()
    return heard


def problem(heard: bytes) -> tuple[int, str]:
    """Status and code of the one answer."""
    head, _, body = heard.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head, heard
    assert b"connection: close" in head
    told = json.loads(body)
    assert told["status"] == int(head.split()[1])
    return told["status"], told["code"]


async def is_well(hub: Hub) -> None:
    """The hub answers, and everything that it had to say before is in its log."""
    answer = await hub.client().get("/api/health")
    id = answer.headers["x-request-id"]
    await anyio.to_thread.run_sync(
        hub.server.wait_log, lambda: any(line["request_id"] == id for line in hub.lines("request"))
    )
    hub.check_log()
    assert {line["event"] for line in hub.lines()} <= {"request", "Invalid HTTP request received."}


@pytest.mark.parametrize("sent", NO_HTTP.values(), ids=NO_HTTP.keys())
async def test_what_is_no_http_is_refused_and_the_connection_closed(shared_hub: Hub, sent: bytes) -> None:
    assert problem(await talk(shared_hub.server.port, sent)) == (400, "INVALID_JSON")
    # The same in the smallest pieces.
    bit_by_bit = await talk(shared_hub.server.port, *(sent[at : at + 1] for at in range(len(sent))))
    assert bit_by_bit == b"" or problem(bit_by_bit) == (400, "INVALID_JSON")
    await is_well(shared_hub)


@pytest.mark.parametrize(
    "sent",
    [
        GET + b"X: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n",
        GET + b"X: a\r\n" * (MAX_HEAD_BYTES // 6) + b"\r\n",
        b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        GET + b"X: " + b"a" * 2 * MAX_HEAD_BYTES,
        CHUNKED + b"2\r\n{}\r\n0\r\n" + b"X: a\r\n" * MAX_HEAD_BYTES,
        CHUNKED + b"2;" + b"x" * 2 * MAX_HEAD_BYTES,
    ],
    ids=["one header", "many headers", "path", "header without end", "trailers without end", "chunk without end"],
)
async def test_a_head_without_end_is_refused_before_it_fills_the_memory(shared_hub: Hub, sent: bytes) -> None:
    heard = await talk(shared_hub.server.port, sent, b"more" * 1_000_000)
    # What is still on its way may sweep the answer away.
    assert heard == b"" or problem(heard) == (413, "BODY_TOO_LARGE") or b" 422 " in heard
    await is_well(shared_hub)


async def test_a_large_head_that_is_whole_is_told_what_is_wrong_and_one_below_the_bound_is_read(
    shared_hub: Hub,
) -> None:
    fits = GET + b"Connection: close\r\nX: " + b"a" * (MAX_HEAD_BYTES - 200) + b"\r\n\r\n"
    assert b"200 OK" in await talk(shared_hub.server.port, fits)
    too_large = GET + b"X: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n"
    assert problem(await talk(shared_hub.server.port, too_large)) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    "sent", [CHUNKED + b"2\r\n{}\r\n", CHUNKED + b"ff\r\n{", POST + b"Content-Length: 9\r\n\r\n{", GET]
)
async def test_who_leaves_in_the_middle_leaves_nothing_behind(shared_hub: Hub, sent: bytes) -> None:
    assert await talk(shared_hub.server.port, sent, leave=True) == b""
    await is_well(shared_hub)


async def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(shared_hub: Hub) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", shared_hub.server.port)
    writer.write(POST + b"Expect: 100-continue\r\nContent-Length: 65537\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    writer.transport.abort()


async def test_another_protocol_is_not_switched_to_and_the_connection_goes_on(shared_hub: Hub) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", shared_hub.server.port)
    async with asyncio.timeout(PATIENCE):
        for wish in (b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"Connection: close\r\n"):
            writer.write(GET + wish + b"\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
            assert await reader.readexactly(len(b'{"status":"ok"}')) == b'{"status":"ok"}'
        assert await reader.read() == b""
    writer.close()
    await is_well(shared_hub)


LOGIN = b'{"email":"nobody@example.org","password":"wrong horse"}'
WISHES = b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
WITH_BODY = {
    "length": POST + b"%bContent-Length: %d\r\n\r\n%b" % (WISHES, len(LOGIN), LOGIN),
    "chunks": POST + b"%bTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (WISHES, len(LOGIN), LOGIN),
}


@pytest.mark.parametrize("sent", WITH_BODY.values(), ids=WITH_BODY.keys())
@pytest.mark.parametrize("piece", [1, 100_000], ids=["bit by bit", "at once"])
async def test_whoever_wishes_for_another_protocol_gets_the_answer_to_their_whole_request(
    shared_hub: Hub, sent: bytes, piece: int
) -> None:
    heard = await talk(shared_hub.server.port, *(sent[at : at + piece] for at in range(0, len(sent), piece)))
    # Java's client asks so, of every server. The body was understood: 401 is the log-in's own answer.
    assert heard.startswith(b"HTTP/1.1 401 "), heard
    assert heard.count(b"HTTP/1.1 ") == 1
    await is_well(shared_hub)


async def test_a_body_behind_a_wish_is_no_request_and_a_request_behind_it_is_one(shared_hub: Hub) -> None:
    inner = GET + b"\r\n"
    wish = b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: %d\r\n\r\n%b" % (len(inner), inner)
    heard = await talk(shared_hub.server.port, GET + wish + GET + wish + GET + b"Connection: close\r\n\r\n")
    assert heard.count(b"HTTP/1.1 200 OK") == 3
    await is_well(shared_hub)


async def test_a_tunnel_to_elsewhere_is_refused(shared_hub: Hub) -> None:
    heard = await talk(shared_hub.server.port, b"CONNECT /api/health HTTP/1.1\r\nHost: x\r\n\r\n" + GET + b"\r\n")
    assert problem(heard) == (400, "INVALID_JSON")


async def test_what_is_no_http_behind_a_request_leaves_it_its_own_answer(shared_hub: Hub) -> None:
    login = POST + b"Content-Length: %d\r\n\r\n%b" % (len(LOGIN), LOGIN)
    for behind in (b"\0\0\r\n\r\n", CHUNKED + b"zz\r\n"):
        heard = await talk(shared_hub.server.port, login + behind)
        assert heard.startswith(b"HTTP/1.1 401 "), heard
        assert heard.count(b"HTTP/1.1 ") == 1
        heard = await talk(shared_hub.server.port, login + GET + b"\r\n" + behind)
        assert heard.startswith(b"HTTP/1.1 401 "), heard
        assert heard.count(b"HTTP/1.1 200 OK") == 1
        assert heard.count(b"HTTP/1.1 ") == 2
    await is_well(shared_hub)


async def test_requests_sent_ahead_are_answered_in_their_order(shared_hub: Hub) -> None:
    ahead = b"".join(b"GET /api/%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(MAX_PIPELINED))
    heard = await talk(shared_hub.server.port, ahead + GET + b"Connection: close\r\n\r\n")
    assert heard.count(b"HTTP/1.1 404 ") == MAX_PIPELINED
    assert heard.index(b"HTTP/1.1 200 OK") > heard.rindex(b"HTTP/1.1 404 ")


async def test_request_upon_request_without_end_is_not_kept_in_memory(shared_hub: Hub) -> None:
    # One write arrives as one, and what of it is too much is not answered.
    heard = await talk(shared_hub.server.port, (GET + b"\r\n") * 1_000)
    assert heard.count(b"HTTP/1.1 200 OK") == heard.count(b"HTTP/1.1 ") <= MAX_PIPELINED + 1
    await is_well(shared_hub)


class Impatient(BoundedProtocol):
    """As the hub's, but it waits no longer than a test would."""

    timeout = 0.05


async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers when it has the whole body, or the client is gone."""
    if scope["path"] == "/slow":
        await asyncio.sleep(5 * Impatient.timeout)
    if scope["path"].startswith("/much"):
        size, pieces = scope["path"].removeprefix("/much/").split("/")
        await say_much(int(size), int(pieces), send)
        return
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


async def say_much(size: int, pieces: int, send: Send) -> None:
    """Answers with so many bytes in so many pieces."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
    for number in range(pieces):
        body = b"x" * (size // pieces)
        await send({"type": "http.response.body", "body": body, "more_body": number < pieces - 1})


@asynccontextmanager
async def serving(protocol: type[BoundedProtocol]) -> AsyncIterator[uvicorn.Server]:
    """A server of `read_all`."""
    config = uvicorn.Config(
        read_all,
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


def port_of(server: uvicorn.Server) -> int:
    return int(server.servers[0].sockets[0].getsockname()[1])


@pytest.fixture
async def impatient() -> Any:
    """The port of a server that cuts off whoever does not go on."""
    async with serving(Impatient) as server:
        yield port_of(server)


@pytest.mark.parametrize("after", [b"", b"Connection: close\r\n"], ids=["kept open", "to be closed"])
@pytest.mark.parametrize(
    ("size", "pieces", "taken"),
    [(MUCH, 1, 1), (MUCH, 512, 1), (60_000, 1, 1), (MUCH, 1, MUCH - 20_000)],
    ids=["large", "in pieces", "small", "nearly taken"],
)
async def test_who_does_not_take_the_answer_is_cut_off(size: int, pieces: int, taken: int, after: bytes) -> None:
    async with serving(Impatient) as server:
        # The kernel takes little, or nothing would be left of a small answer.
        server.servers[0].sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.connect(("127.0.0.1", port_of(server)))
            client.sendall(b"GET /much/%d/%d HTTP/1.1\r\nHost: x\r\n%b\r\n" % (size, pieces, after))
            await anyio.to_thread.run_sync(take, client, taken)
            async with asyncio.timeout(PATIENCE):
                while server.server_state.connections:  # noqa: ASYNC110  # uvicorn tells nobody
                    await asyncio.sleep(0.01)


def take(client: socket.socket, size: int) -> None:
    """Take so much, or as much as there is until one is cut off: on a machine that stalls, that comes early."""
    with suppress(ConnectionError):
        while size > 0 and (taken := len(client.recv(min(size, 65_536)))):
            size -= taken


@dataclass
class Timer:
    """What is due at a time, unless it is cancelled."""

    due: float
    act: Callable[[], object]
    is_wanted: bool = True

    def cancel(self) -> None:
        self.is_wanted = False


class LoopOfOwnTime:
    """A loop whose time passes when the test says so."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._now = 0.0
        self._timers: list[Timer] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def call_later(self, delay: float, act: Callable[..., object], *args: Any) -> Timer:
        self._timers.append(Timer(self._now + delay, partial(act, *args)))
        return self._timers[-1]

    def pass_by(self, seconds: float) -> None:
        self._now += seconds
        due = [timer for timer in self._timers if timer.due <= self._now]
        self._timers = [timer for timer in self._timers if timer.due > self._now]
        for timer in due:
            if timer.is_wanted:
                timer.act()


class Unhurried(BoundedProtocol):
    """Waits for less than the whole answer takes, and for longer than each step of it does, by its own time."""

    timeout = 1.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.time = LoopOfOwnTime(self.loop)
        self.loop = cast(asyncio.AbstractEventLoop, self.time)


@pytest.mark.parametrize("pieces", [1, 512])
async def test_who_takes_the_answer_slowly_gets_all_of_it(pieces: int) -> None:
    async with serving(Unhurried) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server), limit=64 * 1024)
        writer.write(b"GET /much/%d/%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % (MUCH, pieces))
        await reader.readuntil(b"\r\n\r\n")
        (connection,) = server.server_state.connections
        assert isinstance(connection, Unhurried)
        taken, step = 0, MUCH // 16
        while chunk := await reader.read(step):
            taken += len(chunk)
            connection.time.pass_by(0.1 * len(chunk) / step)
        assert taken == MUCH
        writer.close()


@pytest.mark.parametrize("after", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize(
    "sent",
    [b"\r\n", b"GET / HT", GET, POST + b"Content-Length: 9\r\n\r\n{", CHUNKED + b"2\r\n{}\r\n"],
    ids=["a blank line", "a word", "half a head", "half a body", "chunks"],
)
async def test_who_begins_a_request_and_does_not_go_on_is_cut_off(impatient: int, sent: bytes, after: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", impatient)
    async with asyncio.timeout(PATIENCE):
        for _ in range(after):
            writer.write(GET + b"\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
        writer.write(sent)
        # The end of it, and not a timeout, which would be ours.
        with suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("behind", [b"GET / HT\0\0\r\n\r\n", CHUNKED + b"zz\r\n"], ids=["a head", "a body"])
async def test_who_is_being_answered_and_says_what_is_no_http_gets_all_of_the_answer_and_no_more(behind: bytes) -> None:
    async with serving(Impatient) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" + behind)
        async with asyncio.timeout(PATIENCE):
            while not server.server_state.connections:  # noqa: ASYNC110  # uvicorn tells nobody
                await asyncio.sleep(0)
            (connection,) = server.server_state.connections
            while not connection._ignores_input:  # type: ignore[union-attr]  # noqa: ASYNC110  # nor do we
                await asyncio.sleep(0)
            writer.write(b"more" + GET + b"\r\n")
            heard = await reader.read()
        assert heard.startswith(b"HTTP/1.1 200 OK")
        assert heard.count(b"HTTP/1.1 ") == 1
        writer.close()


async def test_who_says_nothing_at_all_is_cut_off_and_who_is_being_answered_is_not(impatient: int) -> None:
    assert await talk(impatient) == b""
    slow = b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert b"200 OK" in await talk(impatient, slow)
