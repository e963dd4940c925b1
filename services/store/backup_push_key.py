"""The push signing key of a backup.

Browsers accept pushes only from the key that they subscribed with, so a restored hub needs the same key.
"""

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from services.store.backup import BackupError


def file_of(backup: Path) -> Path:
    """Return the key file of a backup: `a.db` has `a.vapid`; any other name gets `.vapid` appended."""
    return backup.with_suffix(".vapid") if backup.suffix == ".db" else backup.with_name(f"{backup.name}.vapid")


def copy(key_file: Path, target: Path) -> bool:
    """Copy the key next to the backup `target`, readable only by its owner. Return False if there is no key yet.

    Raises BackupError when another key is there already, and OSError.
    """
    target_file, key = file_of(target), _read(key_file)
    if key is None:
        return False
    existing = _read(target_file)
    if existing not in (None, key):
        raise BackupError(f"{target_file} already holds another key. A backup never overwrites a file.")
    if existing is None:
        with _temporary_file(key, target_file) as temporary:
            os.replace(temporary, target_file)
    return True


def adopt(key_file: Path, previous: Path) -> None:
    """Save the key of the replaced store `previous` next to it, in place of any older key. Raises OSError."""
    file_of(previous).unlink(missing_ok=True)
    copy(key_file, previous)


@contextmanager
def restore(source: Path, key_file: Path) -> Generator[None, None, None]:
    """Replace `key_file` by the key of the backup `source` when the body of the `with` statement succeeds.

    A backup without a key leaves `key_file` unchanged. Raises OSError, if possible before the body runs.
    """
    key = _read(file_of(source))
    if key is None:
        yield
        return
    with _temporary_file(key, key_file) as temporary:
        yield
        os.replace(temporary, key_file)


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


@contextmanager
def _temporary_file(content: bytes, target: Path) -> Generator[Path, None, None]:
    """Create a synced private file next to the target, and remove it at the end if it still has this name."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
