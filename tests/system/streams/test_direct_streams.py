"""Direct streams: exact HTTP framing, detection of closed connections, and limits on streams."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest

from api.streams.uvicorn_internals import REQUIRED_NAMES, find_missing_names
from tests.support.hub import Hub, Person
from tests.support.timeouts import TIMEOUT_SECONDS
from tests.system.conftest import StartHub

# Together these events of 15 KB exceed the socket buffers of a client that does not read.
EVENT_COUNT = 120


@dataclass
class RawStream:
    """A stream on a raw socket. `head` is the response head; `reader` continues after it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes


@asynccontextmanager
async def open_raw(hub: Hub, user: Person, version: str = "1.1", *, trailing: bytes = b"") -> AsyncIterator[RawStream]:
    """Open a stream and read the response head. `trailing` is sent together with the request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.server.port)
    writer.write(
        f"GET /api/realtime/connect HTTP/{version}\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {user.token}\r\n\r\n".encode()
        + trailing
    )
    yield RawStream(reader, writer, (await reader.readuntil(b"\r\n\r\n")).lower())
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def wait_for_streams(hub: Hub, count: int) -> None:
    """Wait until the hub reports this number of open streams."""
    async with hub.client() as client, asyncio.timeout(TIMEOUT_SECONDS):
        while (await client.get("/api/realtime/status")).json()["connections"] != count:  # noqa: ASYNC110  # the hub is another process
            await asyncio.sleep(0.01)


def test_pinned_uvicorn_has_all_names_required_by_takeover() -> None:
    assert find_missing_names() == []


def test_missing_uvicorn_names_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        REQUIRED_NAMES, type("Cycle", (), {"__init__": lambda self: None}), frozenset({"chunked_encoding"})
    )
    assert find_missing_names() == ["Cycle.chunked_encoding"]


async def test_direct_stream_frames_every_chunk_and_announces_close(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_STREAM_TRANSPORT="direct")
    async with open_raw(hub, await hub.signup("client")) as raw:
        assert raw.head.count(b"connection: ") == 1
        assert b"\r\nconnection: close\r\n" in raw.head
        assert b"\r\ntransfer-encoding: chunked\r\n" in raw.head
        assert await hub.stop() == 0
        rest, body, size = await raw.reader.read(), b"", -1
    while size:
        head, _, rest = rest.partition(b"\r\n")
        size = int(head, 16)
        assert rest[size:][:2] == b"\r\n"
        body += rest[:size]
        rest = rest[size + 2 :]
    assert rest == b""
    assert body.startswith(b"event: connection_confirmed\n")
    assert body.endswith(b'data: {"reason":"shutdown"}\n\n')


async def test_http_1_0_client_gets_no_chunked_coding(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_STREAM_TRANSPORT="direct")
    async with open_raw(hub, await hub.signup("client"), version="1.0") as raw:
        assert b"transfer-encoding" not in raw.head
        assert await hub.stop() == 0
        body = await raw.reader.read()
    assert body.startswith(b"event: connection_confirmed\n")
    assert body.endswith(b'data: {"reason":"shutdown"}\n\n')


async def test_bytes_sent_on_an_open_stream_are_ignored(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_STREAM_TRANSPORT="direct")
    user = await hub.signup("client")
    async with open_raw(hub, user) as raw:
        await raw.reader.readuntil(b"\n\n")
        raw.writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" + b"\0" * 200_000)
        await raw.writer.drain()
        async with hub.client(user) as client:
            assert (await client.get("/api/auth/me")).status_code == 200
        assert await hub.stop() == 0
        assert b"HTTP/1.1" not in await raw.reader.read()


async def test_closed_connection_is_detected(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_STREAM_TRANSPORT="direct")
    user = await hub.signup("client")
    async with open_raw(hub, user) as aborted, open_raw(hub, user) as half_closed, open_raw(hub, user) as remaining:
        for raw in (aborted, half_closed, remaining):
            await raw.reader.readuntil(b"\n\n")
        aborted.writer.transport.abort()
        half_closed.writer.write_eof()
        await wait_for_streams(hub, 1)


@pytest.mark.parametrize(
    "trailing", [b"GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n", b"\0\0\r\n\r\n"], ids=["request", "invalid_http"]
)
async def test_closed_connection_is_detected_after_trailing_bytes(start_hub: StartHub, trailing: bytes) -> None:
    # Without heartbeats, a failed write cannot reveal that the connection is closed.
    hub = await start_hub(HUB_STREAM_TRANSPORT="direct", HUB_MAX_STREAMS_PER_USER="2", HUB_HEARTBEAT_SECONDS="3600")
    user = await hub.signup("client")
    for _ in range(4):
        async with open_raw(hub, user, trailing=trailing) as raw:
            # The stream request gets its response. The trailing bytes get none.
            assert b"\r\nconnection: close\r\n" in raw.head
            assert b"event: connection_confirmed\n" in await raw.reader.readuntil(b"\n\n")
        await wait_for_streams(hub, 0)


async def test_asgi_stream_with_trailing_request_ends_at_the_next_write(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_STREAM_TRANSPORT="asgi", HUB_HEARTBEAT_SECONDS="0.2")
    trailing = b"GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n"
    async with open_raw(hub, await hub.signup("client"), trailing=trailing) as raw:
        await raw.reader.readuntil(b"\n\n")
        raw.writer.transport.abort()
    await wait_for_streams(hub, 0)


@pytest.mark.parametrize("stream_transport", ["direct", "asgi"])
async def test_streams_are_limited_for_the_whole_hub(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_MAX_STREAMS="2")
    users = [await hub.signup("client") for _ in range(3)]
    async with hub.stream(users[0]) as first, hub.stream(users[1]) as second, hub.stream(users[2]) as third:
        await first.next_event("connection_confirmed")
        await second.next_event("connection_confirmed")
        assert (await third.next_event("bye")).data == {"reason": "overloaded"}


@pytest.mark.parametrize("stream_transport", ["direct", "asgi"])
async def test_paused_reader_catches_up_and_receives_all_events_in_order(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_QUEUE_EVENTS="5")
    user, key = await hub.signup("client"), await hub.api_key("broadcast")
    async with hub.stream(user) as slow:
        await slow.next_event("connection_confirmed")
        slow.pause()
        async with hub.client(key) as client:
            for number in range(EVENT_COUNT):
                body = {"type": "numbered", "data": {"number": number, "padding": "x" * 15_000}}
                assert (await client.post("/api/realtime/broadcast", json=body)).status_code == 202
            status = (await client.get("/api/realtime/status")).json()
        assert status["dropped"] > 0
        slow.resume()
        await slow.read_until(lambda _: sum(event.type == "numbered" for event in slow.events) == EVENT_COUNT)
        assert [event.data["number"] for event in slow.events if event.type == "numbered"] == list(range(EVENT_COUNT))
