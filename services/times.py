"""Milliseconds inside, RFC 3339 UTC with milliseconds and `Z` outside."""

from datetime import UTC, datetime

from services.errors import InvalidField

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# The first and the last millisecond of what RFC 3339 can say: the years 1 to 9999.
EARLIEST = -62_135_596_800_000
LATEST = 253_402_300_799_999


def render(milliseconds: int) -> str:
    """`0` → `1970-01-01T00:00:00.000Z`."""
    seconds, rest = divmod(milliseconds, 1_000)
    stamp = datetime.fromtimestamp(seconds, UTC)
    return f"{stamp:%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


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
    milliseconds = int(stamp.timestamp() * 1_000)
    # An offset can lead out of the years that are written with four digits, and nobody could read the time again.
    if not EARLIEST <= milliseconds <= LATEST:
        raise InvalidField(pointer, "range", "That time is out of range.")
    return milliseconds
