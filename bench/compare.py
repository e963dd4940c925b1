"""Compares the CPU time and the idle memory of this checkout's hub with those of another checkout.

`python -m bench.compare --base DIR [--rounds 7]`. Both hubs run with this Python interpreter. This program uses only
the command line, the HTTP API and the settings of a hub, because module names differ between checkouts.
"""

import argparse
import asyncio
import json
import os
import resource
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import uvloop
from rich.console import Console
from rich.table import Table

from bench import idle, market, raw_client, servers
from bench.servers import Server, decode

USERS: Final = 100
STREAMS: Final = 1_500
# The kernel counts CPU time in steps of 10 ms. Each measurement must use 0.5 seconds or more.
CONNECT_PASSES: Final = 3
BROADCASTS: Final = 50
WARM_UP_BROADCASTS: Final = 3
SENDERS: Final = 32
WARM_UP_SECONDS: Final = 0.5
SEND_SECONDS: Final = 3.0
HIRES: Final = 1_500
# The CPU time of the start and of late work must not count for the next figure.
SETTLE_SECONDS: Final = 1.0
MARK: Final = b"~bench~"
# The caller's environment must not change which modules a hub imports or how it is configured.
# A hub that cannot cache bytecode compiles every module at each start, which raises its memory.
REMOVED_VARIABLES: Final = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONSAFEPATH", "PYTHONPYCACHEPREFIX")

Figures = dict[str, float]


@dataclass(frozen=True)
class Subject:
    """A checkout under measurement and its prepared store: an API key and users (id, token)."""

    checkout: Path
    store: Path
    key: str
    users: Sequence[tuple[str, str]]

    @contextmanager
    def start(self) -> Iterator[Server]:
        """Run the hub on a copy of the prepared store, so that every measurement starts from the same state."""
        with TemporaryDirectory() as name:
            folder = Path(name) / "hub"
            shutil.copytree(self.store, folder)
            with start_hub(self.checkout, folder) as server:
                time.sleep(SETTLE_SECONDS)
                yield server

    def build_post(self, server: Server, path: str, body: Mapping[str, object]) -> bytes:
        """Return the bytes of a POST request that uses the API key."""
        return raw_client.build_request("POST", server.url, path, token=self.key, body=json.dumps(body).encode())


@contextmanager
def start_hub(checkout: Path, folder: Path) -> Iterator[Server]:
    """Run the hub of a checkout with load settings that every checkout knows."""
    with servers.run_hub(folder, checkout=checkout, load_settings=servers.SHARED_LOAD_SETTINGS) as server:
        yield server


def prepare(checkout: Path, folder: Path) -> Subject:
    """Create the store of a checkout. This start also writes the bytecode of the hub's modules."""
    folder.mkdir()
    with start_hub(checkout, folder) as server:
        key = server.run_command("keys", "create", "bench", "--scope", "notify", "--scope", "broadcast")
        users = uvloop.run(market.sign_up(server.url, "freelancer", USERS))
    return Subject(checkout, folder, key, users)


def measure_sends(subject: Subject) -> Figures:
    """Measure the CPU time per notification, sent by 32 callers to all users in turn."""
    with subject.start() as server:
        note = {"type": "bench", "category": "system", "title": "A note", "body": "x" * 120}
        path = "/api/realtime/notifications/send"
        requests = [subject.build_post(server, path, note | {"userId": user}) for user, _ in subject.users]
        raw_client.run_requests(server.url, requests, SENDERS, WARM_UP_SECONDS)
        before = server.read_cpu_seconds()
        _, seconds = raw_client.run_requests(server.url, requests, SENDERS, SEND_SECONDS)
        return {"send: CPU µs": (server.read_cpu_seconds() - before) / len(seconds) * 1_000_000}


def measure_hires(subject: Subject) -> Figures:
    """Measure the CPU time per hire, by 32 callers, each job with two bids."""
    with subject.start() as server:
        hires = uvloop.run(market.measure_hires(server, HIRES))
        return {"hire: CPU µs": hires.cpu_us}


def measure_streams(subject: Subject) -> Figures:
    """Measure the CPU time per connect and per broadcast to all streams. Raises TimeoutError when an event is lost."""
    with subject.start() as server:
        return uvloop.run(_connect_and_broadcast(subject, server))


async def _connect_and_broadcast(subject: Subject, server: Server) -> Figures:
    tokens = [subject.users[number % USERS][1] for number in range(STREAMS)]
    requests = [raw_client.build_request("GET", server.url, "/api/realtime/connect", token=token) for token in tokens]
    content = {"type": "bench", "data": {"text": MARK.decode() + "x" * 180}}
    broadcast = subject.build_post(server, "/api/realtime/broadcast", content)
    (caller,) = await raw_client.open_callers(server.url, 1)
    counter = raw_client.MarkCounter()
    connect = 0.0
    listeners: list[raw_client.Listener] = []
    for _ in range(CONNECT_PASSES):
        for listener in listeners:
            listener.transport.abort()
        await asyncio.sleep(SETTLE_SECONDS)
        before = server.read_cpu_seconds()
        listeners = await raw_client.open_streams(server.url, requests, MARK, counter)
        connect += server.read_cpu_seconds() - before
    await asyncio.sleep(SETTLE_SECONDS)
    for number in range(WARM_UP_BROADCASTS + BROADCASTS):
        if number == WARM_UP_BROADCASTS:
            before = server.read_cpu_seconds()
        decode(await caller.send(broadcast), 202)
        await counter.wait_for(STREAMS)
    fan_out = server.read_cpu_seconds() - before
    return {
        "connect: CPU µs": connect / (STREAMS * CONNECT_PASSES) * 1_000_000,
        f"broadcast to {STREAMS:,} streams: CPU µs": fan_out / BROADCASTS * 1_000_000,
    }


def measure_idle(subject: Subject) -> Figures:
    """Measure the memory of an idle hub on an empty store, in MiB."""
    memory = idle.measure(subject.checkout)
    return {
        "idle hub: RSS MiB": memory.rss_kb / 1_024,
        "idle hub: PSS MiB": memory.pss_kb / 1_024,
        "idle hub: private MiB": memory.private_kb / 1_024,
    }


MEASUREMENTS: Final[Sequence[Callable[[Subject], Figures]]] = (
    measure_sends,
    measure_hires,
    measure_streams,
    measure_idle,
)


def run_round(base: Subject, this: Subject) -> tuple[Figures, Figures]:
    """Run every measurement on both hubs, one directly after the other, and return the figures of both."""
    base_figures: Figures = {}
    this_figures: Figures = {}
    for measurement in MEASUREMENTS:
        base_figures |= measurement(base)
        this_figures |= measurement(this)
    return base_figures, this_figures


def summarize(values: Sequence[float], digits: int) -> str:
    """Return the median of the values, with the lowest and the highest."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def print_table(rounds: Sequence[tuple[Figures, Figures]]) -> None:
    """Print the medians of both hubs and of the ratios of each round."""
    table = Table("figure", "base", "this", "this ÷ base", title=f"median (lowest to highest) of {len(rounds)} rounds")
    for label in rounds[0][0]:
        base = [base_figures[label] for base_figures, _ in rounds]
        this = [this_figures[label] for _, this_figures in rounds]
        ratios = [this_value / base_value for this_value, base_value in zip(this, base, strict=True)]
        digits = 1 if label.endswith("MiB") else 0
        table.add_row(label, summarize(base, digits), summarize(this, digits), summarize(ratios, 3))
    Console(width=140).print(table)


def main() -> None:
    """Prepare both checkouts, run the rounds and print the table."""
    parser = argparse.ArgumentParser(description="Compare the hub of this checkout with the hub of another checkout.")
    parser.add_argument("--base", type=Path, required=True, metavar="DIR", help="the other checkout")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    base = arguments.base.resolve()
    if not (base / "api" / "__main__.py").is_file():
        parser.error(f"{base} is not a checkout of the hub")
    if arguments.rounds < 1:
        parser.error("--rounds must be 1 or more")
    # SIGTERM must stop the hubs too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for name in [name for name in os.environ if name.startswith("HUB_") or name in REMOVED_VARIABLES]:
        del os.environ[name]
    # Every stream is an open file here and in the hub.
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, set(range(1, os.cpu_count() or 1)))
    rounds = []
    with TemporaryDirectory() as folder:
        subjects = prepare(base, Path(folder) / "base"), prepare(servers.ROOT, Path(folder) / "this")
        for number in range(1, arguments.rounds + 1):
            sys.stderr.write(f"round {number} of {arguments.rounds}\n")
            rounds.append(run_round(*subjects))
    print_table(rounds)


if __name__ == "__main__":
    main()
