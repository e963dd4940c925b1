"""Shutdown on SIGTERM: bye frames, running requests finish, exit code 0 whatever clients do."""

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
from tests.support.stream_client import StreamClient
from tests.support.timeouts import TIMEOUT_SECONDS

pytestmark = pytest.mark.parametrize("stream_transport", ["direct", "asgi"])

StartHub = Callable[..., Awaitable[Hub]]

STREAMS: Final = 500
NO_LIMITS: Final = {"HUB_MAX_STREAMS_PER_USER": "0", "HUB_MAX_STREAMS_PER_ADDRESS": "0", "HUB_CONNECT_RATE_LIMIT": "0"}


class RawStream:
    """A stream read over a plain socket to its last byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.rest_bytes = b""

    @classmethod
    async def open(cls, hub: Hub, person: Person) -> "RawStream":
        """Connect and read until the end of the first event."""
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.server.port)
        writer.write(
            b"GET /api/realtime/connect HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Authorization: Bearer " + person.token.encode() + b"\r\n\r\n"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        await reader.readuntil(b"\n\n")
        return cls(reader, writer)

    async def read_to_end(self) -> list[ServerEvent]:
        """Return the remaining events until the hub closes the connection."""
        self.rest_bytes = await self._reader.read(1_000_000)
        while chunk := await self._reader.read(1_000_000):
            self.rest_bytes += chunk
        self._writer.close()
        chunks = [part for part in self.rest_bytes.split(b"\r\n") if part.startswith((b"event:", b"data:", b"id:"))]
        return Parser().feed(b"".join(chunks))


@pytest.mark.fresh_process
async def test_shutdown_sends_bye_and_a_complete_response_to_500_streams(start_hub: StartHub) -> None:
    hub = await start_hub(**NO_LIMITS)
    person = await hub.signup("client")
    streams = [await RawStream.open(hub, person) for _ in range(STREAMS)]
    readers = asyncio.gather(*(stream.read_to_end() for stream in streams))
    assert await hub.stop() == 0
    async with asyncio.timeout(TIMEOUT_SECONDS):
        received = await readers
    for stream, events in zip(streams, received, strict=True):
        assert (events[-1].type, events[-1].data) == ("bye", {"reason": "shutdown"})
        # The last chunk (RFC 9112, 7.1): the response is complete.
        assert stream.rest_bytes.endswith(b"0\r\n\r\n")
    delays_ms = {events[-1].retry for events in received}
    assert all(delay is not None and 1_000 <= delay <= 5_000 for delay in delays_ms)
    # The clients reconnect at different times.
    assert len(delays_ms) > STREAMS / 4
    assert [line["event"] for line in hub.lines() if line["logger"] == "serve"] == ["ready", "stopping", "stopped"]
    # A shutdown that waits for the end of its grace period logs an error.
    assert not [line for line in hub.lines() if line["level"] not in ("info", "debug")]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", hub.server.port), timeout=TIMEOUT_SECONDS)


async def test_shutdown_sends_bye_first_and_finishes_a_slow_request(hub: Hub) -> None:
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
        # The hub has started this request when it responds to a later one.
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
    assert await anyio.to_thread.run_sync(hub.server.wait) == 0
    await hub.restart()
    async with hub.client(person) as client:
        assert (await client.get("/api/auth/me")).json()["name"] == "Finished In Time"


async def test_writes_acknowledged_during_shutdown_are_stored_and_published(hub: Hub) -> None:
    person = await hub.signup("client")
    key = await hub.api_key("notify")
    acknowledged: set[str] = set()

    async def send(client: httpx2.AsyncClient) -> None:
        body = {"userId": person.id, "type": "note", "category": "system", "title": "t", "body": "b"}
        while True:
            try:
                response = await client.post("/api/realtime/notifications/send", json=body)
            except httpx2.TransportError:
                return
            # Each request is either stored or rejected.
            assert response.status_code in (201, 503), response.text
            if response.status_code == 201:
                acknowledged.add(response.json()["id"])

    async with hub.stream(person) as stream, hub.client(key) as client:
        senders = [asyncio.create_task(send(client)) for _ in range(8)]
        await stream.read_until(lambda _: len(acknowledged) > 50)
        assert await hub.stop() == 0
        await asyncio.gather(*senders)
        await stream.wait_closed()
        cursor, received = stream.last_event_id, notification_ids(stream)
    await hub.restart()
    async with hub.stream(person, cursor=cursor) as stream:
        await stream.read_until(lambda _: acknowledged <= received | notification_ids(stream))


def notification_ids(stream: StreamClient) -> set[str]:
    """Return the ids of the notifications that the stream has received."""
    return {event.data["id"] for event in stream.events if event.type == "notification"}


@pytest.mark.fresh_process
async def test_shutdown_ignores_further_signals(hub: Hub) -> None:
    person = await hub.signup("client")
    async with hub.stream(person) as stream:
        await stream.next_event("connection_confirmed")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGINT, signal.SIGTERM):
            os.kill(hub.server.pid, number)
        await stream.next_event("bye")
        assert await anyio.to_thread.run_sync(hub.server.wait) == 0
    assert "Traceback" not in hub.log


async def test_shutdown_time_is_limited_when_a_client_does_not_read(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_QUEUE_EVENTS="0")
    person, key = await hub.signup("client"), await hub.api_key("notify")
    stream = await hub.stream(person).open()
    stream.pause()
    body = {"userId": person.id, "type": "note", "category": "system", "title": "t", "body": "b" * 2_000}
    async with hub.client(key) as client:
        for _ in range(6):
            sent = await client.post("/api/realtime/notifications/send/batch", json=[body] * 100)
            assert sent.status_code == 201, sent.text
    assert await hub.stop() == 0
    hub.check_log()
