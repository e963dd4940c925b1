"""Opaque page tokens and pages of a list, newest first.

A token contains the key of the last item, not an offset. Items that are added or removed between two requests
neither repeat nor hide another item.
"""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from services import ids
from services.errors import InvalidField
from services.schemas import Schema

T = TypeVar("T")
R = TypeVar("R")

# Items of a page without a `limit`, and the largest `limit`.
DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 100

# Greater than every id; the first page of a list starts below it. The same for numbers (SQL BIGINT).
AFTER_ALL_IDS: Final = "~"
AFTER_ALL_SEQS: Final = 2**63 - 1

_SEQ = re.compile(r"0|[1-9][0-9]{0,17}")
# Longer than the token of any key.
_MAX_TOKEN_LENGTH = 64


class Page(Schema, Generic[T], frozen=True):
    """Some items of a list; `next` is the `after` of the following page, or null on the last page."""

    items: list[T]
    next: str | None


def make_page(rows: Sequence[R], *, limit: int, to_item: Callable[[R], T], key: Callable[[R], str | int]) -> Page[T]:
    """Return a page of at most `limit` items from `limit + 1` rows; the extra row shows that there is a next page."""
    visible = rows[:limit]
    return Page(
        items=[to_item(row) for row in visible], next=page_token(key(visible[-1])) if len(rows) > limit else None
    )


def page_token(key: str | int) -> str:
    """Return the `after` of the page that follows the item with this id or number."""
    return base64.urlsafe_b64encode(str(key).encode()).rstrip(b"=").decode()


def check_id(text: str, pointer: str) -> None:
    """Raise InvalidField at `pointer` for text that does not have the form of an id."""
    if not ids.ID_PATTERN.fullmatch(text):
        raise InvalidField(pointer, "type", "That is not an id.")


def id_from_token(after: str | None) -> str:
    """Return the id that all items of the page are below. Raises InvalidField for an invalid token."""
    return AFTER_ALL_IDS if after is None else _decode_key(after, ids.ID_PATTERN)


def seq_from_token(after: str | None) -> int:
    """Like `id_from_token`, for lists ordered by a number."""
    return AFTER_ALL_SEQS if after is None else int(_decode_key(after, _SEQ))


def _decode_key(after: str, pattern: re.Pattern[str]) -> str:
    try:
        if len(after) > _MAX_TOKEN_LENGTH:
            raise ValueError
        key = base64.b64decode(after + "=" * (-len(after) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (ValueError, binascii.Error):
        key = ""
    if not pattern.fullmatch(key):
        raise InvalidField("after", "type", "That is not the `next` of a page of this list.")
    return key
