"""Attachment files of a backup.

They lie in a folder next to the backup, each named by the hash of its content. Their content never changes, so a copy
is a hard link where the file system allows it.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from services.attachments.file_store import FileStore


def folder_of(store: Path) -> Path:
    """Return the folder with the files of a store or a backup.

    `hub.db` has `hub.files`; a name without `.db` gets `.files` appended.
    """
    return store.with_suffix(".files") if store.suffix == ".db" else store.with_name(f"{store.name}.files")


def copy(store: Path, target: Path) -> int:
    """Copy the files of `store` that its backup `target` refers to. Return how many files the backup now has.

    A file that was deleted since the backup was made is skipped. Raises OSError.
    """
    files, copies = FileStore(folder_of(store)), FileStore(folder_of(target))
    for hash, has_thumbnail in _referenced(target):
        if has_thumbnail:
            _copy_if_present(files.path(hash, thumbnail=True), copies.path(hash, thumbnail=True))
        _copy_if_present(files.path(hash), copies.path(hash))
    return sum(1 for _ in copies.list_paths())


def adopt(store: Path, previous: Path) -> None:
    """Save the files of the replaced store `previous` next to it, or file cleanup would delete them as unreferenced.

    The files of an older replaced store are deleted. No files are saved for a store too damaged to be read. Raises
    OSError.
    """
    shutil.rmtree(folder_of(previous), ignore_errors=True)
    with suppress(sqlite3.Error):
        copy(store, previous)


def restore(source: Path, store: Path) -> int:
    """Copy the files of the backup `source` to the store, and keep those it has. Return how many were copied.

    Raises OSError.
    """
    copies, files = FileStore(folder_of(source)), folder_of(store)
    return sum(_link_or_copy(path, files / path.parent.name / path.name) for path in copies.list_paths())


def _referenced(store: Path) -> Iterator[tuple[str, bool]]:
    """Yield the hash of each attachment, and whether it has a thumbnail."""
    # No process writes to a backup. `immutable` keeps SQLite from leaving a log next to one in WAL mode.
    with closing(sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        rows = connection.execute("SELECT hash, max(thumbnail) FROM attachments GROUP BY hash ORDER BY hash")
        yield from ((str(hash), bool(thumbnail)) for hash, thumbnail in rows.fetchall())


def _copy_if_present(source: Path, target: Path) -> None:
    with suppress(FileNotFoundError):
        _link_or_copy(source, target)


def _link_or_copy(source: Path, target: Path) -> bool:
    """Create a hard link or a copy, completely or not at all. Return False if the target exists."""
    if not source.exists():
        raise FileNotFoundError(source)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.link(source, target)
        return True
    except FileExistsError:
        return False
    except OSError:
        # Another file system, or one without hard links.
        temporary = target.with_name(f".{target.name}")
        shutil.copyfile(source, temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
        return True
