"""What `bench.streams` prints: the versions, what each peer does less, and the medians."""

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
from bench.peers import Foreign

FIGURES: Final = {
    "bcast_ms_med": "one broadcast, until the last has it, ms",
    "bcast_cpu_us_per_ev": "  CPU µs, an event and stream",
    "burst_ev_s": "one publisher back to back, events/s",
    "burst_cpu_us_per_ev": "  CPU µs, an event and stream",
    "par_ev_s": "16 publishers (4 at 10,000), events/s",
    "par_lat_p50": "  p50 ms",
    "kb_per_conn": "KiB a stream",
    "rss_n_mb": "MiB in all",
    "hold_cpu_pct": "idle with heartbeats, % of a core",
    "connect_per_s": "connects/s",
    "conn_ms_p99": "  p99 ms",
    "connect_cpu_us": "  CPU µs each",
    "storm_connect_per_s": "storm, each 20 behind: connects/s",
    "storm_conn_ms_p99": "  p99 ms",
    "storm_connect_cpu_us": "  CPU µs each",
    "storm_replay_s": "  s until all have what they missed",
    "storm_replay_lost": "  lost, events",
    "lost": "lost or late, events",
    "unlike": "rounds in which streams saw different orders",
    "term_closed_ms": "SIGTERM: ms until all are told",
    "term_exit_ms": "SIGTERM: ms until the process is gone",
}


# Of these all rounds are added up: a median would hide one.
COUNTS: Final = frozenset({"lost", "unlike", "storm_replay_lost"})


def show(streams: int, rounds: Sequence[Mapping[str, Mapping[str, Any]]]) -> None:
    """The medians of all rounds; a peer's rounds are in its heading where it had fewer."""
    names = list(dict.fromkeys(name for one in rounds for name in one))
    had = {name: sum(name in one for one in rounds) for name in names}
    headings = [name if had[name] == len(rounds) else f"{name} ({had[name]})" for name in names]
    table = Table("what", *headings, title=f"{streams:,} streams, median of {len(rounds)}")
    for key, label in FIGURES.items():
        cells = []
        for name in names:
            values = [one[name][key] for one in rounds if key in one.get(name, {})]
            if key in COUNTS:
                cells.append(f"{sum(values):,}" if values else "")
            else:
                cells.append(f"{statistics.median(values):,.1f}" if values else "")
        if any(cells):
            table.add_row(label, *cells)
    Console(width=170).print(table)


def about(foreign: Mapping[str, Foreign]) -> dict[str, Any]:
    """What was measured: each peer's version, the machine, the day."""
    ours = ", ".join(f"{name} {version(name)}" for name in ("uvicorn", "uvloop", "starlette"))
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "date": time.strftime("%d %B %Y"),
        "machine": f"{os.cpu_count()} × {model[0].partition(': ')[2] if model else platform.machine()}",
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "versions": {"direct, asgi": ours} | {name: other.version for name, other in foreign.items()},
    }


def show_about(said: Mapping[str, Any]) -> None:
    """A table of the versions and of what each peer does less."""
    where = f"{said['machine']}, Linux {said['kernel']}, {said['date']}"
    table = Table(
        "peer", "version", "what it is, and lacks", title=f"Python {said['python']}, SQLite {said['sqlite']}; {where}"
    )
    for name, number in said["versions"].items():
        table.add_row(name, number, peers.less(name) if name in peers.PEERS else "")
    Console(width=170).print(table)
