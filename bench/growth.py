"""`python -m bench.growth`: what an event and a stream cost when there are more of them: CPU, so that ratios hold.

From 1,000 streams to 10,000, and from 10,000 events in the log to a million. It needs gcc.
"""

import argparse
import json
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import uvloop
from rich.console import Console
from rich.table import Table

from bench import raw_client, servers
from bench.many_users import sign_up
from bench.peers import Peer
from bench.streams import LOAD, Hubs, load
from realtime.options import RealtimeOptions

STREAMS: Final = (1_000, 10_000)
EVENTS: Final = (10_000, 100_000, 1_000_000)
LISTENERS: Final = 1_000
# Of a user's own events: so many are in memory whatever the size of the log, so many are not.
NEAR, FAR = 10, 50
SEND_SECONDS: Final = 3.0
SENDERS: Final = 32
RECIPIENTS: Final = 50
# As much of a core as a hub needs that has nothing to do, and how long one may have something to do after its start.
IDLE: Final = 0.03
SETTLE_SECONDS: Final = 120.0
# What the hub keeps in memory of its log (realtime.options).
IN_MEMORY: Final = RealtimeOptions(epoch="").backlog_events

Figures = dict[str, float]


def with_streams(program: Path, hubs: Hubs, streams: int) -> Figures:
    """What one event and one stream cost at this size."""
    with hubs.start("direct", streams) as peer:
        got = load(program, peer, streams, "--rounds", "20", "--burst", "20")
    return {
        "one broadcast: µs an event and stream": got["bcast_cpu_us_per_ev"],
        "back to back: µs an event and stream": got["burst_cpu_us_per_ev"],
        "connect: µs a stream": got["connect_cpu_us"],
        "KiB a stream": got["kb_per_conn"],
    }


class Store:
    """A hub's folder with users who have events in the log, each as many."""

    def __init__(self, folder: Path, events: int) -> None:
        folder.mkdir()
        self.events = events
        self.hubs = Hubs(folder, 0)
        with servers.hub(folder) as hub:
            self.hubs.key = hub.hub("keys", "create", "bench", "--scope", "broadcast", "--scope", "notify")
            users = uvloop.run(sign_up(hub.url, LISTENERS))
        self.users = [user for user, _ in users]
        self.hubs.tokens = [token for _, token in users]
        with self._open() as store, store:
            ((first,),) = store.execute("SELECT position FROM event_counter")
            store.executemany(
                "INSERT INTO events(position, channel, type, data, created_at) VALUES (?,?,?,?,?)", self._rows(first)
            )
            store.execute("UPDATE event_counter SET position = position + ?", (events,))

    def behind(self, own: int) -> list[str]:
        """How the load client comes back: each user so many of their own events behind."""
        with self._open() as store:
            ((epoch, position),) = store.execute("SELECT epoch, position FROM event_counter")
        more = f"Last-Event-ID: {epoch}.{position - own * LISTENERS}^"
        heads = self.hubs.folder / "behind"
        heads.write_text("".join(f"Authorization: Bearer {token}^{more}\n" for token in self.hubs.tokens))
        return ["--heads", str(heads), "--want", str(own), *self.hubs.publishing()]

    def _open(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self.hubs.folder / "hub.db"))

    def _rows(self, first: int) -> Iterator[tuple[int, str, str, bytes, int]]:
        data, now = json.dumps({"ts": f"~T{1:019d}~", "pad": "x" * 200}).encode(), int(time.time() * 1_000)
        for number in range(self.events):
            yield first + number + 1, f"user:{self.users[number % LISTENERS]}", "bench", data, now


def settle(server: servers.Server) -> None:
    """Wait until the hub is idle: once after each start it walks along its log, to see what may leave it."""
    until, busy = time.monotonic() + SETTLE_SECONDS, True
    while busy and time.monotonic() < until:
        before = server.cpu_seconds()
        time.sleep(1.0)
        busy = server.cpu_seconds() - before > IDLE


def with_events(program: Path, store: Store) -> Figures:
    """What a stream, an event and a notification cost with so much in the log."""
    figures: Figures = {}
    for own, source in ((NEAR, "memory"), (FAR, "the log")):
        # A small log is in memory as a whole.
        if source == "memory" or store.events > IN_MEMORY:
            with servers.hub(store.hubs.folder) as hub:
                settle(hub)
                got = load(program, Peer(hub, store.behind(own)), LISTENERS, "--rounds", "0", "--burst", "0")
                figures[f"connect, {own} behind, from {source}: µs a stream"] = got["connect_cpu_us"]
    with store.hubs.start("direct", LISTENERS) as peer:
        settle(peer.server)
        got = load(program, peer, LISTENERS, "--rounds", "20", "--burst", "20")
        figures["one broadcast: µs an event and stream"] = got["bcast_cpu_us_per_ev"]
        figures["back to back: µs an event and stream"] = got["burst_cpu_us_per_ev"]
        figures["a notification: µs"] = sends(peer.server, store)
        figures["MiB in all"] = peer.server.rss_kb() / 1_024
    return figures


def sends(server: servers.Server, store: Store) -> float:
    """µs of CPU of a durable notification, 32 callers."""
    path, asks = "/api/realtime/notifications/send", []
    for user in store.users[:RECIPIENTS]:
        note = {"userId": user, "type": "bench", "category": "system", "title": "A note", "body": "x" * 120}
        asks.append(raw_client.request("POST", server.url, path, token=store.hubs.key, body=json.dumps(note).encode()))
    before = server.cpu_seconds()
    _, times = raw_client.hammer(server.url, asks, SENDERS, SEND_SECONDS)
    return (server.cpu_seconds() - before) / len(times) * 1_000_000


def show(title: str, sizes: Sequence[int], rounds: Sequence[Mapping[int, Figures]]) -> None:
    """Medians, and what the largest size costs of what the smallest does."""
    table = Table("what", *(f"{size:,}" for size in sizes), "largest ÷ smallest", title=title)
    for label in dict.fromkeys(label for size in sizes for label in rounds[0][size]):
        values = [statistics.median(one[size][label] for one in rounds) for size in sizes if label in rounds[0][size]]
        growth = f"{values[-1] / values[0]:.2f}"
        empty = [""] * (len(sizes) - len(values))
        table.add_row(label, *empty, *(f"{value:,.1f}" for value in values), growth)
    Console(width=120).print(table)


def main() -> None:
    """Measure and print; rounds of all sizes in turn."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    rounds = range(parser.parse_args().rounds)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        program = folder / "sseload"
        subprocess.run(["gcc", "-O2", "-Wall", "-o", program, LOAD], check=True)
        (folder / "hub").mkdir()
        hubs = Hubs(folder / "hub", max(STREAMS))
        hubs.prepare()
        show("streams", STREAMS, [{size: with_streams(program, hubs, size) for size in STREAMS} for _ in rounds])
        stores = {events: Store(folder / str(events), events) for events in EVENTS}
        by_events = [{events: with_events(program, store) for events, store in stores.items()} for _ in rounds]
        show("events in the log", EVENTS, by_events)


if __name__ == "__main__":
    main()
