"""Copies of the store: made while it is served, brought back under a new epoch; neither is ever half there."""

import os
import secrets
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from services.database import schema_version
from services.database.open_errors import CannotOpenStore
from services.database.sqlite.engine import BUSY_TIMEOUT_MS
from services.store import epoch, rollback_detection
from services.store.preparation import stored_revision

# Pages copied between two calls of `progress`: some 4 MB.
_STEP_PAGES = 1_024

Progress = Callable[[int, int], None]


class BackupError(Exception):
    """There is no copy, and nothing was changed; the message is one sentence for the person at the terminal."""


def backup(path: Path, target: Path, progress: Progress = lambda done, total: None) -> None:
    """Copy the store at `path` to `target`, as it is at one moment; it may be served and written meanwhile.

    `progress` is told how many pages of how many are copied. On disk when this returns; whole or not there at all.
    Raises CannotCopy, also when there is something at `target` already, CannotOpen and OSError.
    """
    if os.path.lexists(target):
        raise BackupError(f"{target} exists already; a backup never overwrites anything.")
    found = stored_revision(path)
    if found is None:
        raise CannotOpenStore(f"There is no store at {path}.")
    schema_version.require_released(found)
    with _draft_of(target) as draft:
        _copy(path, draft, progress)
        try:
            os.link(draft, target)
        except FileExistsError:
            raise BackupError(f"{target} exists already; a backup never overwrites anything.") from None
    _sync_folder(target.parent)


def restore(source: Path, path: Path, progress: Progress = lambda done, total: None) -> Path | None:
    """Put the copy `source` in the place of the store at `path`, under a new epoch; `source` stays as it is.

    The caller holds the data directory's lock. The copy is checked first. Returns where the store that was there
    before is kept, None if there was none. Raises CannotCopy, CannotOpen and OSError, and then nothing was changed.
    """
    if not source.is_file():
        raise BackupError(f"There is no backup at {source}.")
    if path.exists() and os.path.samefile(source, path):
        raise BackupError(f"{source} is the store itself.")
    _refuse_pre_release(path)
    kept = path.with_suffix(".before-restore")
    with _draft_of(path) as draft:
        _copy(source, draft, progress)
        _check(draft, source)
        epoch.renew(draft)
        _sync(draft)
        had_one = _settle(path)
        if had_one:
            _set_aside(path, kept)
        _move_log(path, kept)
        _sync_folder(path.parent)
        os.replace(draft, path)
    rollback_detection.delete(path)
    _sync_folder(path.parent)
    return kept if had_one else None


def _refuse_pre_release(path: Path) -> None:
    """Raise CannotOpenStore if the store that would be replaced is a pre-release one."""
    try:
        found = stored_revision(path)
    except CannotOpenStore:
        # A damaged store may be replaced.
        return
    if found is not None:
        schema_version.require_released(found)


def _copy(source: Path, draft: Path, progress: Progress) -> None:
    """Page by page within one read transaction, so that whoever writes meanwhile cannot make it start over."""
    try:
        with closing(_open_to_read(source)) as reader, closing(sqlite3.connect(draft)) as copy:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
            # It is synced once, at the end.
            copy.execute("PRAGMA synchronous=OFF")
            reader.backup(copy, pages=_STEP_PAGES, progress=lambda _, left, total: progress(total - left, total))
            # A copy is one file, without a log beside it.
            copy.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise BackupError(f"{source} cannot be copied: {error}.") from error
    _sync(draft)


def _open_to_read(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    return connection


def _check(draft: Path, source: Path) -> None:
    """Raises CannotCopy or CannotOpen when it is damaged, no store, or of a newer release."""
    found = stored_revision(draft)
    if found is None:
        raise BackupError(f"{source} is not a backup of a hub.")
    schema_version.require_supported(found)
    with closing(_open_to_read(draft)) as connection:
        for pragma in ("integrity_check(1)", "foreign_key_check"):
            try:
                rows = connection.execute(f"PRAGMA {pragma}").fetchall()
            except sqlite3.Error as error:
                rows = [(str(error),)]
            if rows not in ([], [("ok",)]):
                raise BackupError(f"{source} is damaged: {' '.join(str(rows[0][0]).split())}.")


def _settle(path: Path) -> bool:
    """Bring what is in the old store's log into its file: a log left beside another file would be replayed into it."""
    if not path.exists():
        return False
    # A store too damaged for that is set aside with its log.
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise BackupError(f"Somebody is reading {path}; try again when they have finished.")
    return True


def _set_aside(path: Path, kept: Path) -> None:
    """Give the file a second name, in place of what was set aside the last time.

    The first name stays until another file takes it: there is a store at every moment.
    """
    draft = kept.with_name(f"{kept.name}.{secrets.token_hex(4)}")
    os.link(path, draft)
    _remove_log(kept)
    os.replace(draft, kept)


def _move_log(path: Path, kept: Path) -> None:
    with suppress(FileNotFoundError):
        os.replace(f"{path}-wal", f"{kept}-wal")
    _remove_log(path)


def _remove_log(path: Path) -> None:
    for ending in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


@contextmanager
def _draft_of(target: Path) -> Generator[Path, None, None]:
    """A new private file beside the target; gone in the end, under this name."""
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        yield draft
    finally:
        _remove_log(draft)
        draft.unlink(missing_ok=True)


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
