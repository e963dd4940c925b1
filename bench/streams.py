"""Compares streams of the hub, with both transports, and of its peers.

`python -m bench.streams [--rounds 3] [--streams 10000,1000] [--peers direct,nchan] [--out file.json]`. It needs gcc. A
peer that cannot be built is left out, with a line that names the reason.
"""

import argparse
import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench import peers, raw_client, report, servers
from bench.peers import Peer, PeerLauncher
from bench.servers import Server, decode

LOAD_CLIENT_SOURCE: Final = Path(__file__).with_name("sseload.c")
MAX_LOAD_SECONDS: Final = 420
MAX_SIGN_UP_SECONDS: Final = 180
# Missed events of each reconnecting stream.
MISSED_EVENTS: Final = 20
HOLD_SECONDS: Final = 16
MAX_OPEN_SECONDS: Final = 60
MAX_FULL_LOAD_STREAMS: Final = 1_000
HUB_TRANSPORTS: Final = ("direct", "asgi")
# These peers are slow, so they get fewer broadcasts.
SLOW_PEERS: Final = frozenset({"naive", "fastapi"})

Figures = dict[str, Any]


class HubFactory:
    """Starts hubs on a data directory with one user per stream."""

    def __init__(self, folder: Path, streams: int) -> None:
        self.folder = folder
        self.key = ""
        self.tokens: list[str] = []
        self._streams = streams

    def prepare(self) -> None:
        """Create the users and the API key."""
        with servers.run_hub(self.folder) as hub:
            self.key = hub.run_command("keys", "create", "bench", "--scope", "broadcast")
            self.tokens = asyncio.run(_sign_up(hub.url, self._streams))

    @contextmanager
    def start(self, transport: str, streams: int) -> Iterator[Peer]:
        """Run the hub with this stream transport."""
        with servers.run_hub(self.folder, HUB_STREAM_TRANSPORT=transport) as hub:
            heads = self._write_headers(streams, "")
            yield Peer(hub, ["--heads", heads, *self.build_publish_options()])

    def build_publish_options(self) -> list[str]:
        """Return the load client options for paths and broadcasts."""
        auth = f"Authorization: Bearer {self.key}\r\n"
        body = ["--before", '{"type":"bench","data":', "--after", "}"]
        return ["--sub", "/api/realtime/connect", "--pub", "/api/realtime/broadcast", "--auth", auth, *body]

    def prepare_reconnects(self, hub: Server, streams: int) -> list[str]:
        """Publish events, and return load client options that reconnect with the cursor before them."""
        cursor = asyncio.run(_publish_missed(hub.url, self.key))
        heads = self._write_headers(streams, f"Last-Event-ID: {cursor}^")
        return ["--heads", heads, "--want", str(MISSED_EVENTS), *self.build_publish_options()]

    def _write_headers(self, streams: int, extra: str) -> str:
        file = self.folder / "heads"
        file.write_text("".join(f"Authorization: Bearer {token}^{extra}\n" for token in self.tokens[:streams]))
        return str(file)


async def _sign_up(url: str, count: int) -> list[str]:
    tokens: list[str] = []
    numbers = iter(range(count))

    async def sign_up(caller: raw_client.Caller) -> bool:
        number = next(numbers, None)
        if number is None:
            return False
        account = {"email": f"u{number}@example.org", "password": "correct horse", "name": "U", "role": "client"}
        request = raw_client.build_request("POST", url, "/api/auth/signup", body=json.dumps(account).encode())
        tokens.append(str(decode(await caller.send(request), 201)["token"]))
        return True

    await raw_client.run_callers(await raw_client.open_callers(url, 32), MAX_SIGN_UP_SECONDS, sign_up)
    return tokens


async def _publish_missed(url: str, key: str) -> str:
    (caller,) = await raw_client.open_callers(url, 1)
    cursors = []
    for _ in range(MISSED_EVENTS + 1):
        body = {"type": "bench", "data": {"ts": f"~T{time.monotonic_ns():019d}~", "pad": "x" * 150}}
        request = raw_client.build_request(
            "POST", url, "/api/realtime/broadcast", token=key, body=json.dumps(body).encode()
        )
        cursors.append(str(decode(await caller.send(request), 202)["cursor"]))
    return cursors[0]


def run_load_client(program: Path, peer: Peer, streams: int, *options: str) -> Figures:
    """Run the load client on the other processors and return its figures."""
    pinned = ["taskset", "-c", f"1-{(os.cpu_count() or 2) - 1}"] if (os.cpu_count() or 1) > 1 else []
    port, pid = str(raw_client.parse_address(peer.server.url)[1]), str(peer.server.pid)
    command = [*pinned, str(program), "--port", port, "--pids", pid, "-n", str(streams), *peer.arguments, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MAX_LOAD_SECONDS, check=True)
    sys.stderr.write(done.stderr)
    figures: Figures = json.loads(done.stdout)
    figures["lost"] = sum(value for key, value in figures.items() if key.endswith("_lost"))
    figures["order_differs"] = int(not figures.get("same_order", True))
    return figures


def build_load_options(streams: int, *, slow: bool = False) -> list[str]:
    """Return the options of the load client for this number of streams."""
    opening = ["--open", str(MAX_OPEN_SECONDS)]
    if streams <= MAX_FULL_LOAD_STREAMS:
        return [*opening, "--rounds", "8", "--burst", "5" if slow else "20", "--par", "16"]
    rounds, burst = ("3", "2") if slow else ("8", "5")
    return [*opening, "--rounds", rounds, "--burst", burst, "--par", "4", "--hold", str(HOLD_SECONDS)]


def measure_hub(program: Path, hubs: HubFactory, transport: str, streams: int) -> Figures:
    """Measure the hub and its shutdown, and then reconnects on another hub process."""
    with hubs.start(transport, streams) as peer:
        figures = run_load_client(program, peer, streams, *build_load_options(streams), "--term", str(peer.server.pid))
    with hubs.start(transport, streams) as peer:
        arguments = hubs.prepare_reconnects(peer.server, streams)
        reconnects = run_load_client(program, Peer(peer.server, arguments), streams, "--rounds", "0", "--burst", "0")
    return figures | {f"storm_{key}": value for key, value in reconnects.items()}


def measure(
    program: Path, hubs: HubFactory, launchers: Mapping[str, PeerLauncher], streams: int, names: list[str]
) -> Iterator[tuple[str, Figures]]:
    """Yield the figures of every peer in turn; print a line for a peer that cannot hold so many streams."""
    for transport in [transport for transport in HUB_TRANSPORTS if transport in names]:
        yield transport, measure_hub(program, hubs, transport, streams)
    for name, launcher in launchers.items():
        try:
            with launcher.start() as peer:
                figures = run_load_client(program, peer, streams, *build_load_options(streams, slow=name in SLOW_PEERS))
        except (subprocess.SubprocessError, RuntimeError) as error:
            sys.stderr.write(f"{name} is left out of a round at {streams:,} streams: {error}\n")
            continue
        if figures["ready"] == streams:
            yield name, figures
        else:
            reason = f"it opened {figures['ready']:,} in {MAX_OPEN_SECONDS} s"
            sys.stderr.write(f"{name} is left out of a round at {streams:,} streams: {reason}\n")


def main() -> None:
    """Build the load client and the peers, measure and print; `--out` saves every figure of every round."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", default="10000,1000")
    parser.add_argument("--peers", default=",".join([*HUB_TRANSPORTS, *peers.PEERS]))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    names = arguments.peers.split(",")
    if unknown := set(names) - {*HUB_TRANSPORTS, *peers.PEERS}:
        parser.error(f"no such peers: {', '.join(unknown)}")
    # SIGTERM must stop the servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Each stream is an open file here and in the server.
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    launchers = peers.find_available([name for name in names if name in peers.PEERS])
    run = report.describe_run(launchers)
    report.print_versions(run)
    counts = [int(part) for part in arguments.streams.split(",")]
    figures_by_size: dict[int, list[dict[str, Figures]]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        program = folder / "sseload"
        subprocess.run(["gcc", "-O2", "-Wall", "-o", program, LOAD_CLIENT_SOURCE], check=True)
        hubs = HubFactory(folder / "hub", max(counts))
        hubs.folder.mkdir()
        if set(names) & set(HUB_TRANSPORTS):
            hubs.prepare()
        for streams in counts:
            for _ in range(arguments.rounds):
                round_figures = dict(measure(program, hubs, launchers, streams, names))
                figures_by_size.setdefault(streams, []).append(round_figures)
                if arguments.out:
                    arguments.out.write_text(json.dumps({"run": run, "figures": figures_by_size}, indent=1))
            report.print_figures(streams, figures_by_size[streams])


if __name__ == "__main__":
    main()
