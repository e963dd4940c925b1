"""Streams that the hub writes by itself: the wire is HTTP to the byte, uvicorn's books are left, limits hold."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest

from api.streams.uvicorn_internals import REQUIRED_NAMES, find_missing_names
from tests.support.hub import Hub, Person

StartHub = Callable[..., Awaitable[Hub]]

# Events of 15 KB: more than the kernel takes for one who does not read.
FILLING = 120


@dataclass
class Raw:
    """A stream over a bare socket, from the end of its headers on."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes


@asynccontextmanager
async def opened(hub: Hub, person: Person, version: str = "1.1", *, behind: bytes = b"") -> AsyncIterator[Raw]:
    """Connect, and read the headers; `behind` is sent together with the request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.server.port)
    writer.write(
        f"GET /api/realtime/connect HTTP/{version}\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {person.token}\r\n\r\n".encode()
        + behind
    )
    yield Raw(reader, writer, (await reader.readuntil(b"\r\n\r\n")).lower())
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def streams_are(hub: Hub, count: int) -> None:
    """Wait until so many are open."""
    async with hub.client() as client, asyncio.timeout(30):
        while (await client.get("/api/realtime/status")).json()["connections"] != count:  # noqa: ASYNC110  # the hub is another process
            await asyncio.sleep(0.01)


def test_the_pinned_uvicorn_has_all_that_takeover_needs() -> None:
    assert find_missing_names() == []


def test_what_a_changed_uvicorn_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        REQUIRED_NAMES, type("Cycle", (), {"__init__": lambda self: None}), frozenset({"chunked_encoding"})
    )
    assert find_missing_names() == ["Cycle.chunked_encoding"]


async def test_every_chunk_is_framed_and_the_connection_is_said_to_close(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_STREAM_TRANSPORT="direct")
    async with opened(hub, await hub.signup("client")) as raw:
        assert raw.head.count(b"connection: ") == 1
        assert b"\r\nconnection: close\r\n" in raw.head
        assert b"\r\ntransfer-encoding: chunked\r\n" in raw.head
        assert await hub.stop() == 0
        rest, body, chunk = await raw.reader.read(), b"", b"more"
    while chunk:
        size, _, rest = rest.partition(b"\r\n")
        chunk, end, rest = rest[: int(size, 16)], rest[int(size, 16) :][:2], rest[int(size, 16) :][2:]
        assert end == b"\r\n"
        body += chunk
    assert rest == b""
    assert body.startswith(b"event: connection_confirmed\n")
    assert body.endswith(b'data: {"reason":"shutdown"}\n\n')


async def test_a_client_of_http_1_0_gets_no_chunks(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_STREAM_TRANSPORT="direct")
    async with opened(hub, await hub.signup("client"), version="1.0") as raw:
        assert b"transfer-encoding" not in raw.head
        assert await hub.stop() == 0
        body = await raw.reader.read()
    assert body.startswith(b"event: connection_confirmed\n")
    assert body.endswith(b'data: {"reason":"shutdown"}\n\n')


async def test_what_a_client_says_on_its_stream_is_not_heard(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_STREAM_TRANSPORT="direct")
    person = await hub.signup("client")
    async with opened(hub, person) as raw:
        await raw.reader.readuntil(b"\n\n")
        raw.writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" + b"\0" * 200_000)
        await raw.writer.drain()
        async with hub.client(person) as client:
            assert (await client.get("/api/auth/me")).status_code == 200
        assert await hub.stop() == 0
        assert b"HTTP/1.1" not in await raw.reader.read()


async def test_a_client_that_goes_is_noticed(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_STREAM_TRANSPORT="direct")
    person = await hub.signup("client")
    async with opened(hub, person) as cut, opened(hub, person) as ended, opened(hub, person) as stays:
        for raw in (cut, ended, stays):
            await raw.reader.readuntil(b"\n\n")
        cut.writer.transport.abort()
        ended.writer.write_eof()
        await streams_are(hub, 1)


@pytest.mark.parametrize(
    "behind", [b"GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n", b"\0\0\r\n\r\n"], ids=["a request", "no HTTP"]
)
async def test_a_client_that_said_more_behind_its_request_and_goes_is_noticed(
    start_hub: StartHub, behind: bytes
) -> None:
    # Not by a heartbeat that cannot be written.
    hub = await start_hub(HUB_STREAM_TRANSPORT="direct", HUB_MAX_STREAMS_PER_USER="2", HUB_HEARTBEAT_SECONDS="3600")
    person = await hub.signup("client")
    for _ in range(4):
        async with opened(hub, person, behind=behind) as raw:
            # Its own answer, and what is behind gets none.
            assert b"\r\nconnection: close\r\n" in raw.head
            assert b"event: connection_confirmed\n" in await raw.reader.readuntil(b"\n\n")
        await streams_are(hub, 0)


async def test_a_portable_stream_with_a_request_behind_ends_at_the_next_write(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_STREAM_TRANSPORT="asgi", HUB_HEARTBEAT_SECONDS="0.2")
    behind = b"GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n"
    async with opened(hub, await hub.signup("client"), behind=behind) as raw:
        await raw.reader.readuntil(b"\n\n")
        raw.writer.transport.abort()
    await streams_are(hub, 0)


@pytest.mark.parametrize("stream_transport", ["direct", "asgi"])
async def test_there_is_a_most_of_streams_in_all(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_MAX_STREAMS="2")
    people = [await hub.signup("client") for _ in range(3)]
    async with hub.stream(people[0]) as first, hub.stream(people[1]) as second, hub.stream(people[2]) as third:
        await first.next_event("connection_confirmed")
        await second.next_event("connection_confirmed")
        assert (await third.next_event("bye")).data == {"reason": "overloaded"}


@pytest.mark.parametrize("stream_transport", ["direct", "asgi"])
async def test_a_reader_that_pauses_falls_behind_and_gets_everything_in_order(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_QUEUE_EVENTS="5")
    person, key = await hub.signup("client"), await hub.api_key("broadcast")
    async with hub.stream(person) as slow:
        await slow.next_event("connection_confirmed")
        slow.pause()
        async with hub.client(key) as client:
            for number in range(FILLING):
                told = {"type": "told", "data": {"number": number, "much": "x" * 15_000}}
                assert (await client.post("/api/realtime/broadcast", json=told)).status_code == 202
            status = (await client.get("/api/realtime/status")).json()
        assert status["dropped"] > 0
        slow.resume()
        await slow.read_until(lambda _: sum(event.type == "told" for event in slow.events) == FILLING)
        assert [event.data["number"] for event in slow.events if event.type == "told"] == list(range(FILLING))
