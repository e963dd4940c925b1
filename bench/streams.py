"""Streams side by side: this hub both ways, and what others would take instead; ratios of one run.

`python -m bench.streams [--rounds 3] [--streams 10000,1000] [--peers direct,nchan] [--out file.json]`. It needs gcc;
a peer that cannot be built here is left out with a line (`bench.peers`).
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
from bench.peers import Foreign, Peer
from bench.servers import Server, decode

LOAD: Final = Path(__file__).with_name("sseload.c")
LOAD_SECONDS: Final = 420
SETTLE_SECONDS: Final = 180
# Each stream that comes back has missed so many.
MISSED: Final = 20
HOLD_SECONDS: Final = 16
OPEN_SECONDS: Final = 60
MANY: Final = 1_000
OURS: Final = ("direct", "asgi")
# These take so long that they have fewer broadcasts.
SLOW: Final = frozenset({"naive", "fastapi"})

Figures = dict[str, Any]


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
    def start(self, transport: str, streams: int) -> Iterator[Peer]:
        """The hub, writing to its streams this way."""
        with servers.hub(self.folder, HUB_STREAM_TRANSPORT=transport) as hub:
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

    async def one(caller: raw_client.Caller) -> bool:
        number = next(numbers, None)
        if number is None:
            return False
        who = {"email": f"u{number}@example.org", "password": "correct horse", "name": "U", "role": "client"}
        ask = raw_client.request("POST", url, "/api/auth/signup", body=json.dumps(who).encode())
        tokens.append(str(decode(await caller.ask(ask), 201)["token"]))
        return True

    await raw_client.flat_out(await raw_client.callers(url, 32), SETTLE_SECONDS, one)
    return tokens


async def _miss(url: str, key: str) -> str:
    (caller,) = await raw_client.callers(url, 1)
    cursors = []
    for _ in range(MISSED + 1):
        said = {"type": "bench", "data": {"ts": f"~T{time.monotonic_ns():019d}~", "pad": "x" * 150}}
        ask = raw_client.request("POST", url, "/api/realtime/broadcast", token=key, body=json.dumps(said).encode())
        cursors.append(str(decode(await caller.ask(ask), 202)["cursor"]))
    return cursors[0]


def load(program: Path, peer: Peer, streams: int, *options: str) -> Figures:
    """One run of the load client on the other processors."""
    pinned = ["taskset", "-c", f"1-{(os.cpu_count() or 2) - 1}"] if (os.cpu_count() or 1) > 1 else []
    port, pid = str(raw_client.where(peer.server.url)[1]), str(peer.server.pid)
    command = [*pinned, str(program), "--port", port, "--pids", pid, "-n", str(streams), *peer.arguments, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LOAD_SECONDS, check=True)
    sys.stderr.write(done.stderr)
    answer: Figures = json.loads(done.stdout)
    answer["lost"] = sum(value for key, value in answer.items() if key.endswith("_lost"))
    answer["unlike"] = int(not answer.get("same_order", True))
    return answer


def sizes(streams: int, *, slow: bool = False) -> list[str]:
    """How much is asked of so many streams."""
    opening = ["--open", str(OPEN_SECONDS)]
    if streams <= MANY:
        return [*opening, "--rounds", "8", "--burst", "5" if slow else "20", "--par", "16"]
    rounds, burst = ("3", "2") if slow else ("8", "5")
    return [*opening, "--rounds", rounds, "--burst", burst, "--par", "4", "--hold", str(HOLD_SECONDS)]


def measure_ours(program: Path, hubs: Hubs, transport: str, streams: int) -> Figures:
    """The hub, its end by SIGTERM, and on a server of its own the storm of those who come back."""
    with hubs.start(transport, streams) as peer:
        got = load(program, peer, streams, *sizes(streams), "--term", str(peer.server.pid))
    with hubs.start(transport, streams) as peer:
        arguments = hubs.storm(peer.server, streams)
        storm = load(program, Peer(peer.server, arguments), streams, "--rounds", "0", "--burst", "0")
    return got | {f"storm_{key}": value for key, value in storm.items()}


def measure(
    program: Path, hubs: Hubs, foreign: Mapping[str, Foreign], streams: int, asked: list[str]
) -> Iterator[tuple[str, Figures]]:
    """One round at one size: every peer in turn; what cannot hold so many streams is left out with a line."""
    for transport in [transport for transport in OURS if transport in asked]:
        yield transport, measure_ours(program, hubs, transport, streams)
    for name, other in foreign.items():
        try:
            with other.start() as peer:
                got = load(program, peer, streams, *sizes(streams, slow=name in SLOW))
        except (subprocess.SubprocessError, RuntimeError) as error:
            sys.stderr.write(f"{name} is left out of a round at {streams:,} streams: {error}\n")
            continue
        if got["ready"] == streams:
            yield name, got
        else:
            said = f"it opened {got['ready']:,} in {OPEN_SECONDS} s"
            sys.stderr.write(f"{name} is left out of a round at {streams:,} streams: {said}\n")


def main() -> None:
    """Build the load client and the peers, measure, print; `--out` keeps every figure of every round."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", default="10000,1000")
    parser.add_argument("--peers", default=",".join([*OURS, *peers.PEERS]))
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    names = asked.peers.split(",")
    if unknown := set(names) - {*OURS, *peers.PEERS}:
        parser.error(f"no such peers: {', '.join(unknown)}")
    # What was started is stopped however this ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Each stream is a descriptor here and there.
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    foreign = peers.available([name for name in names if name in peers.PEERS])
    said = report.about(foreign)
    report.show_about(said)
    counts = [int(part) for part in asked.streams.split(",")]
    kept: dict[int, list[dict[str, Figures]]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        program = folder / "sseload"
        subprocess.run(["gcc", "-O2", "-Wall", "-o", program, LOAD], check=True)
        hubs = Hubs(folder / "hub", max(counts))
        hubs.folder.mkdir()
        if set(names) & set(OURS):
            hubs.prepare()
        for streams in counts:
            for _ in range(asked.rounds):
                one = dict(measure(program, hubs, foreign, streams, names))
                kept.setdefault(streams, []).append(one)
                if asked.out:
                    asked.out.write_text(json.dumps({"about": said, "figures": kept}, indent=1))
            report.show(streams, kept[streams])


if __name__ == "__main__":
    main()
