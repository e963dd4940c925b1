"""The epoch of a store: the part of every cursor that says which history its position belongs to."""

import secrets
import sqlite3
from contextlib import closing
from pathlib import Path


def stored_epoch(path: Path) -> str:
    """Read the epoch of a migrated store, before anything else has opened it.

    Raises sqlite3.OperationalError when there is no such store.
    """
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        (epoch,) = connection.execute("SELECT epoch FROM event_counter").fetchone()
    return str(epoch)


def renew(path: Path) -> str:
    """Begin a new epoch in a migrated store that nobody has open: all cursors of before are then answered by `reset`.

    Returns it; on disk by then. Raises sqlite3.Error.
    """
    epoch = secrets.token_hex(4)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("UPDATE event_counter SET epoch = ?", (epoch,))
    return epoch
