"""Measures how CPU time per event and stream grows with streams and with the event log.

`python -m bench.growth` compares 1,000 with 10,000 streams, and 10,000 with one million events. It needs gcc.
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
from bench.streams import LOAD_CLIENT_SOURCE, HubFactory, run_load_client
from realtime.options import RealtimeOptions

STREAMS: Final = (1_000, 10_000)
EVENTS: Final = (10_000, 100_000, 1_000_000)
LISTENERS: Final = 1_000
# Missed events of each user: a number that is in memory for every log size, and one that is not.
MISSED_IN_MEMORY, MISSED_IN_LOG = 10, 50
SEND_SECONDS: Final = 3.0
SENDERS: Final = 32
RECIPIENTS: Final = 50
# An idle hub uses at most this share of a core. It must be idle this long after its start at the latest.
MAX_IDLE_CPU_SHARE: Final = 0.03
MAX_SETTLE_SECONDS: Final = 120.0
# The number of events in the backlog in memory.
BACKLOG_EVENTS: Final = RealtimeOptions(epoch="").backlog_events

Figures = dict[str, float]


def measure_streams(program: Path, hubs: HubFactory, streams: int) -> Figures:
    """Measure the CPU time per event and per stream with this number of streams."""
    with hubs.start("direct", streams) as peer:
        result = run_load_client(program, peer, streams, "--rounds", "20", "--burst", "20")
    return {
        "one broadcast: µs per event and stream": result["bcast_cpu_us_per_ev"],
        "without pauses: µs per event and stream": result["burst_cpu_us_per_ev"],
        "connect: µs per stream": result["connect_cpu_us"],
        "KiB per stream": result["kb_per_conn"],
    }


class Store:
    """A prepared data directory: an event log that contains equally many events of each user."""

    def __init__(self, folder: Path, events: int) -> None:
        folder.mkdir()
        self.events = events
        self.hubs = HubFactory(folder, 0)
        with servers.run_hub(folder) as hub:
            self.hubs.key = hub.run_command("keys", "create", "bench", "--scope", "broadcast", "--scope", "notify")
            users = uvloop.run(sign_up(hub.url, LISTENERS))
        self.users = [user for user, _ in users]
        self.hubs.tokens = [token for _, token in users]
        with self._open() as store, store:
            ((first,),) = store.execute("SELECT position FROM event_counter")
            store.executemany(
                "INSERT INTO events(position, channel, type, data, created_at) VALUES (?,?,?,?,?)", self._rows(first)
            )
            store.execute("UPDATE event_counter SET position = position + ?", (events,))

    def build_reconnect_options(self, own: int) -> list[str]:
        """Return load client options that reconnect each user with a cursor `own` of their events in the past."""
        with self._open() as store:
            ((epoch, position),) = store.execute("SELECT epoch, position FROM event_counter")
        last_event_id = f"Last-Event-ID: {epoch}.{position - own * LISTENERS}^"
        heads = self.hubs.folder / "behind"
        heads.write_text("".join(f"Authorization: Bearer {token}^{last_event_id}\n" for token in self.hubs.tokens))
        return ["--heads", str(heads), "--want", str(own), *self.hubs.build_publish_options()]

    def _open(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self.hubs.folder / "hub.db"))

    def _rows(self, first: int) -> Iterator[tuple[int, str, str, bytes, int]]:
        data, now = json.dumps({"ts": f"~T{1:019d}~", "pad": "x" * 200}).encode(), int(time.time() * 1_000)
        for number in range(self.events):
            yield first + number + 1, f"user:{self.users[number % LISTENERS]}", "bench", data, now


def wait_until_idle(server: servers.Server) -> None:
    """Wait until the hub is idle: after each start it scans its log for events to delete."""
    deadline, is_busy = time.monotonic() + MAX_SETTLE_SECONDS, True
    while is_busy and time.monotonic() < deadline:
        before = server.read_cpu_seconds()
        time.sleep(1.0)
        is_busy = server.read_cpu_seconds() - before > MAX_IDLE_CPU_SHARE


def measure_event_log(program: Path, store: Store) -> Figures:
    """Measure the CPU time per stream, event and notification with the log of this store."""
    figures: Figures = {}
    for own, source in ((MISSED_IN_MEMORY, "memory"), (MISSED_IN_LOG, "the log")):
        # A small log is completely in memory.
        if source == "memory" or store.events > BACKLOG_EVENTS:
            with servers.run_hub(store.hubs.folder) as hub:
                wait_until_idle(hub)
                result = run_load_client(
                    program, Peer(hub, store.build_reconnect_options(own)), LISTENERS, "--rounds", "0", "--burst", "0"
                )
                figures[f"connect, {own} behind, from {source}: µs per stream"] = result["connect_cpu_us"]
    with store.hubs.start("direct", LISTENERS) as peer:
        wait_until_idle(peer.server)
        result = run_load_client(program, peer, LISTENERS, "--rounds", "20", "--burst", "20")
        figures["one broadcast: µs per event and stream"] = result["bcast_cpu_us_per_ev"]
        figures["without pauses: µs per event and stream"] = result["burst_cpu_us_per_ev"]
        figures["notification: µs"] = measure_sends(peer.server, store)
        figures["MiB in total"] = peer.server.read_rss_kb() / 1_024
    return figures


def measure_sends(server: servers.Server, store: Store) -> float:
    """Return the CPU microseconds per durable notification, sent by 32 callers."""
    path, requests = "/api/realtime/notifications/send", []
    for user in store.users[:RECIPIENTS]:
        notification = {
            "userId": user,
            "type": "bench",
            "category": "system",
            "title": "A note",
            "body": "x" * 120,
        }
        requests.append(
            raw_client.build_request(
                "POST", server.url, path, token=store.hubs.key, body=json.dumps(notification).encode()
            )
        )
    before = server.read_cpu_seconds()
    _, times = raw_client.run_requests(server.url, requests, SENDERS, SEND_SECONDS)
    return (server.read_cpu_seconds() - before) / len(times) * 1_000_000


def print_table(title: str, sizes: Sequence[int], rounds: Sequence[Mapping[int, Figures]]) -> None:
    """Print the medians, and the ratio of the largest to the smallest size."""
    table = Table("figure", *(f"{size:,}" for size in sizes), "largest ÷ smallest", title=title)
    for label in dict.fromkeys(label for size in sizes for label in rounds[0][size]):
        values = [
            statistics.median(figures[size][label] for figures in rounds) for size in sizes if label in rounds[0][size]
        ]
        growth = f"{values[-1] / values[0]:.2f}"
        empty = [""] * (len(sizes) - len(values))
        table.add_row(label, *empty, *(f"{value:,.1f}" for value in values), growth)
    Console(width=120).print(table)


def main() -> None:
    """Run the rounds, with all sizes in turn, and print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    rounds = range(parser.parse_args().rounds)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        program = folder / "sseload"
        subprocess.run(["gcc", "-O2", "-Wall", "-o", program, LOAD_CLIENT_SOURCE], check=True)
        (folder / "hub").mkdir()
        hubs = HubFactory(folder / "hub", max(STREAMS))
        hubs.prepare()
        print_table(
            "streams", STREAMS, [{size: measure_streams(program, hubs, size) for size in STREAMS} for _ in rounds]
        )
        stores = {events: Store(folder / str(events), events) for events in EVENTS}
        by_events = [{events: measure_event_log(program, store) for events, store in stores.items()} for _ in rounds]
        print_table("events in the log", EVENTS, by_events)


if __name__ == "__main__":
    main()
