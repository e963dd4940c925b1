"""Prints the results of `bench.streams`: versions, missing features of each peer, and medians."""

import os
import platform
import sqlite3
import statistics
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench import peers
from bench.peers import PeerLauncher

FIGURES: Final = {
    "bcast_ms_med": "one broadcast, ms until the last stream has it",
    "bcast_cpu_us_per_ev": "  CPU µs per event and stream",
    "burst_ev_s": "one publisher without pauses, events/s",
    "burst_cpu_us_per_ev": "  CPU µs per event and stream",
    "par_ev_s": "16 publishers (4 at 10,000), events/s",
    "par_lat_p50": "  p50 ms",
    "kb_per_conn": "KiB per stream",
    "rss_n_mb": "MiB in total",
    "hold_cpu_pct": "idle with heartbeats, % of a core",
    "connect_per_s": "connects/s",
    "conn_ms_p99": "  p99 ms",
    "connect_cpu_us": "  CPU µs each",
    "storm_connect_per_s": "reconnects, each 20 events behind: connects/s",
    "storm_conn_ms_p99": "  p99 ms",
    "storm_connect_cpu_us": "  CPU µs each",
    "storm_replay_s": "  s until all missed events are replayed",
    "storm_replay_lost": "  events lost",
    "lost": "events lost or late",
    "order_differs": "rounds in which streams saw different orders",
    "term_closed_ms": "SIGTERM: ms until all streams are closed",
    "term_exit_ms": "SIGTERM: ms until the process has ended",
}


# Summed over all rounds, because a median would hide a single loss.
COUNTS: Final = frozenset({"lost", "order_differs", "storm_replay_lost"})


def print_figures(streams: int, rounds: Sequence[Mapping[str, Mapping[str, Any]]]) -> None:
    """Print the medians of all rounds; a heading names the number of rounds if a peer had fewer."""
    names = list(dict.fromkeys(name for figures in rounds for name in figures))
    round_counts = {name: sum(name in figures for figures in rounds) for name in names}
    headings = [name if round_counts[name] == len(rounds) else f"{name} ({round_counts[name]})" for name in names]
    table = Table("figure", *headings, title=f"{streams:,} streams, median of {len(rounds)}")
    for key, label in FIGURES.items():
        cells = []
        for name in names:
            values = [figures[name][key] for figures in rounds if key in figures.get(name, {})]
            if key in COUNTS:
                cells.append(f"{sum(values):,}" if values else "")
            else:
                cells.append(f"{statistics.median(values):,.1f}" if values else "")
        if any(cells):
            table.add_row(label, *cells)
    Console(width=170).print(table)


def describe_run(launchers: Mapping[str, PeerLauncher]) -> dict[str, Any]:
    """Return the versions of the peers, the machine and the date."""
    hub_versions = ", ".join(f"{name} {version(name)}" for name in ("uvicorn", "uvloop", "starlette"))
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "date": time.strftime("%d %B %Y"),
        "machine": f"{os.cpu_count()} × {model[0].partition(': ')[2] if model else platform.machine()}",
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "versions": {"direct, asgi": hub_versions} | {name: launcher.version for name, launcher in launchers.items()},
    }


def print_versions(run: Mapping[str, Any]) -> None:
    """Print the versions, and what each peer is and lacks."""
    machine = f"{run['machine']}, Linux {run['kernel']}, {run['date']}"
    table = Table(
        "peer", "version", "what it is, and lacks", title=f"Python {run['python']}, SQLite {run['sqlite']}; {machine}"
    )
    for name, number in run["versions"].items():
        table.add_row(name, number, peers.get_limitations(name) if name in peers.PEERS else "")
    Console(width=170).print(table)
