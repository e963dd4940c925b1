"""The data directory's lock: one process at a time serves from it or writes to it."""

import fcntl
import os
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Self

_NAME = "hub.lock"
# How often one who waits looks again: flock itself cannot wait for a limited time.
_LOOK_SECONDS = 0.05


class DataDirLocked(Exception):
    """Another process holds the data directory; the message is one sentence for the person at the terminal."""


class DataDirLock:
    """`flock` on a file of its own.

    On the store itself a lock would be lost: closing any other descriptor of hub.db drops the POSIX locks that SQLite
    holds on it. The kernel lets go of this one when its process ends, however it ends; the file stays.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / _NAME
        self._descriptor: int | None = None

    def acquire(self, *, timeout: float = 0.0) -> None:
        """Take the lock, waiting at most `timeout` seconds (it blocks). Raises Locked."""
        if self._descriptor is not None:
            raise RuntimeError("this lock is held already")
        until = monotonic() + timeout
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while not _try(descriptor):
                if monotonic() >= until:
                    raise DataDirLocked(f"{self._path.parent} is in use by another process{_holder(descriptor)}.")
                sleep(min(_LOOK_SECONDS, max(0.0, until - monotonic())))
            # Only for the message above; the lock is the kernel's.
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go; does nothing when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        if self._descriptor is None:
            self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> str:
    pid = os.pread(descriptor, 20, 0).decode("ascii", "replace")
    return f" (pid {pid})" if pid.isdecimal() else ""
