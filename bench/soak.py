"""`python -m bench.soak [--minutes 10]`: streams come, stall, are told much and are cut, again and again; what stays?

Both ways of writing have half of the time each. Ends with 1 when tasks, open files or memory have grown.
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
# One stream in so many reads nothing after its headers.
STALLED: Final = 4
BROADCASTS: Final = 20
PAD: Final = "x" * 3_000
# Cycles in which pools and caches fill; what is left after them is what must stay.
WARM: Final = 5
GONE_SECONDS: Final = 60.0
FILL_SECONDS: Final = 120.0
# What the last fifth of the cycles may have more than the first: chores that happen to run, and the allocator's noise.
# A thousand streams that each left something behind would show in a single cycle.
NOISE_TASKS: Final = 3
NOISE_MB: Final = 3.0
NUMBER: Final = re.compile(rb"^hub_(streams|tasks) (\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Left:
    """What a hub holds when all streams of a cycle have gone."""

    tasks: int
    files: int
    mb: float


class Reader(asyncio.Protocol):
    """One stream: reads and forgets, or does not read at all."""

    def __init__(self, ask: bytes, *, stalled: bool) -> None:
        self._ask, self._stalled = ask, stalled
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio's subclasses
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self.transport.write(self._ask)

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            self.opened.set_result(None)
            if self._stalled:
                self.transport.pause_reading()


class Soak:
    """One hub under the same load again and again."""

    def __init__(self, server: Server, key: str, tokens: Sequence[str]) -> None:
        self._server = server
        connect = [raw_client.request("GET", server.url, "/api/realtime/connect", token=token) for token in tokens]
        self._streams = [connect[number % len(connect)] for number in range(STREAMS)]
        said = json.dumps({"type": "bench", "data": {"text": PAD}}).encode()
        self._tell = raw_client.request("POST", server.url, "/api/realtime/broadcast", token=key, body=said)
        self._numbers = raw_client.request("GET", server.url, "/metrics")

    async def fill(self) -> None:
        """As many events as memory keeps of the log: it is bounded, and must not look like a leak while it fills."""
        numbers = iter(range(RealtimeOptions(epoch="").backlog_bytes // len(PAD)))

        async def one(caller: raw_client.Caller) -> bool:
            if next(numbers, None) is None:
                return False
            decode(await caller.ask(self._tell), 202)
            return True

        await raw_client.flat_out(await raw_client.callers(self._server.url, 32), FILL_SECONDS, one)

    async def cycle(self) -> Left:
        """All come, a fourth stall, all are told much, half of them are cut and half leave."""
        (caller,) = await raw_client.callers(self._server.url, 1)
        readers = await self._open()
        for _ in range(BROADCASTS):
            decode(await caller.ask(self._tell), 202)
        for number, reader in enumerate(readers):
            reader.transport.abort() if number % 2 else reader.transport.close()
        tasks = await self._tasks(caller)
        left = Left(tasks, self._files(), self._server.rss_kb() / 1_024)
        caller.transport.close()
        return left

    async def _open(self) -> list[Reader]:
        (host, port), loop = raw_client.where(self._server.url), asyncio.get_running_loop()
        readers: list[Reader] = []
        for start in range(0, STREAMS, 50):
            part = [
                Reader(ask, stalled=(start + at) % STALLED == 0)
                for at, ask in enumerate(self._streams[start : start + 50])
            ]
            for reader in part:
                await loop.create_connection(lambda made=reader: made, host, port)  # type: ignore[misc]  # bound now
            async with asyncio.timeout(raw_client.PATIENCE_SECONDS):
                await asyncio.gather(*(reader.opened for reader in part))
            readers += part
        return readers

    async def _tasks(self, caller: raw_client.Caller) -> int:
        """How many there are once no stream is left."""
        async with asyncio.timeout(GONE_SECONDS):
            while True:
                numbers = dict(NUMBER.findall((await caller.ask(self._numbers))[1]))
                if numbers[b"streams"] == b"0":
                    return int(numbers[b"tasks"])
                await asyncio.sleep(0.05)

    def _files(self) -> int:
        """Open files apart from the database's own: a bounded pool of readers opens those when they are needed."""
        links = []
        for entry in Path(f"/proc/{self._server.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                links.append(entry.readlink().name)
        return sum(not link.startswith("hub.db") for link in links)


async def soak(server: Server, minutes: float) -> list[Left]:
    """Cycles until the time is over, `WARM` and ten more at least."""
    key = server.hub("keys", "create", "bench", "--scope", "broadcast")
    running = Soak(server, key, [token for _, token in await sign_up(server.url, USERS)])
    await running.fill()
    seen, until = list[Left](), time.monotonic() + minutes * 60
    while len(seen) < WARM + 10 or time.monotonic() < until:
        seen.append(await running.cycle())
    return seen


def verdict(seen: Sequence[Left]) -> tuple[Left, Left, bool]:
    """Medians of the first and of the last fifth of the cycles, once warm, and whether nothing has grown."""
    warm = seen[WARM:]
    fifth = max(1, len(warm) // 5)
    first, last = _median(warm[:fifth]), _median(warm[-fifth:])
    flat = last.files <= first.files and last.tasks - first.tasks <= NOISE_TASKS and last.mb - first.mb < NOISE_MB
    return first, last, flat


def _median(some: Sequence[Left]) -> Left:
    return Left(
        statistics.median_low(one.tasks for one in some),
        statistics.median_low(one.files for one in some),
        statistics.median_low(one.mb for one in some),
    )


def main() -> None:
    """Soak both ways, print what was left at the beginning and at the end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10.0)
    minutes = parser.parse_args().minutes
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, set(range(1, os.cpu_count() or 1)))
    table = Table("way", "cycles", "streams", "tasks", "open files", "MiB", "", title=f"a soak of {minutes:g} minutes")
    grown = False
    for transport in ("direct", "asgi"):
        with servers.hub(HUB_STREAM_TRANSPORT=transport) as server:
            seen = uvloop.run(soak(server, minutes / 2))
        first, last, flat = verdict(seen)
        pairs = (f"{first.tasks} → {last.tasks}", f"{first.files} → {last.files}", f"{first.mb:.1f} → {last.mb:.1f}")
        table.add_row(transport, f"{len(seen):,}", f"{len(seen) * STREAMS:,}", *pairs, "flat" if flat else "GROWN")
        grown = grown or not flat
    Console().print(table)
    sys.exit(grown)


if __name__ == "__main__":
    main()
