"""Makes a store fit to be opened: of the form this code needs, and of an epoch that its cursors can trust."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from services.database import schema_version
from services.database.open_errors import CannotOpenStore
from services.store import epoch, rollback_detection

_ROOT = Path(__file__).parents[2]


def prepare(path: Path) -> bool:
    """Migrate the store if it must be (making it if there is none), and look whether it was exchanged.

    The caller holds the data directory's lock. Returns whether it begins a new epoch because the file is not the one
    that was last served. Raises CannotOpen.
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
    """Bring the store to this code's revision, in a process of its own: alembic is heavy and the hub stays lean.

    The caller holds the data directory's lock. Returns whether there was anything to do. Raises CannotOpen.
    """
    found = stored_revision(path)
    if found == schema_version.REVISION:
        return False
    if found is not None and found > schema_version.REVISION:
        raise CannotOpenStore(schema_version.newer_message(found))
    # No time limit: it is one transaction, and half of it would be lost work.
    done = subprocess.run(  # noqa: S603  # our own interpreter and module
        [sys.executable, "-m", "services.store.migrate", str(path.absolute())],
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CannotOpenStore(_last_line(done.stderr) or "The store could not be migrated.")
    return True


def stored_revision(path: Path) -> str | None:
    """The revision of a store; None when there is no file, or nothing in it. Raises CannotOpen when it is no store."""
    try:
        if not path.exists():
            return None
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            named = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if named else None
            return None if row is None else str(row[0])
    except (OSError, sqlite3.Error) as error:
        raise CannotOpenStore(f"{path} cannot be opened: {error}.") from error


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
