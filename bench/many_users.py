"""Measures one hub with 1,000 connected users: connects, latency, memory and CPU.

`python -m bench.many_users` prints the table.
"""

import asyncio
import json
import os
import re
import select
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

import uvloop
from rich.console import Console
from rich.table import Table

from bench import raw_client, servers
from bench.servers import Server, decode

USERS: Final = 1_000
ROUNDS: Final = 3
BROADCASTS: Final = 20
# Notifications per second to random users, and the duration of each measurement.
RATES: Final = (50, 500)
MEASUREMENT_SECONDS: Final = 6.0
# Concurrent requests, each on its own connection.
CALLERS: Final = 64
# After all streams are open, until the hub is idle.
SETTLE_SECONDS: Final = 15.0
NUMBER: Final = re.compile(rb"~bench(\d+)~")

Row = tuple[str, str, str]


class ArrivalTimes:
    """The arrival times of each numbered event, in order."""

    def __init__(self) -> None:
        self.times: dict[int, list[float]] = {}
        self.changed = asyncio.Event()

    def record(self, number: int, at: float) -> None:
        self.times.setdefault(number, []).append(at)
        self.changed.set()

    async def wait_for(self, numbers: range, listeners: int) -> list[float]:
        """Return the time at which the last of `listeners` streams received each of these events."""
        async with asyncio.timeout(raw_client.TIMEOUT_SECONDS):
            while any(len(self.times.get(number, ())) < listeners for number in reversed(numbers)):
                self.changed.clear()
                await self.changed.wait()
        return [self.times[number][-1] for number in numbers]


class NumberedListener(raw_client.Listener):
    """An open stream that records the numbers of the events it receives."""

    def __init__(self, request: bytes, arrivals: ArrivalTimes) -> None:
        super().__init__(request, b"", lambda at, count: None)
        self._arrivals = arrivals

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            super().data_received(data)
        for match in NUMBER.finditer(data):
            self._arrivals.record(int(match[1]), time.perf_counter())


@dataclass
class ConnectedUsers:
    """A hub with its users, and the arrival times of published events."""

    server: Server
    key: str
    users: list[tuple[str, str]]
    arrivals: ArrivalTimes = field(default_factory=ArrivalTimes)
    last_number: int = 0

    def build_connect_requests(self) -> list[bytes]:
        """Return the request of each user for a stream."""
        return [
            raw_client.build_request("GET", self.server.url, "/api/realtime/connect", token=token)
            for _, token in self.users
        ]

    def build_service_request(self, path: str, body: Mapping[str, object]) -> bytes:
        """Return a POST request with the API key."""
        return raw_client.build_request("POST", self.server.url, path, token=self.key, body=json.dumps(body).encode())

    def reserve_numbers(self, count: int) -> range:
        """Return `count` unused event numbers."""
        self.last_number += count
        return range(self.last_number - count, self.last_number)


def measure_connects(server: Server, requests: list[bytes]) -> list[float]:
    """Request all streams at the same time, and return the seconds until each has its first bytes."""
    poller = select.epoll()
    sockets = {
        connection.fileno(): connection
        for connection in (socket.create_connection(raw_client.parse_address(server.url)) for _ in requests)
    }
    for number in sockets:
        poller.register(number, select.EPOLLIN)
    times: list[float] = []
    began = time.perf_counter()
    for connection, request in zip(sockets.values(), requests, strict=True):
        connection.sendall(request)
    while len(times) < len(requests):
        ready, now = poller.poll(raw_client.TIMEOUT_SECONDS), time.perf_counter()
        if not ready:
            raise TimeoutError("the server does not respond")
        for number, _ in ready:
            head = sockets[number].recv(65_536)
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head[:300].decode("latin-1"))
            poller.unregister(number)
            times.append(now - began)
    for connection in sockets.values():
        connection.close()
    return times


async def open_streams(connected: ConnectedUsers) -> None:
    """Open a stream for each user, 32 at a time."""
    (host, port), loop = raw_client.parse_address(connected.server.url), asyncio.get_running_loop()
    requests = connected.build_connect_requests()
    for start in range(0, len(requests), 32):
        batch = [NumberedListener(request, connected.arrivals) for request in requests[start : start + 32]]
        for listener in batch:
            await loop.create_connection(lambda protocol=listener: protocol, host, port)  # type: ignore[misc]  # bound now
        await asyncio.gather(*(listener.opened for listener in batch))


async def measure_broadcasts(connected: ConnectedUsers) -> list[float]:
    """Return the seconds from each broadcast until the last user has received it."""
    (caller,), times = await raw_client.open_callers(connected.server.url, 1), []
    for _ in range(BROADCASTS):
        (number,) = numbers = connected.reserve_numbers(1)
        content = {"type": "bench", "data": {"text": f"~bench{number}~" + "x" * 180}}
        request, began = connected.build_service_request("/api/realtime/broadcast", content), time.perf_counter()
        decode(await caller.send(request), 202)
        times += [last - began for last in await connected.arrivals.wait_for(numbers, USERS)]
    return times


async def measure_at_rate(connected: ConnectedUsers, rate: int) -> tuple[list[float], float]:
    """Send `rate` notifications per second; return the seconds from the planned time to the stream, and the CPU share.

    Open loop: a late response delays no other request, and a delay caused by earlier requests counts.
    """
    numbers, random = connected.reserve_numbers(round(rate * MEASUREMENT_SECONDS)), Random(7)
    idle = asyncio.Queue[raw_client.Caller]()
    for caller in await raw_client.open_callers(connected.server.url, CALLERS):
        idle.put_nowait(caller)

    async def send(number: int) -> None:
        caller = await idle.get()
        notification = {
            "userId": random.choice(connected.users)[0],
            "type": "bench",
            "category": "system",
            "body": "x" * 120,
        }
        request = connected.build_service_request(
            "/api/realtime/notifications/send", notification | {"title": f"~bench{number}~"}
        )
        decode(await caller.send(request), 201)
        idle.put_nowait(caller)

    cpu_before, began = connected.server.read_cpu_seconds(), time.perf_counter()
    due = {number: began + at / rate for at, number in enumerate(numbers)}
    async with asyncio.TaskGroup() as tasks:
        for number in numbers:
            await asyncio.sleep(max(0.0, due[number] - time.perf_counter()))
            tasks.create_task(send(number))
    last = await connected.arrivals.wait_for(numbers, 1)
    share = (connected.server.read_cpu_seconds() - cpu_before) / (time.perf_counter() - began)
    return [at - due[number] for number, at in zip(numbers, last, strict=True)], share


async def sign_up(url: str, count: int) -> list[tuple[str, str]]:
    """Create `count` users and return the id and token of each."""
    users, (caller,) = [], await raw_client.open_callers(url, 1)
    for number in range(count):
        account = {"email": f"u{number}@example.org", "password": "correct horse", "name": "U", "role": "client"}
        response = decode(
            await caller.send(
                raw_client.build_request("POST", url, "/api/auth/signup", body=json.dumps(account).encode())
            ),
            201,
        )
        assert isinstance(response["user"], dict)
        users.append((str(response["user"]["id"]), str(response["token"])))
    return users


def format_percentiles(seconds: list[float]) -> str:
    """Return the median and the 99th percentile as text."""
    p50, p99 = raw_client.get_percentile_ms(seconds, 0.5), raw_client.get_percentile_ms(seconds, 0.99)
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"


async def measure(connected: ConnectedUsers) -> list[Row]:
    """Connect all users and run all measurements, one after the other."""
    before = connected.server.read_rss_kb()
    await open_streams(connected)
    await asyncio.sleep(SETTLE_SECONDS)
    total = connected.server.read_rss_kb()
    rows = [
        ("MiB in total", f"{total / 1_024:.1f}", "≤ 70"),
        ("  of it for the streams", f"{(total - before) / 1_024:.1f}", "≤ 5"),
        ("broadcast → last stream", format_percentiles(await measure_broadcasts(connected)), "< 50 ms"),
    ]
    for rate in RATES:
        times, share = await measure_at_rate(connected, rate)
        rows.append(
            (f"publish → stream at {rate} notifications/s", format_percentiles(times), "500/s: p50 ≤ 3, p99 ≤ 15 ms")
        )
        rows.append((f"  % of a core at {rate}/s", f"{share * 100:.1f}", "50/s: < 5"))
    return rows


def main() -> None:
    """Measure connects on one hub and the rest on a fresh one with the same store, and print the table."""
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, set(range(1, os.cpu_count() or 1)))
    with TemporaryDirectory() as folder:
        with servers.run_hub(Path(folder)) as server:
            key = server.run_command("keys", "create", "bench", "--scope", "notify", "--scope", "broadcast")
            connected = ConnectedUsers(server, key, uvloop.run(sign_up(server.url, USERS)))
            rounds = [measure_connects(server, connected.build_connect_requests()) for _ in range(ROUNDS)]
        with servers.run_hub(Path(folder)) as server:
            rows = uvloop.run(measure(ConnectedUsers(server, key, connected.users)))
    table = Table("figure", "hub", "goal", title=f"{USERS:,} users with one stream each")
    table.add_row(
        "connect, all at the same time", format_percentiles(sorted(rounds, key=max)[ROUNDS // 2]), "p99 < 100 ms"
    )
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
