"""The epoch of a store, part of every cursor.

A cursor is `<epoch>.<position>`. Positions of different epochs cannot be compared, so a client with a cursor of another
epoch receives `reset`.
"""

import secrets
import sqlite3
from contextlib import closing
from pathlib import Path


def stored_epoch(path: Path) -> str:
    """Return the epoch of a migrated store, without opening it for writing.

    Raises sqlite3.OperationalError when there is no such store.
    """
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        (epoch,) = connection.execute("SELECT epoch FROM event_counter").fetchone()
    return str(epoch)


def renew(path: Path) -> str:
    """Start a new epoch in a migrated store that no process has open; clients with older cursors receive `reset`.

    Returns the new epoch, which is then on disk. Raises sqlite3.Error.
    """
    epoch = secrets.token_hex(4)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("UPDATE event_counter SET epoch = ?", (epoch,))
    return epoch
