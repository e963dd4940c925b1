"""A secret kept in a private file, created once."""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

# In characters.
MIN_LENGTH: Final = 32


def load_or_create(path: Path, create_key: Callable[[], str]) -> str:
    """Return the key in a file; if there is none, create the file with a new key, readable only by its owner.

    Two processes that start at the same time get the same key. Raises OSError when the directory is not writable.
    """
    with suppress(FileNotFoundError):
        return _load(path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _create(path, create_key())
    return _load(path)


def _load(path: Path) -> str:
    key = path.read_text("ascii").strip()
    if len(key) < MIN_LENGTH:
        raise OSError(
            f"{path} holds no key. Delete it to create a new one; all users must then sign in or subscribe again."
        )
    return key


def _create(path: Path, key: str) -> None:
    """Write a temporary file, then link it: the file is never incomplete, and the first of several processes wins."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(key + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
