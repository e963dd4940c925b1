"""Signing keys, and what makes one too weak for production."""

import re
import secrets
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from services.store.secret_file import MIN_LENGTH, load_or_create

FILE_NAME: Final = "secret.key"

# Random text has more distinct characters: 32 hex digits have fewer than nine about once in a million.
_MIN_DISTINCT: Final = 9
# Words of examples, defaults and placeholders; case and punctuation are ignored.
_PLACEHOLDERS: Final = re.compile(
    r"changeme|changethis|secret|example|password|placeholder|default|insecure|replaceme|development|yourkey|"
    r"letmein|correcthorse|gigwire|qwerty"
)


def weakness_of(key: str) -> str | None:
    """Return why a key is too weak for production, as the end of a sentence; None if it is not."""
    if len(key) < MIN_LENGTH:
        return f"is shorter than {MIN_LENGTH} characters"
    if _PLACEHOLDERS.search(re.sub(r"[^a-z]", "", key.lower())):
        return "looks like an example or a default"
    if len(set(key)) < _MIN_DISTINCT or _is_repetitive(key) or _is_sequential(key):
        return "is too easy to guess"
    return None


def _is_repetitive(key: str) -> bool:
    """Return whether the key repeats a shorter text."""
    return any(key[period:] == key[:-period] for period in range(1, len(key) // 2 + 1))


def _is_sequential(key: str) -> bool:
    """Return whether most characters are next to the one before, as in abcdef or 7654."""
    steps = [abs(ord(after) - ord(before)) for before, after in pairwise(key)]
    return sum(step <= 1 for step in steps) > len(steps) // 2


def load_signing_keys(configured: Sequence[str], data_dir: Path) -> tuple[str, ...]:
    """Return the configured keys, or else one generated key that is stored in the data directory; the last one signs.

    Concurrent starts agree on the generated key. Raises OSError if the folder cannot be written.
    """
    if configured:
        return tuple(configured)
    return (load_or_create(data_dir / FILE_NAME, lambda: secrets.token_urlsafe(48)),)
