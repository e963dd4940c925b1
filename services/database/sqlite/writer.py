"""The writer thread: takes every waiting unit of work at once, for one transaction, one COMMIT, one fsync."""

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

# Units in a batch: they share one fsync, and each of them waits for all of them.
BATCH_UNITS = 256
# Units that may wait for the writer; beyond that nothing is accepted (OVERLOADED).
WAITING_UNITS = 4_096
# A checkpoint that a reader holds up gives in after this long, and is tried again after the pause.
CHECKPOINT_BUSY_MS = 50
CHECKPOINT_PAUSE_SECONDS = 1.0


class Writer:
    """Owns the one connection that writes. `settle` is called on this thread with each finished batch, in order."""

    def __init__(self, path: Path, *, wal_bytes: int, settle: Callable[[Batch], None]) -> None:
        self._path = path
        self._wal = path.with_name(path.name + "-wal")
        self._wal_bytes = wal_bytes
        self._settle = settle
        self._waiting: deque[QueuedUnit] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._next_checkpoint = 0.0
        # A daemon: a process that ends without `drain` must not hang, and loses nothing that was answered.
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)

    @property
    def waiting(self) -> int:
        """Units that no batch has taken yet."""
        return len(self._waiting)

    @property
    def in_doubt(self) -> bool:
        """Whether a failed disk has ended writing."""
        return self._thread.ident is not None and self._runner.in_doubt

    def start(self) -> None:
        """Open the file and begin to work. Raises sqlite.CannotOpen."""
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

    def submit(self, work: QueuedUnit) -> None:
        """Queue a unit. Raises Overloaded or StorageUnavailable, and then nothing of it will ever be written."""
        with self._wake:
            if self._runner.in_doubt:
                raise StorageUnavailable
            if self._stopping or len(self._waiting) >= WAITING_UNITS:
                raise Overloaded
            self._waiting.append(work)
            self._wake.notify()

    def drain(self) -> None:
        """Accept nothing more; returns when everything accepted has been answered. Blocks."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def close(self) -> None:
        """Close the file, after `drain` and after the readers have gone."""
        if self._runner.in_doubt:
            # To close is to checkpoint: it would copy into the store what may never have reached the log on disk.
            # So the connection stays open until the process is gone, whatever the interpreter tidies up.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._raw))
            return
        self._tx.close()
        self._engine.dispose()

    def _work(self) -> None:
        while works := self._take():
            if self._runner.in_doubt:
                for work in works:
                    work.fail(StorageUnavailable())
                self._settle(Batch(works))
                continue
            batch, rest = self._runner.run(works)
            self._put_back(rest)
            self._settle(batch)
            if self._wal_is_long() and not self._truncate_wal():
                self._runner.in_doubt = True
                self._settle(Batch(()))

    def _take(self) -> Sequence[QueuedUnit]:
        with self._wake:
            while not self._waiting and not self._stopping:
                self._wake.wait()
            return [self._waiting.popleft() for _ in range(min(BATCH_UNITS, len(self._waiting)))]

    def _put_back(self, works: Sequence[QueuedUnit]) -> None:
        """Units for which a batch had no room go first in the next one."""
        with self._wake:
            self._waiting.extendleft(reversed(works))

    def _wal_is_long(self) -> bool:
        """Readers that never pause keep SQLite's own checkpoints from starting the log over: it grows without end."""
        now = monotonic()
        if now < self._next_checkpoint or self._runner.in_doubt:
            return False
        self._next_checkpoint = now + CHECKPOINT_PAUSE_SECONDS
        try:
            return self._wal.stat().st_size > self._wal_bytes
        except OSError:
            return False

    def _truncate_wal(self) -> bool:
        """Empty the log if no reader holds it; False when the disk failed."""
        try:
            self._raw.execute(f"PRAGMA busy_timeout={CHECKPOINT_BUSY_MS}")
            try:
                self._raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                self._raw.execute(f"PRAGMA busy_timeout={engine.BUSY_MS}")
        except sqlite3.Error as error:
            # A checkpoint that finds no room has changed nothing: the log still has it all.
            return engine.error_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL)
        return True
