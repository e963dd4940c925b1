"""Pages of a list, newest first: where one ends is where the next begins, said in a mark nobody needs to read.

A mark holds the key of the last item, not how many came before it: what is added or removed meanwhile neither
repeats nor hides an item.
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

# Items on a page when nobody says how many, and at most.
DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 100

# Above every id, below which the first page of a list begins; likewise for numbers (SQL's BIGINT).
LAST_ID: Final = "~"
LAST_SEQ: Final = 2**63 - 1

_SEQ = re.compile(r"0|[1-9][0-9]{0,17}")
# Longer than the mark of any key.
_MARK_LENGTH = 64


class Page(Schema, Generic[T], frozen=True):
    """Some items of a list; `next` asks for those after them (as `after`), null when there are none."""

    items: list[T]
    next: str | None


def page(rows: Sequence[R], *, limit: int, show: Callable[[R], T], key: Callable[[R], str | int]) -> Page[T]:
    """A page of at most `limit` items from `limit + 1` rows: the surplus one says that there are more."""
    shown = rows[:limit]
    return Page(items=[show(row) for row in shown], next=page_token(key(shown[-1])) if len(rows) > limit else None)


def page_token(key: str | int) -> str:
    """What `after` will be for the items that follow the one with this id or number."""
    return base64.urlsafe_b64encode(str(key).encode()).rstrip(b"=").decode()


def check_id(text: str, pointer: str) -> None:
    """Raises InvalidField at `pointer` for what has not the form of an id."""
    if not ids.ID_PATTERN.fullmatch(text):
        raise InvalidField(pointer, "type", "That is not an id.")


def id_from_token(after: str | None) -> str:
    """The id that the next page's items are all below (as text). Raises InvalidField for a mark that is none."""
    return LAST_ID if after is None else _key(after, ids.ID_PATTERN)


def seq_from_token(after: str | None) -> int:
    """Like `id_before`, for lists ordered by a number."""
    return LAST_SEQ if after is None else int(_key(after, _SEQ))


def _key(after: str, form: re.Pattern[str]) -> str:
    try:
        if len(after) > _MARK_LENGTH:
            raise ValueError
        key = base64.b64decode(after + "=" * (-len(after) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (ValueError, binascii.Error):
        key = ""
    if not form.fullmatch(key):
        raise InvalidField("after", "type", "That is not the `next` of a page of this list.")
    return key
