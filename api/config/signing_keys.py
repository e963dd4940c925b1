"""The keys that sign tokens: what makes one weak, and where development keeps the one it made."""

import re
import secrets
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from services.store.secret_file import MIN_LENGTH, load_or_create

FILE_NAME: Final = "secret.key"

# Random text has far more different characters; hex of 32 has fewer than nine about once in a million.
_MIN_DIFFERENT: Final = 9
# Words of examples, defaults and placeholders, looked for without case and punctuation.
_EXAMPLES: Final = re.compile(
    r"changeme|changethis|secret|example|password|placeholder|default|insecure|replaceme|development|yourkey|"
    r"letmein|correcthorse|gigwire|qwerty"
)


def weakness_of(key: str) -> str | None:
    """Why a key is not fit for production, as the rest of a sentence; None if nothing speaks against it."""
    if len(key) < MIN_LENGTH:
        return f"is shorter than {MIN_LENGTH} characters"
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
    return (load_or_create(data_dir / FILE_NAME, lambda: secrets.token_urlsafe(48)),)
