"""The `hub` command in a process that is forked from one which has imported all of it: a tenth of the work.

From `main` on it is as if it had been started anew; docs/decisions/0014 says which tests do that all the same.
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

from tests.support.fork_server import Start

_ROOT: Final = Path(__file__).parents[2]
# Tests ask from threads, and the process that forks is started once.
_asking: Final = Lock()


class Forked:
    """A running command; of `subprocess.Popen` what tests need."""

    def __init__(
        self,
        arguments: list[str],
        environment: Mapping[str, str],
        stdin: IO[bytes],
        stdout: IO[bytes],
        stderr: IO[bytes],
    ) -> None:
        self.returncode: int | None = None
        news, theirs = os.pipe()
        self._news = open(news, "rb", buffering=0)  # noqa: SIM115  # closed when it has said all
        self._lock = Lock()
        start = Start(arguments, str(_ROOT), dict(environment))
        _ask(msgspec.json.encode(start), [stdin.fileno(), stdout.fileno(), stderr.fileno(), theirs])
        os.close(theirs)
        said = b""
        while not said.endswith(b"\n"):
            said += self._news.read(1) or _gone()
        self.pid = int(said)

    def poll(self) -> int | None:
        """The exit code (or -SIGNAL) once it has ended."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, when it has ended. Raises subprocess.TimeoutExpired."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("hub", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            news = select.poll()
            news.register(self._news, select.POLLIN)
            news.poll(None if timeout is None else timeout * 1_000)
            with self._lock:
                if self.returncode is None and news.poll(0):
                    self.returncode = int(self._news.read(16) or _gone())
        if self.returncode is not None:
            self._news.close()
        return self.returncode


def run(
    arguments: list[str], environment: Mapping[str, str], *, stdin: str, seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run `hub …`; exit code and both outputs. Raises subprocess.TimeoutExpired."""
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write(stdin.encode())
        given.seek(0)
        process = Forked(arguments, environment, given, out, err)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        said = []
        for output in (out, err):
            output.seek(0)
            said.append(output.read().decode())
        return subprocess.CompletedProcess(arguments, code, *said)


@cache
def _requests() -> socket.socket:
    """The socket to the process that forks; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "tests.support.fork_server", str(theirs.fileno())]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
        process = subprocess.Popen(
            command, cwd=_ROOT, env=environment, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _ask(told: bytes, fds: list[int]) -> None:
    with _asking:
        socket.send_fds(_requests(), [told], fds)


def _gone() -> bytes:
    raise AssertionError("the process that forks has ended")
