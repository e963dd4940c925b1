"""SIGTERM: no new connections, a farewell to every stream, running requests finish, exit code 0; each time bounded."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Final

import anyio.to_thread
import httpx2
import pytest

from tests.support.hub import Hub, Person
from tests.support.sse_parser import Parser, ServerEvent

pytestmark = pytest.mark.parametrize("stream_transport", ["direct", "asgi"])

StartHub = Callable[..., Awaitable[Hub]]

STREAMS: Final = 500
ROOMY: Final = {"HUB_MAX_STREAMS_PER_USER": "0", "HUB_MAX_STREAMS_PER_ADDRESS": "0", "HUB_CONNECT_RATE_LIMIT": "0"}
# The promise is 2 s with 500 streams; what is here is for a machine on which other tests run.
SECONDS: Final = 10.0


class Raw:
    """A stream read to its last byte over a bare socket: cheap, and nothing is hidden."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.rest = b""

    @classmethod
    async def open(cls, hub: Hub, person: Person) -> "Raw":
        """Connect, and read up to the end of the confirmation."""
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.server.port)
        writer.write(
            b"GET /api/realtime/connect HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Authorization: Bearer " + person.token.encode() + b"\r\n\r\n"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        await reader.readuntil(b"\n\n")
        return cls(reader, writer)

    async def to_the_end(self) -> list[ServerEvent]:
        """What comes until the hub closes."""
        self.rest = await self._reader.read(1_000_000)
        while chunk := await self._reader.read(1_000_000):
            self.rest += chunk
        self._writer.close()
        chunks = [part for part in self.rest.split(b"\r\n") if part.startswith((b"event:", b"data:", b"id:"))]
        return Parser().feed(b"".join(chunks))


@pytest.mark.fresh_process
async def test_500_streams_all_get_a_farewell_and_a_whole_end(start_hub: StartHub) -> None:
    hub = await start_hub(**ROOMY)
    person = await hub.signup("client")
    streams = [await Raw.open(hub, person) for _ in range(STREAMS)]
    ends = asyncio.gather(*(stream.to_the_end() for stream in streams))
    assert await hub.stop(SECONDS) == 0
    async with asyncio.timeout(SECONDS):
        heard = await ends
    for stream, events in zip(streams, heard, strict=True):
        assert (events[-1].type, events[-1].data) == ("bye", {"reason": "shutdown"})
        # The last chunk of RFC 9112, 7.1: the response is whole, nothing was cut.
        assert stream.rest.endswith(b"0\r\n\r\n")
    waits = {events[-1].retry for events in heard}
    assert all(wait is not None and 1_000 <= wait <= 5_000 for wait in waits)
    # They do not all come back at once.
    assert len(waits) > STREAMS / 4
    assert [line["event"] for line in hub.lines() if line["logger"] == "serve"] == ["ready", "stopping", "stopped"]
    assert not [line for line in hub.lines() if line["level"] not in ("info", "debug")]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", hub.server.port), timeout=5)


async def test_the_farewell_comes_while_a_slow_request_still_runs_and_that_one_is_answered(hub: Hub) -> None:
    person = await hub.signup("client")
    async with hub.stream(person) as stream:
        await stream.next_event("connection_confirmed")
        body = b'{"name": "Finished In Time"}'
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.server.port)
        writer.write(
            b"PATCH /api/auth/me HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer " + person.token.encode() + b"\r\n"
            b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body[:5]
        )
        # The request has begun once another one, sent later, has been answered.
        async with hub.client(person) as client:
            assert (await client.get("/api/auth/me")).status_code == 200
        os.kill(hub.server.pid, signal.SIGTERM)
        assert (await stream.next_event("bye")).data == {"reason": "shutdown"}
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", hub.server.port)
        writer.write(body[5:])
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"Finished In Time" in await reader.read()
        writer.close()
    assert await anyio.to_thread.run_sync(hub.server.wait, SECONDS) == 0
    await hub.restart()
    async with hub.client(person) as client:
        assert (await client.get("/api/auth/me")).json()["name"] == "Finished In Time"


async def test_what_was_acknowledged_in_the_last_moment_is_there_and_was_told(hub: Hub) -> None:
    person = await hub.signup("client")
    key = await hub.api_key("notify")
    acknowledged: set[str] = set()

    async def send(client: httpx2.AsyncClient) -> None:
        body = {"userId": person.id, "type": "note", "category": "system", "title": "t", "body": "b"}
        while True:
            try:
                answer = await client.post("/api/realtime/notifications/send", json=body)
            except httpx2.TransportError:
                return
            # Nothing between: it is on disk, or it was refused and the caller was told so.
            assert answer.status_code in (201, 503), answer.text
            if answer.status_code == 201:
                acknowledged.add(answer.json()["id"])

    async with hub.stream(person) as stream, hub.client(key) as client:
        senders = [asyncio.create_task(send(client)) for _ in range(8)]
        await stream.read_until(lambda _: len(acknowledged) > 50)
        assert await hub.stop(SECONDS) == 0
        await asyncio.gather(*senders)
        await stream.wait_closed()
        cursor, heard = stream.last_event_id, {e.data["id"] for e in stream.events if e.type == "notification"}
    await hub.restart()
    async with hub.stream(person, cursor=cursor) as stream:
        await stream.read_until(
            lambda _: acknowledged <= heard | {e.data["id"] for e in stream.events if e.type == "notification"}
        )


@pytest.mark.fresh_process
async def test_more_signals_change_nothing(hub: Hub) -> None:
    person = await hub.signup("client")
    async with hub.stream(person) as stream:
        await stream.next_event("connection_confirmed")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGINT, signal.SIGTERM):
            os.kill(hub.server.pid, number)
        await stream.next_event("bye")
        assert await anyio.to_thread.run_sync(hub.server.wait, SECONDS) == 0
    assert "Traceback" not in hub.log


async def test_a_stream_that_nobody_reads_keeps_the_process_only_so_long(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_QUEUE_EVENTS="0")
    person, key = await hub.signup("client"), await hub.api_key("notify")
    stream = await hub.stream(person).open()
    stream.pause()
    body = {"userId": person.id, "type": "note", "category": "system", "title": "t", "body": "b" * 2_000}
    async with hub.client(key) as client:
        for _ in range(6):
            sent = await client.post("/api/realtime/notifications/send/batch", json=[body] * 100)
            assert sent.status_code == 201, sent.text
    assert await hub.stop(20.0) == 0
    hub.check_log()
