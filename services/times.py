"""Milliseconds inside, RFC 3339 UTC with milliseconds and `Z` outside."""

import re
from datetime import UTC, datetime, timedelta

from services.errors import InvalidField

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# The last millisecond of the year 9999, the end of what RFC 3339 can say.
LATEST = 253_402_300_799_999

# Python reads all of ISO 8601, weeks and times without seconds too.
_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_rfc3339(milliseconds: int) -> str:
    """`0` → `1970-01-01T00:00:00.000Z`."""
    seconds, rest = divmod(milliseconds, 1_000)
    stamp = datetime.fromtimestamp(seconds, UTC)
    return f"{stamp.isoformat()[:19]}.{rest:03d}Z"


def to_rfc3339_or_none(milliseconds: int | None) -> str | None:
    """Like `render`; None stays None."""
    return None if milliseconds is None else to_rfc3339(milliseconds)


def parse_rfc3339(text: str, pointer: str) -> int:
    """An RFC 3339 time from 1970 on, with an offset, as milliseconds; what is finer is cut off.

    Raises InvalidField at `pointer` when it is not one.
    """
    try:
        if not _FORM.fullmatch(text):
            raise ValueError
        stamp = datetime.fromisoformat(text)
    except ValueError:
        message = "Give a time with an offset or Z at its end, like 2026-01-31T12:00:00.000Z."
        raise InvalidField(pointer, "type", message) from None
    milliseconds = (stamp - _BEGIN) // _MILLISECOND
    # The offset can lead out of the years that a time can be said in.
    if not 0 <= milliseconds <= LATEST:
        raise InvalidField(pointer, "range", "That time is out of range.")
    return milliseconds
