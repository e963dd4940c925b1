"""The files that belong to a copy of the store: beside it in a folder, each under the hash of its content.

Nothing in them ever changes, so where the file system allows it a copy is a second name for the same file.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from services.attachments.file_store import FileStore


def folder_of(store: Path) -> Path:
    """Where a store's files are, also those of a copy: `hub.db` has `hub.files`, any other name gets `.files` added."""
    return store.with_suffix(".files") if store.suffix == ".db" else store.with_name(f"{store.name}.files")


def copy(store: Path, target: Path) -> int:
    """Copy the files of `store` that the copy of it at `target` names; returns how many it has now. Raises OSError.

    What was deleted since the copy was made may be missing; it is then not in the copy either.
    """
    files, copies = FileStore(folder_of(store)), FileStore(folder_of(target))
    for hash, thumbnail in _named(target):
        small = [(files.path(hash, thumbnail=True), copies.path(hash, thumbnail=True))] if thumbnail else []
        for source, place in [*small, (files.path(hash), copies.path(hash))]:
            with suppress(FileNotFoundError):
                _again(source, place)
    return sum(1 for _ in copies.list_paths())


def adopt(store: Path, kept: Path) -> None:
    """Keep the files of a store that was set aside as `kept`, or they would go as those that no row names.

    What was set aside before it is replaced. Of a store too damaged to say which files it has, none are kept. Raises
    OSError.
    """
    shutil.rmtree(folder_of(kept), ignore_errors=True)
    with suppress(sqlite3.Error):
        copy(store, kept)


def restore(source: Path, store: Path) -> int:
    """Put the files beside the copy `source` back beside the store; what is there stays. Returns how many came.

    Raises OSError.
    """
    copies, files = FileStore(folder_of(source)), folder_of(store)
    return sum(_again(path, files / path.parent.name / path.name) for path in copies.list_paths())


def _named(store: Path) -> Iterator[tuple[str, bool]]:
    # Nobody writes to a copy, and nothing is to be left beside it: reading one in WAL mode would leave its log.
    with closing(sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        # A copy of an older form may have none.
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'attachments'").fetchone():
            rows = connection.execute("SELECT hash, max(thumbnail) FROM attachments GROUP BY hash ORDER BY hash")
            yield from ((str(hash), bool(thumbnail)) for hash, thumbnail in rows.fetchall())


def _again(source: Path, target: Path) -> bool:
    """A second name for a file, or a copy; whole or not there. False where there is something already."""
    if not source.exists():
        raise FileNotFoundError(source)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.link(source, target)
        return True
    except FileExistsError:
        return False
    except OSError:
        # Another file system, or one without such names.
        draft = target.with_name(f".{target.name}")
        shutil.copyfile(source, draft)
        with open(draft, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(draft, target)
        return True
