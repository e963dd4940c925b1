"""Streams that open, stall and close leave no open files and no memory in the hub."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from tests.support.hub import Hub
from tests.support.timeouts import TIMEOUT_SECONDS
from tests.system.conftest import StartHub

pytestmark = pytest.mark.fresh_process

UNLIMITED = {"HUB_MAX_STREAMS_PER_USER": "0", "HUB_MAX_STREAMS_PER_ADDRESS": "0", "HUB_CONNECT_RATE_LIMIT": "0"}
STREAMS = 150
CYCLES = 8
DEEP_CYCLES = 60
BROADCASTS = 20
# The hub keeps the newest events in memory, at most 32 MiB: about 8 KB for each broadcast of a cycle.
KEPT_KB_PER_CYCLE = BROADCASTS * 8


def count_open_files(hub: Hub) -> int:
    """Return the number of open files without those of the database, which the pool of readers opens on demand."""
    links = []
    for entry in Path(f"/proc/{hub.server.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # The file was closed in the meantime.
            links.append(entry.readlink().name)
    return sum(not link.startswith("hub.db") for link in links)


def get_rss_kb(hub: Hub) -> int:
    status = Path(f"/proc/{hub.server.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


@pytest.mark.parametrize("stream_transport", ["direct", "asgi"])
async def test_closed_streams_leave_no_open_files_and_no_memory(start_hub: StartHub, deep: bool) -> None:
    cycles = DEEP_CYCLES if deep else CYCLES
    hub = await start_hub(**UNLIMITED, HUB_QUEUE_EVENTS="5")
    user, key = await hub.signup("client"), await hub.api_key("broadcast")
    request = (
        f"GET /api/realtime/connect HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {user.token}\r\n\r\n"
    ).encode()
    broadcast = {"type": "padded", "data": {"padding": "x" * 3_000}}
    usage = []
    async with hub.client(key) as client:

        async def count_streams() -> int:
            return int((await client.get("/api/realtime/status")).json()["connections"])

        for _ in range(cycles):
            connections = [
                await asyncio.open_connection("127.0.0.1", hub.server.port, limit=1_000) for _ in range(STREAMS)
            ]
            for reader, writer in connections:
                writer.write(request)
                # From here on the client does not read. The socket buffers fill and the stream falls behind.
                await reader.readuntil(b"\r\n\r\n")
            for _ in range(BROADCASTS):
                assert (await client.post("/api/realtime/broadcast", json=broadcast)).status_code == 202
            assert await count_streams() == STREAMS
            for number, (_, writer) in enumerate(connections):
                writer.transport.abort() if number % 2 else writer.close()
            async with asyncio.timeout(TIMEOUT_SECONDS):
                while await count_streams():  # noqa: ASYNC110  # the hub is another process
                    await asyncio.sleep(0.02)
            usage.append((count_open_files(hub), get_rss_kb(hub)))
    # The first cycles fill pools and caches. After that, only the kept events take more memory.
    assert usage[-1][0] <= usage[1][0]
    kept_kb = (cycles - 1 - cycles // 2) * KEPT_KB_PER_CYCLE
    assert usage[-1][1] - usage[cycles // 2][1] < kept_kb + 2_500, usage
