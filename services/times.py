"""Milliseconds inside, RFC 3339 UTC with milliseconds and `Z` outside."""

from datetime import UTC, datetime

from services.errors import InvalidField

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# The last millisecond of the year 9999, the end of what RFC 3339 can say.
LATEST = 253_402_300_799_999


def render(milliseconds: int) -> str:
    """`0` → `1970-01-01T00:00:00.000Z`."""
    seconds, rest = divmod(milliseconds, 1_000)
    stamp = datetime.fromtimestamp(seconds, UTC)
    return f"{stamp.isoformat()[:19]}.{rest:03d}Z"


def render_optional(milliseconds: int | None) -> str | None:
    """Like `render`; None stays None."""
    return None if milliseconds is None else render(milliseconds)


def parse(text: str, pointer: str) -> int:
    """An RFC 3339 time with an offset, as milliseconds.

    Raises InvalidField at `pointer` when it is not one.
    """
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidField(pointer, "type", "Give a time like 2026-01-31T12:00:00.000Z.") from None
    if stamp.tzinfo is None:
        raise InvalidField(pointer, "type", "The time needs an offset or Z at its end.")
    try:
        return int(stamp.timestamp() * 1_000)
    except (OverflowError, ValueError):
        raise InvalidField(pointer, "range", "That time is out of range.") from None
