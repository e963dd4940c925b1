"""Detects leaks: opens, stalls and cuts streams repeatedly and measures what remains.

`python -m bench.soak [--minutes 10]` uses half of the time for each stream transport. The exit code is 1 if tasks,
open files or memory have grown.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import socket
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop
from rich.console import Console
from rich.table import Table

from bench import raw_client, servers
from bench.many_users import sign_up
from bench.servers import Server, decode
from realtime.options import RealtimeOptions

USERS: Final = 100
STREAMS: Final = 1_000
# One of this many streams reads nothing after its headers.
STALLED_SHARE: Final = 4
BROADCASTS: Final = 20
PAD: Final = "x" * 3_000
# Pools and caches fill during these cycles, so they are not compared.
WARM_UP_CYCLES: Final = 5
MAX_CLOSE_SECONDS: Final = 60.0
MAX_FILL_SECONDS: Final = 120.0
# Allowed growth from the first to the last fifth of the cycles, for periodic tasks and allocator noise.
# A leak per stream would exceed it in a single cycle of 1,000 streams.
MAX_TASK_GROWTH: Final = 3
MAX_MB_GROWTH: Final = 3.0
METRIC: Final = re.compile(rb"^hub_(streams|tasks) (\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Remainder:
    """What a hub holds after all streams of a cycle have closed."""

    tasks: int
    files: int
    mb: float


class Reader(asyncio.Protocol):
    """An open stream that discards what it reads, or reads nothing if `stalled`."""

    def __init__(self, request: bytes, *, stalled: bool) -> None:
        self._request, self._stalled = request, stalled
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio's subclasses
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            self.opened.set_result(None)
            if self._stalled:
                self.transport.pause_reading()


class Soak:
    """Applies the same load to one hub repeatedly."""

    def __init__(self, server: Server, key: str, tokens: Sequence[str]) -> None:
        self._server = server
        connect = [
            raw_client.build_request("GET", server.url, "/api/realtime/connect", token=token) for token in tokens
        ]
        self._streams = [connect[number % len(connect)] for number in range(STREAMS)]
        body = json.dumps({"type": "bench", "data": {"text": PAD}}).encode()
        self._broadcast = raw_client.build_request("POST", server.url, "/api/realtime/broadcast", token=key, body=body)
        self._metrics = raw_client.build_request("GET", server.url, "/metrics")

    async def fill(self) -> None:
        """Fill the backlog in memory, so that its growth does not look like a leak."""
        numbers = iter(range(RealtimeOptions(epoch="").backlog_bytes // len(PAD)))

        async def send(caller: raw_client.Caller) -> bool:
            if next(numbers, None) is None:
                return False
            decode(await caller.send(self._broadcast), 202)
            return True

        await raw_client.run_callers(await raw_client.open_callers(self._server.url, 32), MAX_FILL_SECONDS, send)

    async def run_cycle(self) -> Remainder:
        """Open all streams, stall a fourth, broadcast, abort one half and close the other, and measure what remains."""
        (caller,) = await raw_client.open_callers(self._server.url, 1)
        readers = await self._open()
        for _ in range(BROADCASTS):
            decode(await caller.send(self._broadcast), 202)
        for number, reader in enumerate(readers):
            reader.transport.abort() if number % 2 else reader.transport.close()
        tasks = await self._count_tasks(caller)
        remainder = Remainder(tasks, self._count_files(), self._server.read_rss_kb() / 1_024)
        caller.transport.close()
        return remainder

    async def _open(self) -> list[Reader]:
        (host, port), loop = raw_client.parse_address(self._server.url), asyncio.get_running_loop()
        readers: list[Reader] = []
        for start in range(0, STREAMS, 50):
            batch = [
                Reader(request, stalled=(start + at) % STALLED_SHARE == 0)
                for at, request in enumerate(self._streams[start : start + 50])
            ]
            for reader in batch:
                await loop.create_connection(lambda protocol=reader: protocol, host, port)  # type: ignore[misc]  # bound now
            async with asyncio.timeout(raw_client.TIMEOUT_SECONDS):
                await asyncio.gather(*(reader.opened for reader in batch))
            readers += batch
        return readers

    async def _count_tasks(self, caller: raw_client.Caller) -> int:
        """Return the number of tasks after all streams have closed."""
        async with asyncio.timeout(MAX_CLOSE_SECONDS):
            while True:
                metrics = dict(METRIC.findall((await caller.send(self._metrics))[1]))
                if metrics[b"streams"] == b"0":
                    return int(metrics[b"tasks"])
                await asyncio.sleep(0.05)

    def _count_files(self) -> int:
        """Return the number of open files without those of the database, which its reader pool opens on demand."""
        links = []
        for entry in Path(f"/proc/{self._server.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed in the meantime
                links.append(entry.readlink().name)
        return sum(not link.startswith("hub.db") for link in links)


async def run_soak(server: Server, minutes: float) -> list[Remainder]:
    """Run cycles until the time is over, at least ten after the warm-up."""
    key = server.run_command("keys", "create", "bench", "--scope", "broadcast")
    soak = Soak(server, key, [token for _, token in await sign_up(server.url, USERS)])
    await soak.fill()
    remainders, deadline = list[Remainder](), time.monotonic() + minutes * 60
    while len(remainders) < WARM_UP_CYCLES + 10 or time.monotonic() < deadline:
        remainders.append(await soak.run_cycle())
    return remainders


def summarize(remainders: Sequence[Remainder]) -> tuple[Remainder, Remainder, bool]:
    """Return the medians of the first and the last fifth of the cycles after the warm-up, and whether nothing grew."""
    warm = remainders[WARM_UP_CYCLES:]
    fifth = max(1, len(warm) // 5)
    first, last = _median(warm[:fifth]), _median(warm[-fifth:])
    is_flat = (
        last.files <= first.files and last.tasks - first.tasks <= MAX_TASK_GROWTH and last.mb - first.mb < MAX_MB_GROWTH
    )
    return first, last, is_flat


def _median(remainders: Sequence[Remainder]) -> Remainder:
    return Remainder(
        statistics.median_low(remainder.tasks for remainder in remainders),
        statistics.median_low(remainder.files for remainder in remainders),
        statistics.median_low(remainder.mb for remainder in remainders),
    )


def main() -> None:
    """Run the soak with both stream transports and print what remained at the beginning and at the end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10.0)
    minutes = parser.parse_args().minutes
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, set(range(1, os.cpu_count() or 1)))
    table = Table(
        "transport", "cycles", "streams", "tasks", "open files", "MiB", "", title=f"soak of {minutes:g} minutes"
    )
    has_grown = False
    for transport in ("direct", "asgi"):
        with servers.run_hub(HUB_STREAM_TRANSPORT=transport) as server:
            remainders = uvloop.run(run_soak(server, minutes / 2))
        first, last, is_flat = summarize(remainders)
        pairs = (f"{first.tasks} → {last.tasks}", f"{first.files} → {last.files}", f"{first.mb:.1f} → {last.mb:.1f}")
        table.add_row(
            transport, f"{len(remainders):,}", f"{len(remainders) * STREAMS:,}", *pairs, "flat" if is_flat else "GROWN"
        )
        has_grown = has_grown or not is_flat
    Console().print(table)
    sys.exit(has_grown)


if __name__ == "__main__":
    main()
