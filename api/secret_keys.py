"""The keys that sign tokens: what makes one weak, and where development keeps the one it made."""

import os
import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Final

MIN_SECRET: Final = 32
FILE_NAME: Final = "secret.key"

# Random text has far more different characters; hex of 32 has fewer than nine about once in a million.
_MIN_DIFFERENT: Final = 9
# Words of examples, defaults and placeholders, looked for without case and punctuation.
_EXAMPLES: Final = re.compile(
    r"changeme|changethis|secret|example|password|placeholder|default|insecure|replaceme|development|yourkey|"
    r"letmein|correcthorse|gigwire|qwerty"
)


def weakness(key: str) -> str | None:
    """Why a key is not fit for production, as the rest of a sentence; None if nothing speaks against it."""
    if len(key) < MIN_SECRET:
        return f"is shorter than {MIN_SECRET} characters"
    if _EXAMPLES.search(re.sub(r"[^a-z]", "", key.lower())):
        return "looks like an example or a default"
    if len(set(key)) < _MIN_DIFFERENT or _repeats(key) or _counts(key):
        return "is too easy to guess"
    return None


def _repeats(key: str) -> bool:
    return any(key[period:] == key[:-period] for period in range(1, len(key) // 2 + 1))


def _counts(key: str) -> bool:
    """Whether most characters follow their neighbour, as in abcdef or 7654."""
    steps = [abs(ord(after) - ord(before)) for before, after in pairwise(key)]
    return sum(step <= 1 for step in steps) > len(steps) // 2


def signing_keys(given: Sequence[str], data_dir: Path) -> tuple[str, ...]:
    """The keys to use, the last one signs: those given, or else one that is made once and kept in the data folder.

    Two starts at once agree on it. Raises OSError where the folder cannot be written.
    """
    if given:
        return tuple(given)
    return (kept_key(data_dir / FILE_NAME, lambda: secrets.token_urlsafe(48)),)


def kept_key(path: Path, new_key: Callable[[], str]) -> str:
    """The key in a file, made and kept there if there is none yet, for nobody else to read.

    Two starts at once agree on it. Raises OSError where the folder cannot be written.
    """
    with suppress(FileNotFoundError):
        return _kept(path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make(path, new_key())
    return _kept(path)


def _kept(path: Path) -> str:
    key = path.read_text("ascii").strip()
    if len(key) < MIN_SECRET:
        raise OSError(f"{path} holds no key; remove it and a new one is made (everybody signs in or subscribes again)")
    return key


def _make(path: Path, key: str) -> None:
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
