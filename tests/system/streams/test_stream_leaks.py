"""A short soak: connects, cuts, readers that stall and broadcasts leave nothing behind in a real hub."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.hub import Hub

StartHub = Callable[..., Awaitable[Hub]]

pytestmark = pytest.mark.fresh_process

ROOMY = {"HUB_MAX_STREAMS_PER_USER": "0", "HUB_MAX_STREAMS_PER_ADDRESS": "0", "HUB_CONNECT_RATE_LIMIT": "0"}
STREAMS = 150
CYCLES = 8


def files(hub: Hub) -> int:
    """How many the hub has open, apart from its database: a bounded pool of readers opens that when they are needed."""
    links = []
    for entry in Path(f"/proc/{hub.server.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            links.append(entry.readlink().name)
    return sum(not link.startswith("hub.db") for link in links)


def rss_kb(hub: Hub) -> int:
    status = Path(f"/proc/{hub.server.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


@pytest.mark.parametrize("stream_transport", ["direct", "asgi"])
async def test_streams_that_come_and_go_leave_no_file_and_no_memory(start_hub: StartHub) -> None:
    hub = await start_hub(**ROOMY, HUB_QUEUE_EVENTS="5")
    person, key = await hub.signup("client"), await hub.api_key("broadcast")
    ask = (
        f"GET /api/realtime/connect HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {person.token}\r\n\r\n"
    ).encode()
    told = {"type": "told", "data": {"much": "x" * 3_000}}
    seen = []
    async with hub.client(key) as client:

        async def status() -> int:
            return int((await client.get("/api/realtime/status")).json()["connections"])

        for _ in range(CYCLES):
            ends = [await asyncio.open_connection("127.0.0.1", hub.server.port, limit=1_000) for _ in range(STREAMS)]
            for reader, writer in ends:
                writer.write(ask)
                # From here on nobody reads: the kernel's buffers fill, and the stream falls behind.
                await reader.readuntil(b"\r\n\r\n")
            for _ in range(20):
                assert (await client.post("/api/realtime/broadcast", json=told)).status_code == 202
            assert await status() == STREAMS
            for number, (_, writer) in enumerate(ends):
                writer.transport.abort() if number % 2 else writer.close()
            async with asyncio.timeout(20):
                while await status():  # noqa: ASYNC110  # the hub is another process
                    await asyncio.sleep(0.02)
            seen.append((files(hub), rss_kb(hub)))
    # The first cycles fill pools and caches; after that nothing grows.
    assert seen[-1][0] <= seen[1][0]
    assert seen[-1][1] - seen[CYCLES // 2][1] < 3_000, seen
