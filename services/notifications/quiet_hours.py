"""Quiet hours in the user’s time zone."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from services.errors import InvalidField
from services.schemas import Schema

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

MAX_ZONE_LENGTH: Final = 64
# The format of <input type=time>.
_TIME_OF_DAY: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


class QuietHours(Schema, frozen=True, forbid_unknown_fields=True):
    """Hours from one time of day to another that begin on each of `days`; they end on the next day if `to` < `from`."""

    from_: str = msgspec.field(name="from")
    to: str
    time_zone: Annotated[str, Meta(min_length=1, max_length=MAX_ZONE_LENGTH)]
    days: Annotated[tuple[Day, ...], Meta(max_length=7)] = DAYS

    def check(self, pointer: str) -> None:
        """Raise InvalidField for an invalid time of day, an unknown IANA time zone, or equal begin and end."""
        for name, time in (("from", self.from_), ("to", self.to)):
            if not _TIME_OF_DAY.fullmatch(time):
                raise InvalidField(f"{pointer}/{name}", "type", "Use a time of day such as 22:00.")
        if _find_zone(self.time_zone) is None:
            raise InvalidField(
                f"{pointer}/timeZone", "range", "Unknown time zone. Use an IANA name such as Europe/Berlin."
            )
        if self.from_ == self.to:
            raise InvalidField(f"{pointer}/to", "range", "Quiet hours must not begin and end at the same time.")


def ends_at(quiet_hours: QuietHours, *, now: int) -> int | None:
    """Return when the current quiet hours end (ms), or None if `now` (ms) is outside of them.

    If clocks are set back and the end time occurs twice, the later one counts. If clocks are set forward and a time
    does not exist, the time one hour later replaces it.
    """
    zone = _find_zone(quiet_hours.time_zone)
    if zone is None:  # the zone was removed from the time zone database
        return None
    today = datetime.fromtimestamp(now / 1_000, zone).date()
    for first_day in (today - timedelta(days=1), today):
        if DAYS[first_day.weekday()] in quiet_hours.days:
            last_day = first_day if quiet_hours.to > quiet_hours.from_ else first_day + timedelta(days=1)
            end = _to_ms(last_day, quiet_hours.to, zone, fold=1)
            if _to_ms(first_day, quiet_hours.from_, zone, fold=0) <= now < end:
                return end
    return None


def _to_ms(day: date, time: str, zone: ZoneInfo, *, fold: int) -> int:
    """Return a local time as milliseconds since 1970; `fold` selects one of two equal times (PEP 495)."""
    hour, minute = int(time[:2]), int(time[3:])
    local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone, fold=fold)
    if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None, fold=0) != local.replace(tzinfo=None, fold=0):
        local = local.replace(fold=0)  # for a time that does not exist, fold=1 would be an hour before it
    return round(local.timestamp() * 1_000)


def _find_zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # an unknown name, an invalid name, a directory of the database
        return None
