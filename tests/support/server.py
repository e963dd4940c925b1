"""A hub process that tests start, observe, stop and kill."""

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
from tests.support.forked_command import ForkedCommand, run
from tests.support.hub_logs import record_use
from tests.support.timeouts import TIMEOUT_SECONDS

ROOT: Final = Path(__file__).parents[2]

# Settings that make tests fast. A test whose subject is one of these sets it itself.
FAST_SETTINGS: Final = {"HUB_ENV": "development", "HUB_PASSWORD_MEMORY_MB": "1", "HUB_SIGNUP_RATE_LIMIT": "0"}

Process = subprocess.Popen[bytes] | ForkedCommand


class Server:
    """The process `hub serve`; a restart keeps its port and data directory."""

    def __init__(
        self,
        data_dir: Path,
        settings: Mapping[str, str] | None = None,
        *,
        store: Path | None = None,
        fresh_process: bool = False,
    ) -> None:
        """Copy the migrated `store`, if given, so that the first start does not migrate.

        With `fresh_process` a new interpreter runs `python -m api serve`; otherwise the hub is forked.
        """
        self.data_dir = data_dir
        if store is not None:
            data_dir.mkdir(mode=0o700)
            shutil.copy(store, data_dir)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        own = {"HUB_HOST": "127.0.0.1", "HUB_PORT": str(self.port), "HUB_DATA_DIR": str(data_dir)}
        self.settings = FAST_SETTINGS | own | dict(settings or {})
        self.fresh_process = fresh_process
        # The folder with the packages and web/. A test can set it to serve another release from the next start on.
        self.source_root = ROOT
        self._lines: list[str] = []
        self._lines_changed = Condition()
        self._process: Process | None = None
        self._reader: Thread | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of the hub and its commands."""
        return {name: value for name, value in os.environ.items() if not name.startswith("HUB_")} | self.settings

    @property
    def process(self) -> Process:
        """The process, running or ended; the hub must have been started."""
        assert self._process is not None, "the hub was never started"
        return self._process

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """Both outputs of all starts."""
        with self._lines_changed:
            return "".join(self._lines)

    @property
    def log_line_count(self) -> int:
        """The number of lines of `log`."""
        return len(self._lines)

    def log_after(self, line_count: int) -> str:
        """Return `log` without its first `line_count` lines."""
        with self._lines_changed:
            return "".join(self._lines[line_count:])

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """Return the JSON lines of `log`: all of them, or those of one event."""
        return json_lines(self.log, event)

    def start(self) -> None:
        """Start the hub and wait until it is ready."""
        starts = len(self.lines("ready"))
        self.spawn()
        self.wait_for_log(lambda: len(self.lines("ready")) > starts)
        self.url = str(self.lines("ready")[-1]["url"]).rstrip("/")

    def spawn(self) -> None:
        """Start the hub without waiting, for starts that fail."""
        assert not self.running
        record_use(self)
        read_fd, write_fd = os.pipe()
        with open(os.devnull, "rb") as stdin, open(write_fd, "wb") as out:
            if self.fresh_process or self.source_root != ROOT:
                command = [sys.executable, "-m", "api", "serve"]
                self._process = subprocess.Popen(
                    command, cwd=self.source_root, env=self.environment, stdin=stdin, stdout=out, stderr=out
                )
            else:
                self._process = ForkedCommand(["serve"], self.environment, stdin, out, out)
        self._output = open(read_fd, errors="backslashreplace")  # noqa: SIM115  # closed by `_read`
        self._reader = Thread(target=self._read, args=(self._output,), daemon=True)
        self._reader.start()

    def wait_for_log(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on the log holds; fail with the log when the process ends or the time is over."""
        with self._lines_changed:
            in_time = self._lines_changed.wait_for(lambda: condition() or not self._is_reading(), TIMEOUT_SECONDS)
        reason = "the hub ended" if in_time else "timeout"
        assert condition(), f"the log line did not appear: {reason}; the log:\n{self.log}"

    def wait(self) -> int:
        """Wait until the process ends by itself, and return its exit code."""
        code = self.process.wait(TIMEOUT_SECONDS)
        if self._reader is not None:
            self._reader.join(TIMEOUT_SECONDS)
        return code

    def stop(self) -> int:
        """Send SIGTERM and return the exit code; kill the process and fail if it does not end in time."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the hub did not stop in {TIMEOUT_SECONDS} s; its log:\n{self.log}") from None

    def kill(self) -> None:
        """Send SIGKILL and wait for the end of the process."""
        if self.running:
            self.process.kill()
        self.wait()

    def restart(self) -> None:
        """Stop the hub if it is running, and start it with the same port and data."""
        if self.running:
            assert self.stop() == 0, self.log
        self.start()

    def cli(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run `hub …` with the same settings and return the exit code and both outputs, unchecked."""
        if self.fresh_process:
            return self.cli_in_fresh_process(*arguments, stdin=stdin)
        return run(list(arguments), self.environment, stdin=stdin or "")

    def cli_in_fresh_process(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run `python -m api …` in a new interpreter; otherwise like `cli`."""
        return subprocess.run(
            [sys.executable, "-m", "api", *arguments],
            cwd=ROOT,
            env=self.environment,
            input=stdin or "",
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )

    def api_key(self, name: str, scopes: Iterable[str]) -> str:
        """Create an API key through the socket of the running hub, like `hub keys create`, and return it."""
        key = api_keys.PREFIX + secrets.token_urlsafe(32)
        arguments = NewKey(name, list(scopes), api_keys.hash_key(key))
        response = send_request(self.data_dir, "keys.create", msgspec.json.encode(arguments))
        assert not response.code, response.message
        return key

    def _read(self, output: TextIO) -> None:
        with output:
            for line in output:
                with self._lines_changed:
                    self._lines.append(line)
                    self._lines_changed.notify_all()
        with self._lines_changed:
            self._lines_changed.notify_all()

    def _is_reading(self) -> bool:
        return not self._output.closed


def _ports_of_this_worker() -> Iterator[int]:
    """Yield the ports of this test process in random order, without end; each one once before any is repeated."""
    worker, workers = os.environ.get("PYTEST_XDIST_WORKER", "gw0"), os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")
    ports = range(20_000 + int(worker.removeprefix("gw")), 30_000, int(workers))
    return cycle(random.sample(ports, len(ports)))


_PORTS: Final = _ports_of_this_worker()


def free_port() -> int:
    """Return a free port. It stays free during a restart, because the kernel assigns higher ports to clients."""
    while True:
        port = next(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def json_lines(text: str, event: str | None = None) -> list[dict[str, Any]]:
    """Return the lines that are JSON objects: all of them, or those of one event."""
    parsed = [_parse_object(line) for line in text.splitlines()]
    return [line for line in parsed if line is not None and event in (None, line.get("event"))]


def _parse_object(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None
