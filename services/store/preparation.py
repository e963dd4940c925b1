"""Makes a store ready to open: schema, epoch, currency."""

import sqlite3
import subprocess
import sys
from contextlib import AbstractContextManager, closing
from pathlib import Path

from sqlalchemy import Connection

from services.database import schema_version
from services.database.open_errors import CannotOpenStore
from services.database.sqlite import engine as sqlite_engine
from services.payments import currency as payment_currency
from services.store import epoch, rollback_detection

_ROOT = Path(__file__).parents[2]


def prepare(path: Path) -> bool:
    """Upgrade the schema, create the store if there is none, and start a new epoch if an older file was put in place.

    The caller holds the lock on the data directory. Returns whether a new epoch was started. Raises CannotOpenStore.
    """
    migrate(path)
    try:
        if not rollback_detection.is_rolled_back(path):
            return False
        epoch.renew(path)
    except (OSError, sqlite3.Error) as error:
        raise CannotOpenStore(f"{path} cannot be opened: {error}.") from error
    rollback_detection.delete(path)
    return True


def migrate(path: Path) -> bool:
    """Upgrade the store to this code's revision, in a separate process that loads Alembic.

    The caller holds the lock on the data directory. Returns whether the store was changed. Raises CannotOpenStore.
    """
    found = stored_revision(path)
    if found == schema_version.REVISION:
        return False
    if found is not None:
        schema_version.require_supported(found)
    # No timeout: the upgrade is one transaction, and stopping it would lose all its work.
    completed = subprocess.run(  # noqa: S603  # our own interpreter and module
        [sys.executable, "-m", "services.store.migrate", str(path.absolute())],
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if completed.returncode:
        raise CannotOpenStore(_last_line(completed.stderr) or "The store could not be migrated.")
    return True


def stored_revision(path: Path) -> str | None:
    """Return the revision of a store, or None for a missing or empty file, without opening it for writing.

    Raises CannotOpenStore when the file is not a database.
    """
    try:
        if not path.exists():
            return None
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            table = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if table else None
            return None if row is None else str(row[0])
    except (OSError, sqlite3.Error) as error:
        raise CannotOpenStore(f"{path} cannot be opened: {error}.") from error


def fix_store_currency(path: Path, currency: str) -> None:
    """Set the currency of a migrated store that no hub serves yet, or check that it is this one.

    Raises Conflict when the store has another currency, and CannotOpenStore.
    """
    engine = sqlite_engine.writer_engine(path)
    try:
        with sqlite_engine.translate_open_errors(path), engine.connect() as connection, connection.begin():
            payment_currency.fix_currency(connection, currency=currency)
    finally:
        engine.dispose()


def open_read_only(path: Path) -> AbstractContextManager[Connection]:
    """Open a connection that can only read, beside a running hub or without one; each `begin()` is one snapshot.

    Raises CannotOpenStore on entering.
    """
    return sqlite_engine.standalone_reader(path)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
