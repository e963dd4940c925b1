"""The readers of the store: connections that cannot write, each on a thread of its own, where whole reads run."""

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
    """At most `sqlite.READERS` connections; another one opens when all that are open have something to do."""

    def __init__(self, path: Path) -> None:
        self._engine = sqlite_engine.reader_engine(path)
        self._turns = asyncio.Semaphore(sqlite_engine.READERS)
        self._idle: list[_Reader] = []

    async def run(self, query: Callable[[Connection], T]) -> T:
        """Run a plain function on a reader's thread, in one snapshot; those who wait for a reader go in order.

        Not to be cancelled: the reader would be given back while it is busy. Raises what the query raises, Overloaded
        when no reader was free in time, and sqlite.CannotOpen and DBAPIError when one cannot be opened.
        """
        await self._wait_for_turn()
        try:
            # The one used last, whose pages are at hand.
            reader = self._idle.pop() if self._idle else await _Reader(self._engine).open()
            try:
                return await reader.run(query)
            finally:
                if reader.broken:
                    await reader.close()
                else:
                    self._idle.append(reader)
        finally:
            self._turns.release()

    async def close(self) -> None:
        """Close them all and end their threads, when no read is under way."""
        while self._idle:
            await self._idle.pop().close()

    async def _wait_for_turn(self) -> None:
        try:
            # Who need not wait sets no clock either.
            async with asyncio.timeout(sqlite_engine.READER_WAIT_SECONDS if self._turns.locked() else None):
                await self._turns.acquire()
        except TimeoutError as error:
            raise Overloaded from error


class _Reader:
    """One connection and its thread, which are aiosqlite's; SQLAlchemy works over it, on that thread alone."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # The chunks are for those who let aiosqlite fetch.
        self._connection = aiosqlite.Connection(self._connect, iter_chunk_size=1)
        # A daemon: a process that ends without `close` must not hang.
        self._connection._thread.daemon = True
        self.broken = False

    async def open(self) -> Self:
        """Start the thread and connect there. Raises sqlite.CannotOpen and DBAPIError; the thread then ends."""
        await self._connection
        return self

    async def run(self, query: Callable[[Connection], T]) -> T:
        """What the query returns or raises; from then on `broken` says whether there can be another one."""
        return await self._on_thread(self._read, query)

    async def close(self) -> None:
        """Close the connection, broken or not, and end the thread."""
        # It has only read: whatever is wrong with it, nothing is lost.
        with suppress(Exception):
            await self._on_thread(self._tx.close)
        await self._connection.close()

    async def _on_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """One way there and back; aiosqlite's public methods are one for each statement (docs/decisions/0015)."""
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
            # A future takes no StopIteration, so nobody would be answered; and a SystemExit would end the loop.
            raise RuntimeError("a query ended in an unheard-of way") from error
        finally:
            self._end_snapshot()

    def _end_snapshot(self) -> None:
        try:
            self._raw.close_cursors()
            self._tx.rollback()
            # One that somebody has closed says so when it is asked.
            self.broken = self._raw.in_transaction
        except Exception:
            self.broken = True
