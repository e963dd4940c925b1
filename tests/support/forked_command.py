"""The `hub` command in a process forked from one that has imported everything.

From `main` on, a forked command behaves like a new process; docs/decisions/0014 lists the tests that need a new one.
"""

import atexit
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Final

import msgspec

from tests.support.fork_server import StartRequest
from tests.support.timeouts import TIMEOUT_SECONDS

_ROOT: Final = Path(__file__).parents[2]
# Tests start commands from several threads, but the fork server is started once.
_requests_lock: Final = Lock()


class ForkedCommand:
    """A running command, with the parts of `subprocess.Popen` that tests need."""

    def __init__(
        self,
        arguments: list[str],
        environment: Mapping[str, str],
        stdin: IO[bytes],
        stdout: IO[bytes],
        stderr: IO[bytes],
    ) -> None:
        self.returncode: int | None = None
        status_read, status_write = os.pipe()
        self._status = open(status_read, "rb", buffering=0)  # noqa: SIM115  # closed when the exit code is read
        self._lock = Lock()
        request = StartRequest(arguments, str(_ROOT), dict(environment))
        fds = [stdin.fileno(), stdout.fileno(), stderr.fileno(), status_write]
        _send_request(msgspec.json.encode(request), fds)
        os.close(status_write)
        line = b""
        while not line.endswith(b"\n"):
            line += self._status.read(1) or _fail()
        self.pid = int(line)

    def poll(self) -> int | None:
        """Return the exit code (or -SIGNAL) if the process has ended."""
        return self._read_exit_code(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the process and return its exit code. Raises subprocess.TimeoutExpired."""
        code = self._read_exit_code(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("hub", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal if the process is running."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _read_exit_code(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            poller = select.poll()
            poller.register(self._status, select.POLLIN)
            poller.poll(None if timeout is None else timeout * 1_000)
            with self._lock:
                if self.returncode is None and poller.poll(0):
                    self.returncode = int(self._status.read(16) or _fail())
        if self.returncode is not None:
            self._status.close()
        return self.returncode


def run(arguments: list[str], environment: Mapping[str, str], *, stdin: str) -> subprocess.CompletedProcess[str]:
    """Run `hub …` and return its exit code and both outputs. Raises subprocess.TimeoutExpired."""
    with TemporaryFile() as stdin_file, TemporaryFile() as stdout_file, TemporaryFile() as stderr_file:
        stdin_file.write(stdin.encode())
        stdin_file.seek(0)
        process = ForkedCommand(arguments, environment, stdin_file, stdout_file, stderr_file)
        try:
            code = process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        outputs = []
        for file in (stdout_file, stderr_file):
            file.seek(0)
            outputs.append(file.read().decode())
        return subprocess.CompletedProcess(arguments, code, *outputs)


@cache
def _fork_server_socket() -> socket.socket:
    """Start the fork server and return the socket for requests; the server exits together with this process."""
    client_end, server_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with server_end:
        command = [sys.executable, "-m", "tests.support.fork_server", str(server_end.fileno())]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
        process = subprocess.Popen(
            command, cwd=_ROOT, env=environment, stdin=subprocess.DEVNULL, pass_fds=[server_end.fileno()]
        )

    def stop() -> None:
        client_end.close()
        process.wait()

    atexit.register(stop)
    return client_end


def _send_request(request: bytes, fds: list[int]) -> None:
    with _requests_lock:
        socket.send_fds(_fork_server_socket(), [request], fds)


def _fail() -> bytes:
    raise AssertionError("the fork server has ended")
