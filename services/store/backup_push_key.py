"""The key that browsers subscribed to push with, beside a copy of the store: without it they are dead."""

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from services.store.backup import BackupError


def file_of(copy: Path) -> Path:
    """Where the key of a copy of the store is: `a.db` has `a.vapid`, any other name gets `.vapid` added."""
    return copy.with_suffix(".vapid") if copy.suffix == ".db" else copy.with_name(f"{copy.name}.vapid")


def copy(key: Path, target: Path) -> bool:
    """Put the key beside the copy at `target`, for nobody else to read; False where none was made yet.

    Raises CannotCopy where another key is there already, and OSError.
    """
    place, ours = file_of(target), _read(key)
    if ours is None:
        return False
    if (theirs := _read(place)) not in (None, ours):
        raise BackupError(f"{place} holds another key already; a backup never overwrites anything.")
    if theirs is None:
        with _draft(ours, place) as draft:
            os.replace(draft, place)
    return True


def keep(key: Path, kept: Path) -> None:
    """Keep the key of a store that was set aside as `kept`; what was set aside before goes. Raises OSError."""
    file_of(kept).unlink(missing_ok=True)
    copy(key, kept)


@contextmanager
def restore(source: Path, key: Path) -> Generator[None, None, None]:
    """Put the key beside the copy `source` in the place of `key` once all that is done within has been done.

    Where there is none beside it, `key` stays. Raises OSError, before anything is done where it can be seen before.
    """
    theirs = _read(file_of(source))
    if theirs is None:
        yield
        return
    with _draft(theirs, key) as draft:
        yield
        os.replace(draft, key)


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


@contextmanager
def _draft(content: bytes, target: Path) -> Generator[Path, None, None]:
    """A new private file beside the target, on disk; gone in the end, under this name."""
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)
