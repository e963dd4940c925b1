"""Milliseconds inside, RFC 3339 outside."""

import re
from datetime import UTC, datetime, timedelta

from services.errors import InvalidField

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

# The last millisecond of the year 9999, the largest time of RFC 3339.
MAX_TIME = 253_402_300_799_999

# Stricter than `fromisoformat`, which also accepts weeks and times without seconds.
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_rfc3339(milliseconds: int) -> str:
    """Return a time in UTC with milliseconds: `0` → `1970-01-01T00:00:00.000Z`."""
    seconds, rest = divmod(milliseconds, 1_000)
    stamp = datetime.fromtimestamp(seconds, UTC)
    return f"{stamp.isoformat()[:19]}.{rest:03d}Z"


def to_rfc3339_or_none(milliseconds: int | None) -> str | None:
    """Like `to_rfc3339`; None stays None."""
    return None if milliseconds is None else to_rfc3339(milliseconds)


def parse_rfc3339(text: str, pointer: str) -> int:
    """Return an RFC 3339 time with an offset as milliseconds since 1970; finer digits are cut off.

    Raises InvalidField at `pointer` for other text and for times before 1970 or after the year 9999.
    """
    try:
        if not _RFC3339.fullmatch(text):
            raise ValueError
        stamp = datetime.fromisoformat(text)
    except ValueError:
        message = "Give a time with an offset or Z at its end, like 2026-01-31T12:00:00.000Z."
        raise InvalidField(pointer, "type", message) from None
    milliseconds = (stamp - _UNIX_EPOCH) // _MILLISECOND
    # The offset can move the time out of the allowed years.
    if not 0 <= milliseconds <= MAX_TIME:
        raise InvalidField(pointer, "range", "That time is out of range.")
    return milliseconds
