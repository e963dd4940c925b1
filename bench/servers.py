"""Starts the measured servers, each in its own process, on a free port and on processor 0."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
MAX_START_SECONDS = 60.0
MAX_STOP_SECONDS = 30.0
# No limit or empty wallet stops the load, and the hub writes no log lines, because the naive server writes none.
# `bench.compare` gives these settings to other checkouts. Their names must not change.
SHARED_LOAD_SETTINGS = {
    "HUB_RATE_LIMIT": "0",
    "HUB_CONNECT_RATE_LIMIT": "0",
    "HUB_MAX_STREAMS_PER_USER": "0",
    "HUB_MAX_STREAMS_PER_ADDRESS": "0",
    "HUB_SIGNUP_RATE_LIMIT": "0",
    "HUB_LOG_LEVEL": "warning",
    "HUB_OPENING_BALANCE": "1000000000",
}
LOAD_SETTINGS = SHARED_LOAD_SETTINGS | {"HUB_DIRECT_MESSAGE_RATE_LIMIT": "0", "HUB_PASSWORD_MEMORY_MB": "1"}


@dataclass(frozen=True)
class Memory:
    """The memory of a process in KiB: resident, proportional, and private to the process."""

    rss_kb: int
    pss_kb: int
    private_kb: int


@dataclass(frozen=True)
class Server:
    """A running server: its URL, process, data directory, and for a hub its checkout and settings."""

    url: str
    pid: int
    folder: Path
    checkout: Path = ROOT
    settings: Mapping[str, str] = field(default_factory=dict)

    def read_rss_kb(self) -> int:
        """Return the resident memory in KiB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise RuntimeError("no VmRSS")

    def read_memory(self) -> Memory:
        """Return the memory of the process from `/proc/<pid>/smaps_rollup`."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()[1:]
        sizes = {name: int(size) for name, size, *_ in map(str.split, lines)}
        return Memory(sizes["Rss:"], sizes["Pss:"], sizes["Private_Clean:"] + sizes["Private_Dirty:"])

    def read_cpu_seconds(self) -> float:
        """Return the CPU time of all threads until now, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def run_command(self, *arguments: str) -> str:
        """Run a `hub` command on the data directory of this server, and return its output."""
        done = subprocess.run(
            [sys.executable, "-m", "api", *arguments],
            cwd=self.checkout,
            env=os.environ | self.settings,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()


@contextmanager
def run_hub(
    folder: Path | None = None,
    *,
    checkout: Path = ROOT,
    load_settings: Mapping[str, str] = LOAD_SETTINGS,
    **settings: str,
) -> Iterator[Server]:
    """Run the hub of a checkout with `python -m api serve`, on this folder or a fresh one.

    `settings` override `load_settings`. The modules of the hub come from the working directory of the process.
    """
    with TemporaryDirectory() as fresh:
        port, data = find_free_port(), folder or Path(fresh)
        env = {**load_settings, "HUB_DATA_DIR": str(data), "HUB_PORT": str(port), **settings}
        with run_server([sys.executable, "-m", "api", "serve"], port, data, env, checkout) as process:
            yield Server(f"http://127.0.0.1:{port}", process.pid, data, checkout, env)


@contextmanager
def run_naive() -> Iterator[Server]:
    """Run the server of `bench.naive_server`."""
    with TemporaryDirectory() as folder:
        port = find_free_port()
        env = {"NAIVE_FILE": f"{folder}/naive.db", "NAIVE_PORT": str(port)}
        with run_server([sys.executable, "-m", "bench.naive_server"], port, Path(folder), env) as process:
            yield Server(f"http://127.0.0.1:{port}", process.pid, Path(folder))


@contextmanager
def run_server(
    command: Sequence[str], port: int, folder: Path, env: Mapping[str, str], cwd: Path = ROOT
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server on processor 0 and wait for its port; stop it at the end, or kill it if it does not stop."""
    pinned = ["taskset", "-c", "0"] if (os.cpu_count() or 1) > 1 else []
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen([*pinned, *command], cwd=cwd, env=os.environ | env, stdout=output, stderr=output)
        try:
            wait_until_ready(process, port, log)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(MAX_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(MAX_STOP_SECONDS)


def wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until the port accepts connections. Raises RuntimeError with the log if the server does not start."""
    deadline = time.monotonic() + MAX_START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the server did not start: {log.read_text()[-2_000:]}")


def find_free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def decode(response: tuple[int, bytes], status: int) -> dict[str, object]:
    """Return the JSON of a response. Raises RuntimeError if it has another status."""
    if response[0] != status:
        raise RuntimeError(f"{response[0]}: {response[1][:500].decode()}")
    decoded: dict[str, object] = json.loads(response[1])
    return decoded
