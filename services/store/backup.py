"""Backup while serving, and restore under a new epoch."""

import os
import secrets
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from services.database import schema_version
from services.database.open_errors import CannotOpenStore
from services.database.sqlite.engine import BUSY_TIMEOUT_MS
from services.store import epoch, rollback_detection
from services.store.preparation import stored_revision

# Pages copied between two calls of `progress`: about 4 MB.
PAGES_PER_STEP: Final = 1_024

# Called with the number of copied pages and of all pages.
Progress = Callable[[int, int], None]


class BackupError(Exception):
    """The backup or restore failed and changed nothing; the message is one sentence for the operator."""


def backup(path: Path, target: Path, progress: Progress = lambda copied, total: None) -> None:
    """Copy the store at `path`, as of one moment, to `target`; a hub may serve it meanwhile.

    The copy is complete and on disk when this returns. Raises BackupError (also when `target` exists),
    CannotOpenStore and OSError; `target` is then not created.
    """
    if os.path.lexists(target):
        raise BackupError(f"{target} already exists. A backup never overwrites a file.")
    revision = stored_revision(path)
    if revision is None:
        raise CannotOpenStore(f"There is no store at {path}.")
    schema_version.require_released(revision)
    with _temporary_file(target) as temporary:
        _copy(path, temporary, progress)
        try:
            os.link(temporary, target)
        except FileExistsError:
            raise BackupError(f"{target} already exists. A backup never overwrites a file.") from None
    _sync_folder(target.parent)


def restore(source: Path, path: Path, progress: Progress = lambda copied, total: None) -> Path | None:
    """Replace the store at `path` by a copy of the backup `source`, under a new epoch; `source` stays unchanged.

    The caller holds the lock on the data directory. The copy is checked first. Returns the new path of the replaced
    store, or None if there was none. Raises BackupError, CannotOpenStore and OSError; nothing is then changed.
    """
    if not source.is_file():
        raise BackupError(f"There is no backup at {source}.")
    if path.exists() and os.path.samefile(source, path):
        raise BackupError(f"{source} is the store itself.")
    _refuse_pre_release(path)
    previous = path.with_suffix(".before-restore")
    with _temporary_file(path) as temporary:
        _copy(source, temporary, progress)
        _check(temporary, source)
        epoch.renew(temporary)
        _sync(temporary)
        had_store = _checkpoint(path)
        if had_store:
            _link_previous(path, previous)
        _move_log(path, previous)
        _sync_folder(path.parent)
        os.replace(temporary, path)
    rollback_detection.delete(path)
    _sync_folder(path.parent)
    return previous if had_store else None


def _refuse_pre_release(path: Path) -> None:
    """Raise CannotOpenStore if the store that would be replaced is a pre-release one."""
    try:
        revision = stored_revision(path)
    except CannotOpenStore:
        # A damaged store may be replaced.
        return
    if revision is not None:
        schema_version.require_released(revision)


def _copy(source: Path, target: Path, progress: Progress) -> None:
    """Copy all pages within one read transaction, so that concurrent writes cannot restart the copy."""
    try:
        with closing(_open_read_only(source)) as reader, closing(sqlite3.connect(target)) as copy:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
            # The copy is synced once, at the end.
            copy.execute("PRAGMA synchronous=OFF")
            reader.backup(copy, pages=PAGES_PER_STEP, progress=lambda _, left, total: progress(total - left, total))
            # A backup is one file, without a log.
            copy.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise BackupError(f"{source} cannot be copied: {error}.") from error
    _sync(target)


def _open_read_only(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    return connection


def _check(copy: Path, source: Path) -> None:
    """Check that the copy of `source` is an undamaged store of a supported revision.

    Raises BackupError and CannotOpenStore.
    """
    revision = stored_revision(copy)
    if revision is None:
        raise BackupError(f"{source} is not a backup of a hub.")
    schema_version.require_supported(revision)
    with closing(_open_read_only(copy)) as connection:
        for pragma in ("integrity_check(1)", "foreign_key_check"):
            try:
                rows = connection.execute(f"PRAGMA {pragma}").fetchall()
            except sqlite3.Error as error:
                rows = [(str(error),)]
            if rows not in ([], [("ok",)]):
                raise BackupError(f"{source} is damaged: {' '.join(str(rows[0][0]).split())}.")


def _checkpoint(path: Path) -> bool:
    """Move the log of the store into its file, because SQLite would replay a remaining log into the new file.

    Returns whether there is a store.
    """
    if not path.exists():
        return False
    # A store that is too damaged for a checkpoint is saved with its log.
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise BackupError(f"Another process is reading {path}. Try again when it has finished.")
    return True


def _link_previous(path: Path, previous: Path) -> None:
    """Give the store's file the second name `previous`, in place of the store that an earlier restore replaced.

    The first name stays until the new file takes it, so there is a complete store at every moment.
    """
    link = previous.with_name(f"{previous.name}.{secrets.token_hex(4)}")
    os.link(path, link)
    _remove_log(previous)
    os.replace(link, previous)


def _move_log(path: Path, previous: Path) -> None:
    with suppress(FileNotFoundError):
        os.replace(f"{path}-wal", f"{previous}-wal")
    _remove_log(path)


def _remove_log(path: Path) -> None:
    for suffix in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextmanager
def _temporary_file(target: Path) -> Generator[Path, None, None]:
    """Create a private file next to the target, and remove it at the end if it still has this name."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        yield temporary
    finally:
        _remove_log(temporary)
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
