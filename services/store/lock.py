"""Exclusive lock on the data directory."""

import fcntl
import os
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Final, Self

FILE_NAME: Final = "hub.lock"
# flock cannot wait for a limited time, so a waiting process tries again at this interval.
RETRY_SECONDS: Final = 0.05


class DataDirLocked(Exception):
    """Another process has locked the data directory; the message is one sentence for the operator."""


class DataDirLock:
    """An `flock` on a separate file; one process at a time serves the data directory or writes to it.

    A lock on the store itself would be lost: closing any other descriptor of hub.db drops the POSIX locks that SQLite
    holds on it. The kernel releases this lock when its process ends for any reason. The file stays.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._descriptor: int | None = None

    def acquire(self, *, timeout: float = 0.0) -> None:
        """Take the lock, and wait at most `timeout` seconds for it. Blocks. Raises DataDirLocked."""
        if self._descriptor is not None:
            raise RuntimeError("The lock is already acquired.")
        deadline = monotonic() + timeout
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while not _try_lock(descriptor):
                if monotonic() >= deadline:
                    raise DataDirLocked(f"{self._path.parent} is in use by another process{_owner(descriptor)}.")
                sleep(min(RETRY_SECONDS, max(0.0, deadline - monotonic())))
            # The id is only for the message above; the lock itself is in the kernel.
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the lock; has no effect when it is not acquired."""
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


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(descriptor: int) -> str:
    """Return ` (pid N)` for the process that has the lock, or an empty text."""
    pid = os.pread(descriptor, 20, 0).decode("ascii", "replace")
    return f" (pid {pid})" if pid.isdecimal() else ""
