"""`make bench`: measures and prints; ratios taken in one run are the result, milliseconds a remark."""

import asyncio
import json
import os
import platform
import sqlite3
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from bench import idle, market, raw_client, search, servers
from bench.market import sign_up
from bench.raw_client import Ear, open_streams
from bench.servers import Server, decode

SECONDS = 4.0
ROUNDS = 3
STREAMS = 1_000
BROADCASTS = 10
PACED = 300  # paced publishes, 100 a second
HIRES = 1_500
# taken by the mark's counting only
MARK = b"~bench~"

Row = tuple[str, str, str, str]


@dataclass(frozen=True)
class Load:
    """What one run of durable notifications gave: a second, of the server's processor (ms each), and in wait (ms)."""

    rate: float
    cpu_ms: float
    p50: float


def publish(server: Server, path: str, token: str | None, users: Sequence[str], count: int) -> Load:
    """Durable notifications by so many callers."""
    notes = [
        {"userId": user, "type": "bench", "category": "system", "title": "A note", "body": "x" * 120} for user in users
    ]
    asks = [raw_client.request("POST", server.url, path, token=token, body=json.dumps(note).encode()) for note in notes]
    before = server.cpu_seconds()
    rate, times = raw_client.hammer(server.url, asks, count, SECONDS)
    return Load(rate, (server.cpu_seconds() - before) / len(times) * 1_000, raw_client.percentile(times, 0.5))


def fsync_ms(folder: Path) -> float:
    """What the disk itself needs for a few pages that must be safe."""
    times = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(bytes(8 * 4_096))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return raw_client.percentile(times, 0.5)


async def memory(server: Server, streams: Sequence[bytes]) -> float:
    """KiB of memory per stream, of a server that has done nothing else: what others have freed it would take again."""
    before = server.rss_kb()
    listeners = await open_streams(server.url, streams, MARK, Ear())
    await asyncio.sleep(1)
    taken = (server.rss_kb() - before) / len(streams)
    for listener in listeners:
        listener.transport.abort()
    return taken


async def memories(users: int) -> Row:
    """What a stream takes, here and there, on servers started for that alone."""
    with servers.hub() as ours:
        tokens = [token for _, token in await sign_up(ours.url, "freelancer", users)]
        asks = [
            raw_client.request("GET", ours.url, "/api/realtime/connect", token=tokens[n % users])
            for n in range(STREAMS)
        ]
        mine = await memory(ours, asks)
    with servers.naive() as naive:
        theirs = await memory(naive, [raw_client.request("GET", naive.url, "/stream")] * STREAMS)
    return ("KiB a stream, 1,000 streams", f"{mine:.1f}", f"{theirs:.1f}", f"{mine / theirs:.2f} ×")


def idle_row() -> Row:
    """Return the memory of the idle hub as a table row, in MiB."""
    memory = idle.measure()
    parts = f"PSS {memory.pss_kb / 1_024:.1f}, private {memory.private_kb / 1_024:.1f}"
    return ("MiB of the idle hub, RSS", f"{memory.rss_kb / 1_024:.1f}", "–", parts)


async def broadcasts(server: Server, streams: Sequence[bytes], ask: bytes, status: int) -> float:
    """The median milliseconds from a broadcast to the last of all streams."""
    (caller,) = await raw_client.callers(server.url, 1)
    ear = Ear()
    listeners = await open_streams(server.url, streams, MARK, ear)
    times = []
    for _ in range(BROADCASTS):
        began = time.perf_counter()
        answered = asyncio.ensure_future(caller.ask(ask))
        last = await ear.wait(len(streams))
        decode(await answered, status)
        times.append((last - began) * 1_000)
    for listener in listeners:
        listener.transport.abort()
    return statistics.median(times)


async def paced(caller: raw_client.Caller, ear: Ear, ask: bytes) -> list[float]:
    """Seconds from each ask to its mark at the ear, at 100 a second; each ask must make one."""
    seconds, start = [], time.perf_counter()
    for number in range(PACED):
        await asyncio.sleep(max(0, start + number / 100 - time.perf_counter()))
        began = time.perf_counter()
        answered = asyncio.ensure_future(caller.ask(ask))
        seconds.append(await ear.wait(1) - began)
        decode(await answered, 201)
    return seconds


async def notified(server: Server, key: str, user: tuple[str, str]) -> list[float]:
    """Seconds from the POST of a notification to its user's stream."""
    ear, (caller,) = Ear(), await raw_client.callers(server.url, 1)
    connect = raw_client.request("GET", server.url, "/api/realtime/connect", token=user[1])
    (listener,) = await open_streams(server.url, [connect], MARK, ear)
    note = {"userId": user[0], "type": "bench", "category": "system", "title": MARK.decode(), "body": "x"}
    ask = raw_client.request(
        "POST", server.url, "/api/realtime/notifications/send", token=key, body=json.dumps(note).encode()
    )
    seconds = await paced(caller, ear, ask)
    listener.transport.abort()
    return seconds


def durable(ours: Server, naive: Server, key: str, ids: Sequence[str], count: int) -> list[Row]:
    """Both servers in turn: the medians of what each gave, and of the ratios."""
    pairs = []
    for _ in range(ROUNDS):
        mine = publish(ours, "/api/realtime/notifications/send", key, ids, count)
        pairs.append((mine, publish(naive, "/notify", None, ids, count)))
    rate, their_rate = (statistics.median(pair[at].rate for pair in pairs) for at in (0, 1))
    cpu, their_cpu = (statistics.median(pair[at].cpu_ms for pair in pairs) for at in (0, 1))
    faster = statistics.median(mine.rate / theirs.rate for mine, theirs in pairs)
    lighter = statistics.median(theirs.cpu_ms / mine.cpu_ms for mine, theirs in pairs)
    callers = f"{count} caller{'s' * (count > 1)}"
    rows = [
        (f"durable notifications/s, {callers}", f"{rate:,.0f}", f"{their_rate:,.0f}", f"{faster:.1f} ×"),
        ("  server CPU ms each", f"{cpu:.3f}", f"{their_cpu:.3f}", f"÷ {lighter:.1f}"),
    ]
    if count == 1:
        p50, their_p50 = (statistics.median(pair[at].p50 for pair in pairs) for at in (0, 1))
        disk = fsync_ms(ours.folder)
        times = f"{p50 / disk:.1f} and {their_p50 / disk:.1f} × fsync ({disk:.2f} ms)"
        rows.append(("  p50 ms", f"{p50:.2f}", f"{their_p50:.2f}", times))
    return rows


async def measure(ours: Server, naive: Server) -> list[Row]:
    """Everything, one after the other; what is compared runs in turn."""
    rows: list[Row] = []
    key = ours.hub("keys", "create", "bench", "--scope", "notify", "--scope", "broadcast")
    users = await sign_up(ours.url, "freelancer", 50)
    ids = [user for user, _ in users]
    for count in (1, 32, 256):
        rows += durable(ours, naive, key, ids, count)
    hires = await market.measure_hires(ours, HIRES)
    p50, p99 = raw_client.percentile(hires.seconds, 0.5), raw_client.percentile(hires.seconds, 0.99)
    rows.append(("hires/s, 32 callers", f"{hires.rate:,.0f}", "–", f"p50 {p50:.0f} ms, p99 {p99:.0f} ms"))
    rows.append(("  server CPU µs each", f"{hires.cpu_us:,.0f}", "–", ""))
    rows.append(await market.lives(ours))
    seconds = await notified(ours, key, users[0])
    p50, p99 = raw_client.percentile(seconds, 0.5), raw_client.percentile(seconds, 0.99)
    rows.append(("publish → stream, 100/s", f"p50 {p50:.1f} ms", "–", f"p99 {p99:.1f} ms"))
    streams = [
        raw_client.request("GET", ours.url, "/api/realtime/connect", token=users[n % len(users)][1])
        for n in range(STREAMS)
    ]
    say = json.dumps({"type": "bench", "data": {"text": MARK.decode() + "x" * 180}}).encode()
    ask = raw_client.request("POST", ours.url, "/api/realtime/broadcast", token=key, body=say)
    last = await broadcasts(ours, streams, ask, 202)
    streams = [raw_client.request("GET", naive.url, "/stream")] * STREAMS
    ask = raw_client.request("POST", naive.url, "/broadcast", body=say)
    naive_last = await broadcasts(naive, streams, ask, 202)
    rows.append(
        (
            "ms until the last of 1,000 has a broadcast",
            f"{last:.1f} (on disk)",
            f"{naive_last:.1f} (in memory)",
            f"{last / naive_last:.2f} ×",
        )
    )
    return rows


def main() -> None:
    """Measure and print."""
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, set(range(1, os.cpu_count() or 1)))
    with servers.hub() as ours, servers.naive() as naive:
        rows = uvloop.run(measure(ours, naive))
    rows.append(uvloop.run(memories(50)))
    rows.append(idle_row())
    rows += search.measure()
    table = Table(
        "what",
        "this hub",
        "naive",
        "ratio / spread",
        title=f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
    )
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
