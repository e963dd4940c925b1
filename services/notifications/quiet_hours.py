"""Quiet hours: whether they are now, and when they end, in the time zone of whoever set them; pure."""

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

ZONE_LENGTH: Final = 64
# As <input type=time> has it.
_TIME_OF_DAY: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


class QuietHours(Schema, frozen=True, forbid_unknown_fields=True):
    """From one time of day to another, over midnight if that comes first, beginning on each of these days."""

    from_: str = msgspec.field(name="from")
    to: str
    time_zone: Annotated[str, Meta(min_length=1, max_length=ZONE_LENGTH)]
    days: Annotated[tuple[Day, ...], Meta(max_length=7)] = DAYS

    def check(self, pointer: str) -> None:
        """Raises InvalidField: no times of day, a time zone that is none (IANA), hours that end when they begin."""
        for name, time in (("from", self.from_), ("to", self.to)):
            if not _TIME_OF_DAY.fullmatch(time):
                raise InvalidField(f"{pointer}/{name}", "type", "Give a time of day like 22:00.")
        if _zone(self.time_zone) is None:
            raise InvalidField(f"{pointer}/timeZone", "range", "There is no such time zone; one is Europe/Berlin.")
        if self.from_ == self.to:
            raise InvalidField(f"{pointer}/to", "range", "Quiet hours must end at another time than they begin.")


def ends_at(quiet: QuietHours, *, now: int) -> int | None:
    """When the quiet hours that are now end (ms), None if there are none now.

    Where clocks are set back the later of two equal times ends them, where they are set forward a time that is left
    out stands for the one an hour later.
    """
    zone = _zone(quiet.time_zone)
    if zone is None:  # it has left the database of time zones since
        return None
    today = datetime.fromtimestamp(now / 1_000, zone).date()
    for began in (today - timedelta(days=1), today):
        if DAYS[began.weekday()] in quiet.days:
            ends = began if quiet.to > quiet.from_ else began + timedelta(days=1)
            end = _at(ends, quiet.to, zone, fold=1)
            if _at(began, quiet.from_, zone, fold=0) <= now < end:
                return end
    return None


def _at(day: date, time: str, zone: ZoneInfo, *, fold: int) -> int:
    """A time of day as milliseconds since 1970; `fold` chooses among two (PEP 495)."""
    hour, minute = int(time[:2]), int(time[3:])
    local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone, fold=fold)
    if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None, fold=0) != local.replace(tzinfo=None, fold=0):
        local = local.replace(fold=0)  # in the hour that is left out, fold 1 would be before it
    return round(local.timestamp() * 1_000)


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # absent, no name of one, a folder of them
        return None
