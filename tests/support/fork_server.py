"""A process that has imported all of the `hub` command and forks one that runs it for every request on a socket.

`python -m tests.support.fork_server FD`: a request is a `Start` as JSON, with stdin, stdout, stderr and a pipe of the
process to be. On the pipe it says `PID\\n`, and when that process has ended, its exit code (or -SIGNAL).
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

LONGEST: Final = 1024 * 1024


class Start(msgspec.Struct, frozen=True):
    """A command to run: `hub` with these arguments, there."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]


def main(requests: socket.socket) -> None:
    """Fork until nobody can ask any more; returns in the processes that are to run a command, too."""
    for name in __main__.COMMANDS:
        import_module(f"api.cli.{name}")
    gc.collect()
    # Nobody's collector goes through what is there already, not even at the end: the memory stays shared.
    gc.freeze()
    # Whoever waits for a command is forked as well, and nobody waits for them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        told, fds, _, _ = socket.recv_fds(requests, LONGEST, 4)
        if not told:
            sys.exit()
        if os.fork() == 0:
            requests.close()
            _begin(msgspec.json.decode(told, type=Start), fds)
            return
        for fd in fds:
            os.close(fd)


def _begin(start: Start, fds: list[int]) -> None:
    """Fork once more: one waits and says so, the other becomes the process that was asked for."""
    *outputs, news = fds
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        for fd in (0, 1, 2, *outputs):
            os.close(fd)
        os.write(news, b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        os.write(news, b"%d" % os.waitstatus_to_exitcode(status))
        os._exit(0)
    os.close(news)
    for number, fd in enumerate(outputs):
        os.dup2(fd, number)
        os.close(fd)
    os.chdir(start.folder)
    os.environ.clear()
    os.environ.update(start.environment)
    sys.argv = [str(__main__.__file__), *start.arguments]


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
    __main__.main()
