"""Streams side by side: this hub both ways, sse-starlette as one would write it first, and nchan; ratios of one run.

`python -m bench.streams [--rounds 3] [--streams 10000,1000] [--out file.json]`. It needs gcc; without nginx and
libnginx-mod-nchan it leaves that peer out.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench import servers, wire
from bench.servers import Server, decode

LOAD: Final = Path(__file__).with_name("sseload.c")
NCHAN: Final = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
SETTLE_SECONDS: Final = 180
# Each stream that comes back has missed so many.
MISSED: Final = 20
HOLD_SECONDS: Final = 16
CONFIG: Final = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/server.log; load_module {module};
worker_rlimit_nofile 65536;
events {{ worker_connections 30000; }}
http {{ access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder}; keepalive_requests 1000000; nchan_shared_memory_size 128M;
  server {{ listen 127.0.0.1:{port} backlog=2048;
    location /stream {{ nchan_subscriber eventsource; nchan_channel_id all; nchan_eventsource_ping_interval 15; }}
    location /broadcast {{ nchan_publisher; nchan_channel_id all; nchan_message_buffer_length 20; }} }} }}
"""


@dataclass(frozen=True)
class Peer:
    """A server under load: what the load client must be told."""

    server: Server
    arguments: list[str] = field(default_factory=list)


class Hubs:
    """Our hub on a folder with one user for each stream, made once."""

    def __init__(self, folder: Path, streams: int) -> None:
        self.folder = folder
        self.key = ""
        self.tokens: list[str] = []
        self._streams = streams

    def prepare(self) -> None:
        """Make the users."""
        with servers.hub(self.folder) as hub:
            self.key = hub.hub("keys", "create", "bench", "--scope", "broadcast")
            self.tokens = asyncio.run(_sign_up(hub.url, self._streams))

    @contextmanager
    def start(self, path: str, streams: int) -> Iterator[Peer]:
        """The hub, writing to its streams this way."""
        with servers.hub(self.folder, HUB_STREAM_PATH=path) as hub:
            heads = self._heads(streams, "")
            yield Peer(hub, ["--heads", heads, *self.publishing()])

    def publishing(self) -> list[str]:
        """How the load client broadcasts."""
        auth = f"Authorization: Bearer {self.key}\r\n"
        body = ["--before", '{"type":"bench","data":', "--after", "}"]
        return ["--sub", "/api/realtime/connect", "--pub", "/api/realtime/broadcast", "--auth", auth, *body]

    def storm(self, hub: Server, streams: int) -> list[str]:
        """Publish what all of them have missed; they come back with the cursor from before."""
        cursor = asyncio.run(_miss(hub.url, self.key))
        heads = self._heads(streams, f"Last-Event-ID: {cursor}^")
        return ["--heads", heads, "--want", str(MISSED), *self.publishing()]

    def _heads(self, streams: int, more: str) -> str:
        file = self.folder / "heads"
        file.write_text("".join(f"Authorization: Bearer {token}^{more}\n" for token in self.tokens[:streams]))
        return str(file)


async def _sign_up(url: str, count: int) -> list[str]:
    tokens: list[str] = []
    numbers = iter(range(count))

    async def one(caller: wire.Caller) -> bool:
        number = next(numbers, None)
        if number is None:
            return False
        who = {"email": f"u{number}@example.org", "password": "correct horse", "name": "U", "role": "client"}
        ask = wire.request("POST", url, "/api/auth/signup", body=json.dumps(who).encode())
        tokens.append(str(decode(await caller.ask(ask), 201)["token"]))
        return True

    await wire.flat_out(await wire.callers(url, 32), SETTLE_SECONDS, one)
    return tokens


async def _miss(url: str, key: str) -> str:
    (caller,) = await wire.callers(url, 1)
    cursors = []
    for _ in range(MISSED + 1):
        said = {"type": "bench", "data": {"ts": f"~T{time.monotonic_ns():019d}~", "pad": "x" * 150}}
        ask = wire.request("POST", url, "/api/realtime/broadcast", token=key, body=json.dumps(said).encode())
        cursors.append(str(decode(await caller.ask(ask), 202)["cursor"]))
    return cursors[0]


@contextmanager
def naive() -> Iterator[Peer]:
    """A queue and a response of sse-starlette for each stream: in memory, no users, no log."""
    with servers.naive() as server:
        yield Peer(server, ["--sub", "/stream", "--pub", "/broadcast"])


@contextmanager
def nchan() -> Iterator[Peer]:
    """nginx with nchan, one process: in memory, no users, no log."""
    with TemporaryDirectory() as folder:
        port = servers.free_port()
        config = Path(folder) / "nginx.conf"
        config.write_text(CONFIG.format(folder=folder, module=NCHAN, port=port))
        pinned = ["taskset", "-c", "0"] if (os.cpu_count() or 1) > 1 else []
        process = subprocess.Popen([*pinned, "nginx", "-p", folder, "-c", str(config)], stderr=subprocess.DEVNULL)
        try:
            servers.wait_for(process, port, Path(folder) / "server.log")
            yield Peer(
                Server(f"http://127.0.0.1:{port}", process.pid, Path(folder)),
                ["--sub", "/stream", "--pub", "/broadcast"],
            )
        finally:
            process.terminate()
            process.wait(30)


def load(program: Path, peer: Peer, streams: int, *options: str) -> dict[str, Any]:
    """One run of the load client on the other processors."""
    pinned = ["taskset", "-c", f"1-{(os.cpu_count() or 2) - 1}"] if (os.cpu_count() or 1) > 1 else []
    port, pid = str(wire.where(peer.server.url)[1]), str(peer.server.pid)
    command = [*pinned, str(program), "--port", port, "--pids", pid, "-n", str(streams), *peer.arguments, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SETTLE_SECONDS, check=True)
    sys.stderr.write(done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def measure(program: Path, hubs: Hubs, streams: int, peers: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """One round at one size: every peer in turn, then the hub's storm and end."""
    size = ["--rounds", "8"]
    if streams <= 1_000:
        size += ["--burst", "20", "--par", "16"]
    else:
        size += ["--burst", "5", "--par", "4", "--hold", str(HOLD_SECONDS)]
    for path in [path for path in ("takeover", "portable") if path in peers]:
        with hubs.start(path, streams) as peer:
            got = load(program, peer, streams, *size, "--term", str(peer.server.pid))
            yield path, got
        with hubs.start(path, streams) as peer:
            arguments = hubs.storm(peer.server, streams)
            yield f"{path} storm", load(program, Peer(peer.server, arguments), streams, "--rounds", "0", "--burst", "0")
    if "naive" in peers:
        with naive() as peer:
            yield "naive", load(program, peer, streams, *size)
    if "nchan" not in peers:
        return
    if NCHAN.exists() and shutil.which("nginx"):
        with nchan() as peer:
            yield "nchan", load(program, peer, streams, *size)
    else:
        sys.stderr.write("nchan is left out: there is no nginx with libnginx-mod-nchan here\n")


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
    "replay_s": "storm: s until all have what they missed",
    "term_closed_ms": "SIGTERM: ms until all are told",
    "term_exit_ms": "SIGTERM: ms until the process is gone",
}


def show(streams: int, rounds: list[dict[str, dict[str, Any]]]) -> None:
    """The medians of all rounds."""
    names = list(rounds[0])
    table = Table("what", *names, title=f"{streams:,} streams, median of {len(rounds)}")
    for key, label in FIGURES.items():
        cells = []
        for name in names:
            values = [one[name][key] for one in rounds if key in one[name]]
            cells.append(f"{statistics.median(values):,.1f}" if values else "")
        table.add_row(label, *cells)
    Console(width=160).print(table)


def main() -> None:
    """Build the load client, measure, print; `--out` keeps every figure of every round."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", default="10000,1000")
    parser.add_argument("--peers", default="takeover,portable,naive,nchan")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    sizes = [int(part) for part in asked.streams.split(",")]
    kept: dict[int, list[dict[str, dict[str, Any]]]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        program = folder / "sseload"
        subprocess.run(["gcc", "-O2", "-Wall", "-o", program, LOAD], check=True)
        (folder / "hub").mkdir()
        hubs = Hubs(folder / "hub", max(sizes))
        hubs.prepare()
        for streams in sizes:
            for _ in range(asked.rounds):
                kept.setdefault(streams, []).append(dict(measure(program, hubs, streams, set(asked.peers.split(",")))))
                if asked.out:
                    asked.out.write_text(json.dumps(kept, indent=1))
            show(streams, kept[streams])


if __name__ == "__main__":
    main()
