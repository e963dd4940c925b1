"""SQLite engines, pragmas and error classification."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, StaticPool

from services.database.open_errors import CannotOpenStore

# Time that BEGIN IMMEDIATE waits for a writer of another process; the hub itself has only one writer.
BUSY_TIMEOUT_MS = 5_000
# Each reader is a thread of aiosqlite and holds 0.8 MB: the schema and cached pages.
MAX_READERS = 3
# A read that gets no reader in this time raises Overloaded.
MAX_READER_WAIT_SECONDS = 5.0

# Temporary tables stay in memory, so that a full disk or a lack of file descriptors cannot affect them.
_COMMON_PRAGMAS = (
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
)
# FULL, because NORMAL loses acknowledged rows in a power cut. The writer trusts the schema, because its triggers
# maintain the search index and SQLite otherwise lets no trigger write to FTS5.
_WRITER_PRAGMAS: tuple[str, ...] = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA trusted_schema=ON",
    *_COMMON_PRAGMAS,
)
# Only the writer runs checkpoints: two connections that do can corrupt the file (SQLite 3.7.0 to 3.51.2).
_READER_PRAGMAS: tuple[str, ...] = (
    *_COMMON_PRAGMAS,
    "PRAGMA trusted_schema=OFF",
    "PRAGMA query_only=ON",
    "PRAGMA wal_autocheckpoint=0",
    # 256 KiB for each reader instead of 2 MB: the kernel caches the pages of the file anyway.
    "PRAGMA cache_size=-256",
)

_STORAGE_ERRORS = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOMEM,
    }
)

# SQLite reports no error for a PRAGMA that it ignores, so these values are read back.
_WRITER_EXPECTED: dict[str, str | int] = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
_READER_EXPECTED: dict[str, str | int] = {"journal_mode": "wal", "query_only": 1, "foreign_keys": 1}


class ReadConnection(sqlite3.Connection):
    """Tracks its cursors: a cursor with unread rows keeps its snapshot past ROLLBACK and the next BEGIN."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cursors: list[sqlite3.Cursor] = []

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """Return a tracked cursor; the arguments are those of sqlite3.Connection.cursor."""
        cursor = super().cursor(*args, **kwargs)
        self._cursors.append(cursor)
        return cursor

    def close_cursors(self) -> None:
        """Close all cursors, including those that an exception or a result still references."""
        while self._cursors:
            self._cursors.pop().close()


def writer_engine(path: Path) -> Engine:
    """The synchronous engine of the writer thread: one connection, transactions begun with BEGIN IMMEDIATE."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=StaticPool,
        connect_args={"check_same_thread": False},
        # What people wrote does not belong into the log, and an error's text does.
        hide_parameters=True,
    )
    event.listen(engine, "connect", _prepare(_WRITER_PRAGMAS, _WRITER_EXPECTED))
    event.listen(engine, "begin", _begin_immediate)
    return engine


def reader_engine(path: Path) -> Engine:
    """The engine of the readers: each `connect()` opens a connection that cannot write, for the thread that asks.

    One for all of them, since what it has compiled is dear and may be shared.
    """
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=NullPool,
        connect_args={"check_same_thread": True, "factory": ReadConnection},
        hide_parameters=True,
    )
    event.listen(engine, "connect", _prepare(_READER_PRAGMAS, _READER_EXPECTED))
    event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def standalone_reader(path: Path) -> Iterator[Connection]:
    """A reader of a command's own, beside the hub or while nobody serves; each `begin()` of it is one snapshot.

    It cannot write, so it brings nothing from the log into the file either. Raises CannotOpen.
    """
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True),
        poolclass=StaticPool,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _prepare(_READER_PRAGMAS, _READER_EXPECTED))
    event.listen(engine, "begin", _begin)
    try:
        with translate_open_errors(path), engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def require_file(path: Path) -> None:
    """Raises CannotOpen unless there is a file: SQLite would make an empty one."""
    try:
        found = path.is_file()
    except OSError as error:
        raise CannotOpenStore(f"{path} cannot be opened: {error.strerror}.") from error
    if not found:
        raise CannotOpenStore(f"There is no store at {path}.")


@contextmanager
def translate_open_errors(path: Path) -> Iterator[None]:
    """Says what is wrong with a file as CannotOpen."""
    try:
        yield
    except DBAPIError as error:
        raise CannotOpenStore(f"{path} cannot be opened: {error.orig}.") from error


def error_code(error: BaseException) -> int | None:
    """SQLite's primary result code behind an exception of SQLAlchemy's or sqlite3's, if there is one."""
    original = getattr(error, "orig", None) or error
    extended = getattr(original, "sqlite_errorcode", None)
    return None if extended is None else extended & 0xFF


def is_storage_error(error: BaseException) -> bool:
    """Whether an exception speaks of the disk or the file, and not of the statement."""
    return error_code(error) in _STORAGE_ERRORS


def is_read_error(error: BaseException) -> bool:
    """Whether a read failed because of the file, and not because of what was asked."""
    return error_code(error) in (sqlite3.SQLITE_BUSY, *(_STORAGE_ERRORS - {sqlite3.SQLITE_READONLY}))


def raw_connection(tx: Connection) -> sqlite3.Connection:
    """The sqlite3 connection under a SQLAlchemy one."""
    connection = tx.connection.dbapi_connection
    assert isinstance(connection, sqlite3.Connection)
    return connection


def _prepare(pragmas: Sequence[str], expected: dict[str, str | int]) -> Callable[[Any, Any], None]:
    def on_connect(connection: Any, _record: Any) -> None:
        # None: sqlite3 begins nothing by itself; the "begin" listeners do.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        for name, value in expected.items():
            cursor.execute(f"PRAGMA {name}")
            (found,) = cursor.fetchone()
            if found != value:
                raise CannotOpenStore(f"SQLite does not accept {name}={value} for this file: it stays at {found}.")
        cursor.close()

    return on_connect


# Past SQLAlchemy, as what is in `prepared`: these run for every batch and every read.
def _begin_immediate(tx: Connection) -> None:
    raw_connection(tx).execute("BEGIN IMMEDIATE")


def _begin(tx: Connection) -> None:
    raw_connection(tx).execute("BEGIN")
