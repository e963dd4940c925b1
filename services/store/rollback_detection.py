"""Detects that an older copy of the store was put in place.

The hub saves its last published position in a file next to the store. An older copy of the store has the same epoch
and would assign the same positions to other events. A client that received the first events would then miss the later
ones without noticing. A new epoch makes the hub send `reset` to these clients.
"""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from realtime.cursor import Cursor


def file_of(path: Path) -> Path:
    """Return the position file of a store: `hub.db` has `hub.position`."""
    return path.with_suffix(".position")


def save_position(path: Path, published: Cursor) -> None:
    """Save the cursor that the store at `path` has reached; the store must have committed it before.

    The file is replaced atomically, so a power cut leaves the old or the new position. Blocks. Raises OSError.
    """
    temporary = file_of(path).with_suffix(".position-tmp")
    with open(temporary, "w", encoding="ascii") as file:
        file.write(f"{published}\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, file_of(path))


def is_rolled_back(path: Path) -> bool:
    """Return whether the store has another epoch, or a lower position, than the saved one.

    Returns False without a readable position file. Raises sqlite3.Error.
    """
    try:
        saved = Cursor.parse(file_of(path).read_text("ascii").strip())
    except (FileNotFoundError, ValueError):
        return False
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        epoch, position = connection.execute("SELECT epoch, position FROM event_counter").fetchone()
    return bool(epoch != saved.epoch or position < saved.position)


def delete(path: Path) -> None:
    """Delete the position file, because the store starts a new epoch."""
    with suppress(FileNotFoundError):
        file_of(path).unlink()
