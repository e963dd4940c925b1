"""`python -m bench.many_users`: a thousand users on one hub: connects, latency of events and cost."""

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
# Notifications to users at random, a second; for how long.
RATES: Final = (50, 500)
SECONDS: Final = 6.0
# Requests under way at once, each on a connection of its own.
CALLERS: Final = 64
# Once all streams are open, until the hub has nothing left to do.
SETTLE_SECONDS: Final = 15.0
NUMBER: Final = re.compile(rb"~bench(\d+)~")

Row = tuple[str, str, str]


class Heard:
    """When each numbered publish arrived: first anywhere, and last everywhere."""

    def __init__(self) -> None:
        self.times: dict[int, list[float]] = {}
        self.more = asyncio.Event()

    def note(self, number: int, at: float) -> None:
        self.times.setdefault(number, []).append(at)
        self.more.set()

    async def wait(self, numbers: range, listeners: int) -> list[float]:
        """The time at which the last of so many listeners had each of these."""
        async with asyncio.timeout(raw_client.PATIENCE_SECONDS):
            while any(len(self.times.get(number, ())) < listeners for number in reversed(numbers)):
                self.more.clear()
                await self.more.wait()
        return [self.times[number][-1] for number in numbers]


class NumberedListener(raw_client.Listener):
    """One open stream that notes which publishes it hears."""

    def __init__(self, request: bytes, heard: Heard) -> None:
        super().__init__(request, b"", lambda at, count: None)
        self._numbers = heard

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            super().data_received(data)
        for found in NUMBER.finditer(data):
            self._numbers.note(int(found[1]), time.perf_counter())


@dataclass
class Crowd:
    """The hub, its users, and what has been published."""

    server: Server
    key: str
    users: list[tuple[str, str]]
    heard: Heard = field(default_factory=Heard)
    number: int = 0

    def streams(self) -> list[bytes]:
        """What each user asks for."""
        return [
            raw_client.request("GET", self.server.url, "/api/realtime/connect", token=token) for _, token in self.users
        ]

    def publish(self, path: str, body: Mapping[str, object]) -> bytes:
        """A request of the service."""
        return raw_client.request("POST", self.server.url, path, token=self.key, body=json.dumps(body).encode())

    def numbers(self, count: int) -> range:
        """So many new ones."""
        self.number += count
        return range(self.number - count, self.number)


def arrivals(server: Server, asks: list[bytes]) -> list[float]:
    """Seconds until each of these streams has its first bytes, all asked for in the same moment."""
    poller = select.epoll()
    sockets = {one.fileno(): one for one in (socket.create_connection(raw_client.where(server.url)) for _ in asks)}
    for number in sockets:
        poller.register(number, select.EPOLLIN)
    times: list[float] = []
    began = time.perf_counter()
    for one, ask in zip(sockets.values(), asks, strict=True):
        one.sendall(ask)
    while len(times) < len(asks):
        ready, now = poller.poll(raw_client.PATIENCE_SECONDS), time.perf_counter()
        if not ready:
            raise TimeoutError("the server does not answer")
        for number, _ in ready:
            head = sockets[number].recv(65_536)
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head[:300].decode("latin-1"))
            poller.unregister(number)
            times.append(now - began)
    for one in sockets.values():
        one.close()
    return times


async def listen(crowd: Crowd) -> None:
    """All users open a stream, 32 at a time."""
    (host, port), loop = raw_client.where(crowd.server.url), asyncio.get_running_loop()
    asks = crowd.streams()
    for start in range(0, len(asks), 32):
        part = [NumberedListener(ask, crowd.heard) for ask in asks[start : start + 32]]
        for listener in part:
            await loop.create_connection(lambda made=listener: made, host, port)  # type: ignore[misc]  # bound now
        await asyncio.gather(*(listener.opened for listener in part))


async def to_all(crowd: Crowd) -> list[float]:
    """Seconds from each broadcast to the last of all users."""
    (caller,), times = await raw_client.callers(crowd.server.url, 1), []
    for _ in range(BROADCASTS):
        (number,) = numbers = crowd.numbers(1)
        said = {"type": "bench", "data": {"text": f"~bench{number}~" + "x" * 180}}
        ask, began = crowd.publish("/api/realtime/broadcast", said), time.perf_counter()
        decode(await caller.ask(ask), 202)
        times += [last - began for last in await crowd.heard.wait(numbers, USERS)]
    return times


async def at_rate(crowd: Crowd, rate: int) -> tuple[list[float], float]:
    """Seconds from when each notification was due to its user's stream, and the share of a core that it took.

    Open loop: a late answer delays no other request, and what is late because others were counts as late.
    """
    numbers, random = crowd.numbers(round(rate * SECONDS)), Random(7)
    idle = asyncio.Queue[raw_client.Caller]()
    for caller in await raw_client.callers(crowd.server.url, CALLERS):
        idle.put_nowait(caller)

    async def one(number: int) -> None:
        caller = await idle.get()
        note = {"userId": random.choice(crowd.users)[0], "type": "bench", "category": "system", "body": "x" * 120}
        ask = crowd.publish("/api/realtime/notifications/send", note | {"title": f"~bench{number}~"})
        decode(await caller.ask(ask), 201)
        idle.put_nowait(caller)

    busy, began = crowd.server.cpu_seconds(), time.perf_counter()
    due = {number: began + at / rate for at, number in enumerate(numbers)}
    async with asyncio.TaskGroup() as tasks:
        for number in numbers:
            await asyncio.sleep(max(0.0, due[number] - time.perf_counter()))
            tasks.create_task(one(number))
    last = await crowd.heard.wait(numbers, 1)
    share = (crowd.server.cpu_seconds() - busy) / (time.perf_counter() - began)
    return [at - due[number] for number, at in zip(numbers, last, strict=True)], share


async def sign_up(url: str, count: int) -> list[tuple[str, str]]:
    """(id, token) of so many new users."""
    made, (caller,) = [], await raw_client.callers(url, 1)
    for number in range(count):
        who = {"email": f"u{number}@example.org", "password": "correct horse", "name": "U", "role": "client"}
        answer = decode(
            await caller.ask(raw_client.request("POST", url, "/api/auth/signup", body=json.dumps(who).encode())), 201
        )
        assert isinstance(answer["user"], dict)
        made.append((str(answer["user"]["id"]), str(answer["token"])))
    return made


def spread(seconds: list[float]) -> str:
    """Median and 99th percentile."""
    return f"p50 {raw_client.percentile(seconds, 0.5):.1f} ms, p99 {raw_client.percentile(seconds, 0.99):.1f} ms"


async def measure(crowd: Crowd) -> list[Row]:
    """Everything, one after the other, all users connected."""
    before = crowd.server.rss_kb()
    await listen(crowd)
    await asyncio.sleep(SETTLE_SECONDS)
    in_all = crowd.server.rss_kb()
    rows = [
        ("MiB in all", f"{in_all / 1_024:.1f}", "≤ 70"),
        ("MiB of it for the streams", f"{(in_all - before) / 1_024:.1f}", "≤ 5"),
        ("publish → the last of them", spread(await to_all(crowd)), "< 50 ms"),
    ]
    for rate in RATES:
        times, share = await at_rate(crowd, rate)
        rows.append((f"publish → stream at {rate} notifications/s", spread(times), "500/s: p50 ≤ 3, p99 ≤ 15 ms"))
        rows.append((f"  % of a core at {rate}/s", f"{share * 100:.1f}", "50/s: < 5"))
    return rows


def main() -> None:
    """Measure and print: a hub for those who come, and one started anew on the same store, whose memory is fresh."""
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, set(range(1, os.cpu_count() or 1)))
    with TemporaryDirectory() as folder:
        with servers.hub(Path(folder)) as server:
            key = server.hub("keys", "create", "bench", "--scope", "notify", "--scope", "broadcast")
            crowd = Crowd(server, key, uvloop.run(sign_up(server.url, USERS)))
            rounds = [arrivals(server, crowd.streams()) for _ in range(ROUNDS)]
        with servers.hub(Path(folder)) as server:
            rows = uvloop.run(measure(Crowd(server, key, crowd.users)))
    table = Table("what", "this hub", "goal", title=f"{USERS:,} users, a stream each")
    table.add_row("connect, all in one moment", spread(sorted(rounds, key=max)[ROUNDS // 2]), "p99 < 100 ms")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
