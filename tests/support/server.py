"""A real hub in a process of its own: started, watched, killed and started again."""

import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import cycle
from pathlib import Path
from threading import Condition, Thread
from typing import Any, Final, TextIO

import msgspec

from api.control.actions import NewKey
from api.control.socket import send_request
from services.accounts import api_keys
from tests.support.forked_command import Forked, run

ROOT: Final = Path(__file__).parents[2]
# Starting means a migration in a child process; on two busy cores that has taken 6 s.
START_SECONDS: Final = 40.0
STOP_SECONDS: Final = 20.0

# What makes a hub quick to test; a test that is about one of these sets it itself.
QUICK: Final = {"HUB_ENV": "development", "HUB_PASSWORD_MEMORY_MB": "1", "HUB_SIGNUP_RATE_LIMIT": "0"}

Process = subprocess.Popen[bytes] | Forked


class Server:
    """The process `hub serve`; it keeps its port and its data folder over restarts."""

    def __init__(
        self,
        data_dir: Path,
        settings: Mapping[str, str] | None = None,
        *,
        store: Path | None = None,
        fresh_process: bool = False,
    ) -> None:
        """`store` is a migrated one to begin with, so that the first start need not migrate.

        With `fresh_process` a new interpreter runs `python -m api serve`; otherwise the hub is forked.
        """
        self.data_dir = data_dir
        if store is not None:
            data_dir.mkdir(mode=0o700)
            shutil.copy(store, data_dir)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        own = {"HUB_HOST": "127.0.0.1", "HUB_PORT": str(self.port), "HUB_DATA_DIR": str(data_dir)}
        self.settings = QUICK | own | dict(settings or {})
        self.fresh_process = fresh_process
        # Where its packages and web/ lie: a test may have another release served from the next start on, anew.
        self.code = ROOT
        self._lines: list[str] = []
        self._news = Condition()
        self._process: Process | None = None
        self._reader: Thread | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What the hub and its commands are given."""
        return {name: value for name, value in os.environ.items() if not name.startswith("HUB_")} | self.settings

    @property
    def process(self) -> Process:
        """The process, running or ended."""
        assert self._process is not None, "the hub was never started"
        return self._process

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """All that it has said on both outputs, over all its starts."""
        with self._news:
            return "".join(self._lines)

    @property
    def lines_said(self) -> int:
        """How many lines that is."""
        return len(self._lines)

    def said_after(self, lines: int) -> str:
        """What it has said since it had said so many lines."""
        with self._news:
            return "".join(self._lines[lines:])

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """The log's JSON lines, all or those of one event."""
        return json_lines(self.log, event)

    def start(self) -> None:
        """Start, and wait until it says that it is ready."""
        before = len(self.lines("ready"))
        self.spawn()
        self.wait_log(lambda: len(self.lines("ready")) > before, START_SECONDS)
        self.url = str(self.lines("ready")[-1]["url"]).rstrip("/")

    def spawn(self) -> None:
        """Start, and do not wait: for starts that are to fail."""
        assert not self.running
        heard, said = os.pipe()
        with open(os.devnull, "rb") as stdin, open(said, "wb") as out:
            if self.fresh_process or self.code != ROOT:
                command = [sys.executable, "-m", "api", "serve"]
                self._process = subprocess.Popen(
                    command, cwd=self.code, env=self.environment, stdin=stdin, stdout=out, stderr=out
                )
            else:
                self._process = Forked(["serve"], self.environment, stdin, out, out)
        self._output = open(heard, errors="backslashreplace")  # noqa: SIM115  # its reader closes it
        self._reader = Thread(target=self._read, args=(self._output,), daemon=True)
        self._reader.start()

    def wait_log(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait until the log makes a condition true; fails with the log when the process ends before, or time does."""
        with self._news:
            met = self._news.wait_for(lambda: condition() or not self._reading(), seconds)
        assert condition(), f"the hub {'ended' if met else 'said nothing of it in time'}; its log:\n{self.log}"

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for the process to end by itself; its exit code."""
        code = self.process.wait(seconds)
        if self._reader is not None:
            self._reader.join(seconds)
        return code

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """SIGTERM, and the exit code; killed, and an error, when it does not end in time."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the hub did not stop in {seconds} s; its log:\n{self.log}") from None

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self.running:
            self.process.kill()
        self.wait()

    def restart(self) -> None:
        """Stop, if it runs, and start again on the same port and data."""
        if self.running:
            assert self.stop() == 0, self.log
        self.start()

    def cli(self, *arguments: str, stdin: str | None = None, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run `hub …` with the same settings; exit code and both outputs, nothing is checked."""
        if self.fresh_process:
            return self.cli_in_fresh_process(*arguments, stdin=stdin, seconds=seconds)
        return run(list(arguments), self.environment, stdin=stdin or "", seconds=seconds)

    def cli_in_fresh_process(
        self, *arguments: str, stdin: str | None = None, seconds: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """The same as `python -m api …`, as an operator starts it."""
        return subprocess.run(
            [sys.executable, "-m", "api", *arguments],
            cwd=ROOT,
            env=self.environment,
            input=stdin or "",
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def api_key(self, name: str, scopes: Iterable[str]) -> str:
        """A new key, made as `hub keys create` has the running hub make it."""
        text = api_keys.PREFIX + secrets.token_urlsafe(32)
        told = NewKey(name, list(scopes), api_keys.hash_key(text))
        answer = send_request(self.data_dir, "keys.create", msgspec.json.encode(told))
        assert not answer.code, answer.message
        return text

    def _read(self, output: TextIO) -> None:
        with output:
            for line in output:
                with self._news:
                    self._lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def _reading(self) -> bool:
        return not self._output.closed


def _own_ports() -> Iterator[int]:
    """Those of this process of the test run, one after the other: none comes again before all others have."""
    worker, workers = os.environ.get("PYTEST_XDIST_WORKER", "gw0"), os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")
    ports = range(20_000 + int(worker.removeprefix("gw")), 30_000, int(workers))
    return cycle(random.sample(ports, len(ports)))


_PORTS: Final = _own_ports()


def free_port() -> int:
    """A port nobody listens on, nor is to: it stays free over a restart, for the system gives clients higher ones."""
    while True:
        port = next(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def json_lines(text: str, event: str | None = None) -> list[dict[str, Any]]:
    """The JSON objects among these lines, all or those of one event."""
    parsed = [_json(line) for line in text.splitlines()]
    return [line for line in parsed if line is not None and event in (None, line.get("event"))]


def _json(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None
