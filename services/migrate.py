"""Brings a store to the form this code needs; a process of its own, because alembic is heavy.

Run as `python -m services.migrate FILE`; the caller holds the data directory's lock.
"""

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config

from services import sqlite


def configuration() -> Config:
    """Alembic's configuration, without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def upgrade(path: Path) -> None:
    """Make the file if there is none and apply every step it lacks, all in one transaction."""
    engine = sqlite.writer_engine(path)
    try:
        with engine.begin() as connection:
            config = configuration()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


if __name__ == "__main__":
    upgrade(Path(sys.argv[1]))
