"""A secret kept in a private file, created once."""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

MIN_LENGTH: Final = 32


def load_or_create(path: Path, new_key: Callable[[], str]) -> str:
    """The key in a file, made and kept there if there is none yet, for nobody else to read.

    Two starts at once agree on it. Raises OSError where the folder cannot be written.
    """
    with suppress(FileNotFoundError):
        return _load(path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _create(path, new_key())
    return _load(path)


def _load(path: Path) -> str:
    key = path.read_text("ascii").strip()
    if len(key) < MIN_LENGTH:
        raise OSError(f"{path} holds no key; remove it and a new one is made (everybody signs in or subscribes again)")
    return key


def _create(path: Path, key: str) -> None:
    """Write whole, then link: the name never shows half a key, and only the first of several comes to stand."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(key + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
