"""Quiet hours end when their owner's clock says so, also on the days on which clocks are changed."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import InvalidField
from services.notifications import quiet_hours
from services.notifications.quiet_hours import DAYS, QuietHours

NIGHT = QuietHours(from_="22:00", to="07:00", time_zone="Europe/Berlin")


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000)


def end(hours: QuietHours, now: str) -> str | None:
    found = quiet_hours.ends_at(hours, now=ms(now))
    return None if found is None else datetime.fromtimestamp(found / 1_000, UTC).isoformat()


@pytest.mark.parametrize(
    ("now", "ends"),
    [
        ("2026-01-15T21:59:59+01:00", None),
        ("2026-01-15T22:00:00+01:00", "2026-01-16T06:00:00+00:00"),
        ("2026-01-16T06:59:59+01:00", "2026-01-16T06:00:00+00:00"),
        ("2026-01-16T07:00:00+01:00", None),
        ("2026-07-15T23:00:00+02:00", "2026-07-16T05:00:00+00:00"),
        # The night in which clocks go forward is an hour shorter, the one in which they go back an hour longer.
        ("2026-03-28T23:00:00+01:00", "2026-03-29T05:00:00+00:00"),
        ("2026-10-24T23:00:00+02:00", "2026-10-25T06:00:00+00:00"),
    ],
)
def test_a_night_ends_in_the_morning_of_the_clock_on_the_wall(now: str, ends: str | None) -> None:
    assert end(NIGHT, now) == ends


@pytest.mark.parametrize(
    ("hours", "now", "ends"),
    [
        # 02:30 is left out on 29 March: it stands for 03:30.
        (("01:00", "02:30"), "2026-03-29T01:30:00+01:00", "2026-03-29T01:30:00+00:00"),
        (("02:30", "05:00"), "2026-03-29T01:59:00+01:00", None),
        (("02:30", "05:00"), "2026-03-29T03:29:00+02:00", None),
        (("02:30", "05:00"), "2026-03-29T03:30:00+02:00", "2026-03-29T03:00:00+00:00"),
        # 02:30 comes twice on 25 October: quiet from the first to the second.
        (("02:30", "05:00"), "2026-10-25T02:30:00+02:00", "2026-10-25T04:00:00+00:00"),
        (("01:00", "02:30"), "2026-10-25T02:45:00+02:00", "2026-10-25T01:30:00+00:00"),
        (("01:00", "02:30"), "2026-10-25T02:30:00+01:00", None),
    ],
)
def test_times_that_are_left_out_or_come_twice(hours: tuple[str, str], now: str, ends: str | None) -> None:
    assert end(QuietHours(from_=hours[0], to=hours[1], time_zone="Europe/Berlin"), now) == ends


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    weekend = QuietHours(from_="22:00", to="07:00", time_zone="UTC", days=("fri",))
    assert end(weekend, "2026-01-17T06:00:00+00:00") == "2026-01-17T07:00:00+00:00", "the morning after Friday"
    assert end(weekend, "2026-01-16T06:00:00+00:00") is None, "the morning after Thursday"
    assert end(QuietHours(from_="22:00", to="07:00", time_zone="UTC", days=()), "2026-01-17T06:00:00+00:00") is None


@given(
    st.integers(0, 4_000_000_000_000),
    st.tuples(st.integers(0, 1_439), st.integers(0, 1_439)).filter(lambda two: two[0] != two[1]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]),
)
def test_the_end_is_ahead_within_a_day_or_so_at_the_time_that_was_set(
    now: int, two: tuple[int, int], zone: str
) -> None:
    begin, stop = (f"{minutes // 60:02}:{minutes % 60:02}" for minutes in two)
    hours = QuietHours(from_=begin, to=stop, time_zone=zone, days=DAYS)
    found = quiet_hours.ends_at(hours, now=now)
    clock = datetime.fromtimestamp(now / 1_000, ZoneInfo(zone))
    if found is None:
        return
    assert now < found <= now + 26 * 3_600_000
    said = datetime.fromtimestamp(found / 1_000, ZoneInfo(zone))
    # Unless the clock leaves that time out.
    assert said.strftime("%H:%M") == stop or said.utcoffset() != clock.utcoffset()


@pytest.mark.parametrize(
    ("hours", "pointer"),
    [
        (QuietHours(from_="24:00", to="07:00", time_zone="UTC"), "/q/from"),
        (QuietHours(from_="22:00", to="7:00", time_zone="UTC"), "/q/to"),
        (QuietHours(from_="22:00", to="٠٧:٠٠", time_zone="UTC"), "/q/to"),
        (QuietHours(from_="22:00", to="22:00", time_zone="UTC"), "/q/to"),
        *(
            (QuietHours(from_="22:00", to="07:00", time_zone=zone), "/q/timeZone")
            for zone in ("Mars/Base", "../../etc/passwd", "/etc/passwd", "Europe", "a\0b", "\ud83d", "tzdata.zi")
        ),
    ],
)
def test_hours_that_are_none_are_refused(hours: QuietHours, pointer: str) -> None:
    with pytest.raises(InvalidField) as refused:
        hours.check("/q")
    assert refused.value.details["pointer"] == pointer
