"""Read-only connections, each on its own thread."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import aiosqlite
from sqlalchemy import Connection, Engine

from services.database.sqlite import engine as sqlite_engine
from services.errors import Overloaded

T = TypeVar("T")


class ReaderPool:
    """At most `MAX_READERS` connections; another one opens when all open ones are busy."""

    def __init__(self, path: Path) -> None:
        self._engine = sqlite_engine.reader_engine(path)
        self._slots = asyncio.Semaphore(sqlite_engine.MAX_READERS)
        self._idle: list[_Reader] = []

    async def run(self, query: Callable[[Connection], T]) -> T:
        """Run a plain function on a reader's thread, in one snapshot. Waiting calls get a reader in order.

        The call must not be cancelled: the reader would return to the pool while it is busy. Raises what the query
        raises, Overloaded when no reader was free in time, and CannotOpenStore and DBAPIError when none can open.
        """
        await self._acquire_slot()
        try:
            # The reader used last has the warmest page cache.
            reader = self._idle.pop() if self._idle else await _Reader(self._engine).open()
            try:
                return await reader.run(query)
            finally:
                if reader.broken:
                    await reader.close()
                else:
                    self._idle.append(reader)
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Close all readers and end their threads. No read may be running."""
        while self._idle:
            await self._idle.pop().close()

    async def _acquire_slot(self) -> None:
        try:
            # A call that need not wait starts no timer.
            async with asyncio.timeout(sqlite_engine.MAX_READER_WAIT_SECONDS if self._slots.locked() else None):
                await self._slots.acquire()
        except TimeoutError as error:
            raise Overloaded from error


class _Reader:
    """One aiosqlite connection and its thread; SQLAlchemy uses the connection on that thread only."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # The chunk size matters only to fetches by aiosqlite, which this code does not use.
        self._connection = aiosqlite.Connection(self._connect, iter_chunk_size=1)
        # A daemon thread: a process that ends without `close` must not hang.
        self._connection._thread.daemon = True
        self.broken = False

    async def open(self) -> Self:
        """Start the thread and connect on it. Raises CannotOpenStore and DBAPIError; the thread then ends."""
        await self._connection
        return self

    async def run(self, query: Callable[[Connection], T]) -> T:
        """Run the query, and return or raise its result. Then `broken` says whether the reader is unusable."""
        return await self._on_thread(self._read, query)

    async def close(self) -> None:
        """Close the connection, even a broken one, and end the thread."""
        # The connection only reads, so an error of closing loses nothing.
        with suppress(Exception):
            await self._on_thread(self._tx.close)
        await self._connection.close()

    async def _on_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function on the thread. Public methods of aiosqlite run one statement each (docs/decisions/0015)."""
        result: T = await self._connection._execute(function, *arguments)  # type: ignore[no-untyped-call]
        return result

    def _connect(self) -> sqlite3.Connection:
        self._tx = self._engine.connect()
        raw = sqlite_engine.raw_connection(self._tx)
        assert isinstance(raw, sqlite_engine.ReadConnection)
        self._raw = raw
        return raw

    def _read(self, query: Callable[[Connection], T]) -> T:
        try:
            return query(self._tx)
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, StopIteration):
                raise
            # A future accepts no StopIteration, so the caller would wait forever; a SystemExit would end the loop.
            raise RuntimeError("a query raised an exception that cannot be passed on") from error
        finally:
            self._end_snapshot()

    def _end_snapshot(self) -> None:
        try:
            self._raw.close_cursors()
            self._tx.rollback()
            # A connection that was closed elsewhere raises here.
            self.broken = self._raw.in_transaction
        except Exception:
            self.broken = True
