"""Compares the hub with a naive server.

`make bench` prints the table. Ratios measured in one run are comparable between machines; milliseconds are not.
"""

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
from bench.raw_client import MarkCounter, open_streams
from bench.servers import Server, decode

MEASUREMENT_SECONDS = 4.0
ROUNDS = 3
STREAMS = 1_000
BROADCASTS = 10
# Requests of `measure_paced`, 100 per second.
PACED_REQUESTS = 300
HIRES = 1_500
# Counted in the bytes that a stream receives.
MARK = b"~bench~"

Row = tuple[str, str, str, str]


@dataclass(frozen=True)
class Load:
    """Durable notifications: per second, CPU milliseconds for each, and median duration in milliseconds."""

    rate: float
    cpu_ms: float
    p50: float


def run_sends(server: Server, path: str, token: str | None, users: Sequence[str], count: int) -> Load:
    """Send durable notifications with `count` callers."""
    notifications = [
        {"userId": user, "type": "bench", "category": "system", "title": "A note", "body": "x" * 120} for user in users
    ]
    requests = [
        raw_client.build_request("POST", server.url, path, token=token, body=json.dumps(notification).encode())
        for notification in notifications
    ]
    before = server.read_cpu_seconds()
    rate, times = raw_client.run_requests(server.url, requests, count, MEASUREMENT_SECONDS)
    return Load(
        rate, (server.read_cpu_seconds() - before) / len(times) * 1_000, raw_client.get_percentile_ms(times, 0.5)
    )


def measure_fsync(folder: Path) -> float:
    """Return the median milliseconds to write and sync eight pages."""
    times = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(bytes(8 * 4_096))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return raw_client.get_percentile_ms(times, 0.5)


async def measure_stream_memory(server: Server, streams: Sequence[bytes]) -> float:
    """Return the KiB of memory per stream. The server must be fresh: it would reuse memory that was freed before."""
    before = server.read_rss_kb()
    listeners = await open_streams(server.url, streams, MARK, MarkCounter())
    await asyncio.sleep(1)
    per_stream = (server.read_rss_kb() - before) / len(streams)
    for listener in listeners:
        listener.transport.abort()
    return per_stream


async def measure_memory(users: int) -> Row:
    """Measure the memory per stream of the hub and of the naive server, on fresh servers."""
    with servers.run_hub() as hub:
        tokens = [token for _, token in await sign_up(hub.url, "freelancer", users)]
        requests = [
            raw_client.build_request("GET", hub.url, "/api/realtime/connect", token=tokens[number % users])
            for number in range(STREAMS)
        ]
        hub_result = await measure_stream_memory(hub, requests)
    with servers.run_naive() as naive:
        naive_result = await measure_stream_memory(
            naive, [raw_client.build_request("GET", naive.url, "/stream")] * STREAMS
        )
    return (
        "KiB per stream, 1,000 streams",
        f"{hub_result:.1f}",
        f"{naive_result:.1f}",
        f"{hub_result / naive_result:.2f} ×",
    )


def measure_idle() -> Row:
    """Return the memory of the idle hub as a table row, in MiB."""
    memory = idle.measure()
    parts = f"PSS {memory.pss_kb / 1_024:.1f}, private {memory.private_kb / 1_024:.1f}"
    return ("MiB of the idle hub, RSS", f"{memory.rss_kb / 1_024:.1f}", "–", parts)


async def measure_broadcasts(server: Server, streams: Sequence[bytes], request: bytes, status: int) -> float:
    """Return the median milliseconds from a broadcast until the last stream has received it."""
    (caller,) = await raw_client.open_callers(server.url, 1)
    counter = MarkCounter()
    listeners = await open_streams(server.url, streams, MARK, counter)
    times = []
    for _ in range(BROADCASTS):
        began = time.perf_counter()
        response = asyncio.ensure_future(caller.send(request))
        last = await counter.wait_for(len(streams))
        decode(await response, status)
        times.append((last - began) * 1_000)
    for listener in listeners:
        listener.transport.abort()
    return statistics.median(times)


async def measure_paced(caller: raw_client.Caller, counter: MarkCounter, request: bytes) -> list[float]:
    """Send 100 requests per second and return the seconds from each request to its mark; each must produce one."""
    seconds, start = [], time.perf_counter()
    for number in range(PACED_REQUESTS):
        await asyncio.sleep(max(0, start + number / 100 - time.perf_counter()))
        began = time.perf_counter()
        response = asyncio.ensure_future(caller.send(request))
        seconds.append(await counter.wait_for(1) - began)
        decode(await response, 201)
    return seconds


async def measure_delivery(server: Server, key: str, user: tuple[str, str]) -> list[float]:
    """Return the seconds from the POST of each notification until the stream of its user has it."""
    counter, (caller,) = MarkCounter(), await raw_client.open_callers(server.url, 1)
    connect = raw_client.build_request("GET", server.url, "/api/realtime/connect", token=user[1])
    (listener,) = await open_streams(server.url, [connect], MARK, counter)
    notification = {"userId": user[0], "type": "bench", "category": "system", "title": MARK.decode(), "body": "x"}
    request = raw_client.build_request(
        "POST", server.url, "/api/realtime/notifications/send", token=key, body=json.dumps(notification).encode()
    )
    seconds = await measure_paced(caller, counter, request)
    listener.transport.abort()
    return seconds


def measure_sends(hub: Server, naive: Server, key: str, ids: Sequence[str], count: int) -> list[Row]:
    """Measure both servers in turn, and return rows of medians and of median ratios."""
    pairs = []
    for _ in range(ROUNDS):
        hub_result = run_sends(hub, "/api/realtime/notifications/send", key, ids, count)
        pairs.append((hub_result, run_sends(naive, "/notify", None, ids, count)))
    rate, naive_rate = (statistics.median(pair[index].rate for pair in pairs) for index in (0, 1))
    cpu, naive_cpu = (statistics.median(pair[index].cpu_ms for pair in pairs) for index in (0, 1))
    faster = statistics.median(hub_result.rate / naive_result.rate for hub_result, naive_result in pairs)
    lighter = statistics.median(naive_result.cpu_ms / hub_result.cpu_ms for hub_result, naive_result in pairs)
    callers = f"{count} caller{'s' * (count > 1)}"
    rows = [
        (f"durable notifications/s, {callers}", f"{rate:,.0f}", f"{naive_rate:,.0f}", f"{faster:.1f} ×"),
        ("  server CPU ms each", f"{cpu:.3f}", f"{naive_cpu:.3f}", f"÷ {lighter:.1f}"),
    ]
    if count == 1:
        p50, naive_p50 = (statistics.median(pair[index].p50 for pair in pairs) for index in (0, 1))
        disk = measure_fsync(hub.folder)
        times = f"{p50 / disk:.1f} and {naive_p50 / disk:.1f} × fsync ({disk:.2f} ms)"
        rows.append(("  p50 ms", f"{p50:.2f}", f"{naive_p50:.2f}", times))
    return rows


async def measure(hub: Server, naive: Server) -> list[Row]:
    """Run all measurements except memory and search, one after the other."""
    rows: list[Row] = []
    key = hub.run_command("keys", "create", "bench", "--scope", "notify", "--scope", "broadcast")
    users = await sign_up(hub.url, "freelancer", 50)
    ids = [user for user, _ in users]
    for count in (1, 32, 256):
        rows += measure_sends(hub, naive, key, ids, count)
    hires = await market.measure_hires(hub, HIRES)
    p50, p99 = raw_client.get_percentile_ms(hires.seconds, 0.5), raw_client.get_percentile_ms(hires.seconds, 0.99)
    rows.append(("hires/s, 32 callers", f"{hires.rate:,.0f}", "–", f"p50 {p50:.0f} ms, p99 {p99:.0f} ms"))
    rows.append(("  server CPU µs each", f"{hires.cpu_us:,.0f}", "–", ""))
    rows.append(await market.measure_lifecycles(hub))
    seconds = await measure_delivery(hub, key, users[0])
    p50, p99 = raw_client.get_percentile_ms(seconds, 0.5), raw_client.get_percentile_ms(seconds, 0.99)
    rows.append(("publish → stream, 100/s", f"p50 {p50:.1f} ms", "–", f"p99 {p99:.1f} ms"))
    streams = [
        raw_client.build_request("GET", hub.url, "/api/realtime/connect", token=users[number % len(users)][1])
        for number in range(STREAMS)
    ]
    content = json.dumps({"type": "bench", "data": {"text": MARK.decode() + "x" * 180}}).encode()
    request = raw_client.build_request("POST", hub.url, "/api/realtime/broadcast", token=key, body=content)
    last = await measure_broadcasts(hub, streams, request, 202)
    streams = [raw_client.build_request("GET", naive.url, "/stream")] * STREAMS
    request = raw_client.build_request("POST", naive.url, "/broadcast", body=content)
    naive_last = await measure_broadcasts(naive, streams, request, 202)
    rows.append(
        (
            "ms until the last of 1,000 streams has a broadcast",
            f"{last:.1f} (on disk)",
            f"{naive_last:.1f} (in memory)",
            f"{last / naive_last:.2f} ×",
        )
    )
    return rows


def main() -> None:
    """Run the benchmark and print the table."""
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, set(range(1, os.cpu_count() or 1)))
    with servers.run_hub() as hub, servers.run_naive() as naive:
        rows = uvloop.run(measure(hub, naive))
    rows.append(uvloop.run(measure_memory(50)))
    rows.append(measure_idle())
    rows += search.measure()
    table = Table(
        "figure",
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
