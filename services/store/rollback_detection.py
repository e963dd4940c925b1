"""A witness beside the store says how far it had come, so that an older file copied in its place is noticed.

Cursors are `<epoch>.<position>`. An older copy of the file has the same epoch and would hand the same positions out
again for other events; whoever had seen the first ones would miss the second ones, silently. Under a new epoch they
get `reset`.
"""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from realtime.cursor import Cursor


def file_of(path: Path) -> Path:
    """The witness of a store."""
    return path.with_suffix(".witness")


def save_position(path: Path, reached: Cursor) -> None:
    """Note that the store at `path` has come so far, which must be on disk there already. Blocks. Raises OSError.

    Whole or not at all: what a power cut leaves is the last note or the one before it.
    """
    draft = file_of(path).with_suffix(".witness-draft")
    with open(draft, "w", encoding="ascii") as file:
        file.write(f"{reached}\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, file_of(path))


def is_rolled_back(path: Path) -> bool:
    """Whether the store is not the one of which the witness tells: of another epoch, or not as far as it was.

    Without a (readable) witness there is nothing to contradict it. Raises sqlite3.Error.
    """
    try:
        told = Cursor.parse(file_of(path).read_text("ascii").strip())
    except (FileNotFoundError, ValueError):
        return False
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        epoch, position = connection.execute("SELECT epoch, position FROM event_counter").fetchone()
    return bool(epoch != told.epoch or position < told.position)


def delete(path: Path) -> None:
    """Remove the witness: the store begins anew."""
    with suppress(FileNotFoundError):
        file_of(path).unlink()
