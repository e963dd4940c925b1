"""The writer thread: takes all waiting units of work and commits them together."""

import ctypes
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic

from services.database import schema_version
from services.database.sqlite import engine
from services.database.sqlite.batch import BatchRunner
from services.database.units import Batch, QueuedUnit
from services.errors import Overloaded, StorageUnavailable

# Units of one batch share one fsync, and each of them waits for all of them.
MAX_BATCH_UNITS = 256
# Units that may wait for the writer; further units are refused with Overloaded.
MAX_QUEUED_UNITS = 4_096
# A checkpoint that a reader blocks gives up after the first time and is tried again after the second.
CHECKPOINT_BUSY_MS = 50
CHECKPOINT_PAUSE_SECONDS = 1.0


class Writer:
    """Owns the one connection that writes. `on_batch_done` is called on this thread with each batch, in order."""

    def __init__(self, path: Path, *, wal_bytes: int, on_batch_done: Callable[[Batch], None]) -> None:
        self._path = path
        self._wal = path.with_name(path.name + "-wal")
        self._wal_bytes = wal_bytes
        self._on_batch_done = on_batch_done
        self._queue: deque[QueuedUnit] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._next_checkpoint = 0.0
        # A daemon thread: a process that ends without `drain` must not hang. It loses nothing that was acknowledged.
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    @property
    def queued_writes(self) -> int:
        """Number of units that no batch has taken yet."""
        return len(self._queue)

    @property
    def storage_failed(self) -> bool:
        """Whether the disk has failed and nothing more is written."""
        return self._thread.ident is not None and self._runner.storage_failed

    def start(self) -> None:
        """Open the file and start the thread. Raises CannotOpenStore."""
        engine.require_file(self._path)
        self._engine = engine.writer_engine(self._path)
        try:
            with engine.translate_open_errors(self._path):
                self._tx = self._engine.connect()
                schema_version.require_current(self._tx)
        except BaseException:
            self._engine.dispose()
            raise
        self._raw = engine.raw_connection(self._tx)
        self._runner = BatchRunner(self._tx)
        self._thread.start()

    def submit(self, unit: QueuedUnit) -> None:
        """Queue a unit. Raises Overloaded or StorageUnavailable; the unit is then never written."""
        with self._wake:
            if self._runner.storage_failed:
                raise StorageUnavailable
            if self._stopping or len(self._queue) >= MAX_QUEUED_UNITS:
                raise Overloaded
            self._queue.append(unit)
            self._wake.notify()

    def drain(self) -> None:
        """Refuse new units, and block until all accepted units are complete."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def close(self) -> None:
        """Close the file, after `drain` and after the readers have closed."""
        if self._runner.storage_failed:
            # Closing runs a checkpoint, which would copy pages into the store that may never have reached the log
            # on disk. The extra reference keeps the connection open until the process ends.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._raw))
            return
        self._tx.close()
        self._engine.dispose()

    def _run(self) -> None:
        while units := self._take_batch():
            if self._runner.storage_failed:
                for unit in units:
                    unit.fail(StorageUnavailable())
                self._on_batch_done(Batch(units))
                continue
            batch, rest = self._runner.run(units)
            self._put_back(rest)
            self._on_batch_done(batch)
            if self._wal_is_too_long() and not self._truncate_wal():
                self._runner.storage_failed = True
                self._on_batch_done(Batch(()))

    def _take_batch(self) -> Sequence[QueuedUnit]:
        with self._wake:
            while not self._queue and not self._stopping:
                self._wake.wait()
            return [self._queue.popleft() for _ in range(min(MAX_BATCH_UNITS, len(self._queue)))]

    def _put_back(self, units: Sequence[QueuedUnit]) -> None:
        """Put the units that a batch did not run at the head of the queue."""
        with self._wake:
            self._queue.extendleft(reversed(units))

    def _wal_is_too_long(self) -> bool:
        """Return whether the log exceeds its limit: continuous readers keep SQLite from restarting it."""
        now = monotonic()
        if now < self._next_checkpoint or self._runner.storage_failed:
            return False
        self._next_checkpoint = now + CHECKPOINT_PAUSE_SECONDS
        try:
            return self._wal.stat().st_size > self._wal_bytes
        except OSError:
            return False

    def _truncate_wal(self) -> bool:
        """Truncate the log if no reader uses it. Return False when the disk failed."""
        try:
            self._raw.execute(f"PRAGMA busy_timeout={CHECKPOINT_BUSY_MS}")
            try:
                self._raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                self._raw.execute(f"PRAGMA busy_timeout={engine.BUSY_TIMEOUT_MS}")
        except sqlite3.Error as error:
            # A checkpoint that found the disk full has changed nothing: the log is still complete.
            return engine.error_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL)
        return True
