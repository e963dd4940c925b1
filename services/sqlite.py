"""How SQLite is opened here: one writer that says BEGIN IMMEDIATE and syncs every COMMIT, query-only readers."""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

# How long BEGIN IMMEDIATE waits for a writer in another process; the hub itself has only one.
BUSY_MS = 5_000
# Readers at once; each is an OS thread of aiosqlite's.
READERS = 4
# A reader that cannot get a connection in this time answers OVERLOADED.
READER_WAIT_SECONDS = 5

_BOTH = ("PRAGMA foreign_keys=ON", "PRAGMA trusted_schema=OFF", f"PRAGMA busy_timeout={BUSY_MS}")
# FULL, not NORMAL: NORMAL loses acknowledged rows in a power cut.
_WRITER = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", *_BOTH)
_READER = (*_BOTH, "PRAGMA query_only=ON")


def writer_engine(path: Path) -> Engine:
    """The synchronous engine of the writer thread: one connection, transactions begun with BEGIN IMMEDIATE."""
    engine = create_engine(f"sqlite:///{path}", poolclass=StaticPool, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _prepare(_WRITER))
    event.listen(engine, "begin", _begin_immediate)
    return engine


def reader_engine(path: Path) -> AsyncEngine:
    """The asynchronous engine of the readers: several connections that cannot write."""
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}",
        pool_size=READERS,
        max_overflow=0,
        pool_timeout=READER_WAIT_SECONDS,
    )
    event.listen(engine.sync_engine, "connect", _prepare(_READER))
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def code_of(error: BaseException) -> int | None:
    """SQLite's primary result code behind an exception of SQLAlchemy's or sqlite3's, if there is one."""
    original = getattr(error, "orig", None) or error
    extended = getattr(original, "sqlite_errorcode", None)
    return None if extended is None else extended & 0xFF


def raw(tx: Connection) -> sqlite3.Connection:
    """The sqlite3 connection under a SQLAlchemy one."""
    connection = tx.connection.dbapi_connection
    assert isinstance(connection, sqlite3.Connection)
    return connection


def _prepare(pragmas: tuple[str, ...]) -> Any:
    def on_connect(connection: Any, _record: Any) -> None:
        # None: sqlite3 begins nothing by itself; the "begin" listeners do.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    return on_connect


def _begin_immediate(tx: Connection) -> None:
    tx.exec_driver_sql("BEGIN IMMEDIATE")


def _begin(tx: Connection) -> None:
    tx.exec_driver_sql("BEGIN")
