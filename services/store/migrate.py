"""Brings a store to the form this code needs; a process of its own, because alembic is heavy.

Run as `python -m services.store.migrate FILE`; the caller holds the data directory's lock.
"""

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from services.database import schema_version
from services.database.sqlite import engine as sqlite_engine


def configuration() -> Config:
    """Alembic's configuration, without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[1] / "migrations").replace("%", "%%"))
    return config


def upgrade(path: Path) -> None:
    """Make the file if there is none and apply every step it lacks, all in one transaction.

    Raises sqlite.CannotOpen when there is no such place, no database in the file, or one of a newer version.
    """
    engine = sqlite_engine.writer_engine(path)
    try:
        with sqlite_engine.translate_open_errors(path), engine.connect() as connection:
            # A step that makes a table anew drops the old one; what refers to it must not be dropped with it.
            sqlite_engine.raw_connection(connection).execute("PRAGMA foreign_keys=OFF")
            with connection.begin():
                _upgrade(connection)
    finally:
        engine.dispose()


def _upgrade(connection: Connection) -> None:
    found = schema_version.stored_revision(connection)
    if found is not None and found > schema_version.REVISION:
        raise sqlite_CannotOpenStore(schema_version.newer_message(found))
    config = configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
        raise sqlite_CannotOpenStore("A migration would leave rows that refer to nothing; nothing was changed.")


if __name__ == "__main__":
    try:
        upgrade(Path(sys.argv[1]))
    except sqlite_CannotOpenStore as error:
        sys.exit(str(error))
