"""A process that has imported the whole `hub` command and forks one process per request.

`python -m tests.support.fork_server FD`: a request on the socket FD is a `StartRequest` as JSON, with stdin, stdout,
stderr and a status pipe of the new process. The pipe receives `PID\\n`, and later the exit code (or -SIGNAL).
"""

import gc
import os
import signal
import socket
import sys
from importlib import import_module
from typing import Final

import msgspec

from api import __main__

MAX_REQUEST_BYTES: Final = 1024 * 1024


class StartRequest(msgspec.Struct, frozen=True):
    """A `hub` command to run: its arguments, working folder and environment."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]


def main(requests: socket.socket) -> None:
    """Fork until the socket is closed; returns in each forked process that runs a command."""
    for name in __main__.COMMANDS:
        import_module(f"api.cli.{name}")
    gc.collect()
    # No garbage collector visits the objects that exist now, not even at exit, so their memory stays shared.
    gc.freeze()
    # The processes that wait for a command are never waited for themselves.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, fds, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 4)
        if not request:
            sys.exit()
        if os.fork() == 0:
            requests.close()
            _become_command(msgspec.json.decode(request, type=StartRequest), fds)
            return
        for fd in fds:
            os.close(fd)


def _become_command(request: StartRequest, fds: list[int]) -> None:
    """Fork again: the parent waits and reports the exit code, the child becomes the command."""
    *standard_fds, status_fd = fds
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        for fd in (0, 1, 2, *standard_fds):
            os.close(fd)
        os.write(status_fd, b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        os.write(status_fd, b"%d" % os.waitstatus_to_exitcode(status))
        os._exit(0)
    os.close(status_fd)
    for number, fd in enumerate(standard_fds):
        os.dup2(fd, number)
        os.close(fd)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    sys.argv = [str(__main__.__file__), *request.arguments]


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
    __main__.main()
