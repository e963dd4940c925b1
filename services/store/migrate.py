"""Upgrades the schema with Alembic, in its own process.

Run as `python -m services.store.migrate FILE` by a process that holds the lock on the data directory. It is a separate
process so that the hub does not keep Alembic in memory.
"""

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from services.database import schema_version
from services.database.open_errors import CannotOpenStore
from services.database.sqlite import engine as sqlite_engine
from services.store import preparation


def configuration() -> Config:
    """Return Alembic's configuration, without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[1] / "migrations").replace("%", "%%"))
    return config


def upgrade(path: Path) -> None:
    """Create the file if there is none, and apply all missing revisions in one transaction.

    Raises CannotOpenStore when the file cannot be opened, is not a database, or has an unsupported revision. The file
    is then unchanged.
    """
    # Before the writer engine opens the file: opening switches it to WAL.
    found = preparation.stored_revision(path)
    if found is not None:
        schema_version.require_supported(found)
    engine = sqlite_engine.writer_engine(path)
    try:
        with sqlite_engine.translate_open_errors(path), engine.connect() as connection:
            # A revision that recreates a table drops the old one; rows that refer to it must not be deleted with it.
            sqlite_engine.raw_connection(connection).execute("PRAGMA foreign_keys=OFF")
            with connection.begin():
                _upgrade(connection)
    finally:
        engine.dispose()


def _upgrade(connection: Connection) -> None:
    config = configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
        raise CannotOpenStore("The migration would leave rows that refer to missing rows. Nothing was changed.")


if __name__ == "__main__":
    try:
        upgrade(Path(sys.argv[1]))
    except CannotOpenStore as error:
        sys.exit(str(error))
