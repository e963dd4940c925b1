"""Stores of earlier revisions, for what a migration makes of them."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command

from services.database.sqlite import engine as sqlite_engine
from services.store import migrate


@contextmanager
def at_revision(path: Path, revision: str) -> Iterator[sqlite3.Connection]:
    """A store, made or migrated up to a revision, and open as the writer has it: each statement is its own commit."""
    engine = sqlite_engine.writer_engine(path)
    with engine.connect() as connection:
        store = sqlite_engine.raw_connection(connection)
        store.execute("PRAGMA foreign_keys=OFF")
        with connection.begin():
            config = migrate.configuration()
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
        store.execute("PRAGMA foreign_keys=ON")
        yield store
    engine.dispose()
