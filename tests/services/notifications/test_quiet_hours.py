"""Quiet hours: their end in the user's time zone, also when clocks change, and their validation."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import InvalidField
from services.notifications import quiet_hours
from services.notifications.quiet_hours import DAYS, QuietHours

NIGHT = QuietHours(from_="22:00", to="07:00", time_zone="Europe/Berlin")


def to_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000)


def find_end(hours: QuietHours, now: str) -> str | None:
    end = quiet_hours.ends_at(hours, now=to_ms(now))
    return None if end is None else datetime.fromtimestamp(end / 1_000, UTC).isoformat()


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-01-15T21:59:59+01:00", None),
        ("2026-01-15T22:00:00+01:00", "2026-01-16T06:00:00+00:00"),
        ("2026-01-16T06:59:59+01:00", "2026-01-16T06:00:00+00:00"),
        ("2026-01-16T07:00:00+01:00", None),
        ("2026-07-15T23:00:00+02:00", "2026-07-16T05:00:00+00:00"),
        # Clocks are set forward in the first night and back in the second.
        ("2026-03-28T23:00:00+01:00", "2026-03-29T05:00:00+00:00"),
        ("2026-10-24T23:00:00+02:00", "2026-10-25T06:00:00+00:00"),
    ],
)
def test_quiet_hours_end_at_local_time(now: str, expected: str | None) -> None:
    assert find_end(NIGHT, now) == expected


@pytest.mark.parametrize(
    ("hours", "now", "expected"),
    [
        # 02:30 does not exist on 29 March and is replaced by 03:30.
        (("01:00", "02:30"), "2026-03-29T01:30:00+01:00", "2026-03-29T01:30:00+00:00"),
        (("02:30", "05:00"), "2026-03-29T01:59:00+01:00", None),
        (("02:30", "05:00"), "2026-03-29T03:29:00+02:00", None),
        (("02:30", "05:00"), "2026-03-29T03:30:00+02:00", "2026-03-29T03:00:00+00:00"),
        # 02:30 occurs twice on 25 October: quiet hours begin at the first and end at the second.
        (("02:30", "05:00"), "2026-10-25T02:30:00+02:00", "2026-10-25T04:00:00+00:00"),
        (("01:00", "02:30"), "2026-10-25T02:45:00+02:00", "2026-10-25T01:30:00+00:00"),
        (("01:00", "02:30"), "2026-10-25T02:30:00+01:00", None),
    ],
)
def test_quiet_hours_with_skipped_or_repeated_local_times(
    hours: tuple[str, str], now: str, expected: str | None
) -> None:
    assert find_end(QuietHours(from_=hours[0], to=hours[1], time_zone="Europe/Berlin"), now) == expected


def test_quiet_hours_belong_to_the_day_on_which_they_begin() -> None:
    friday = QuietHours(from_="22:00", to="07:00", time_zone="UTC", days=("fri",))
    assert find_end(friday, "2026-01-17T06:00:00+00:00") == "2026-01-17T07:00:00+00:00", "the morning after Friday"
    assert find_end(friday, "2026-01-16T06:00:00+00:00") is None, "the morning after Thursday"
    assert (
        find_end(QuietHours(from_="22:00", to="07:00", time_zone="UTC", days=()), "2026-01-17T06:00:00+00:00") is None
    )


@given(
    st.integers(0, 4_000_000_000_000),
    st.tuples(st.integers(0, 1_439), st.integers(0, 1_439)).filter(lambda times: times[0] != times[1]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]),
)
def test_quiet_hours_end_within_26_hours_at_the_local_time_set(now: int, times: tuple[int, int], zone: str) -> None:
    begin_time, end_time = (f"{minute // 60:02}:{minute % 60:02}" for minute in times)
    hours = QuietHours(from_=begin_time, to=end_time, time_zone=zone, days=DAYS)
    end = quiet_hours.ends_at(hours, now=now)
    clock = datetime.fromtimestamp(now / 1_000, ZoneInfo(zone))
    if end is None:
        return
    assert now < end <= now + 26 * 3_600_000
    local_end = datetime.fromtimestamp(end / 1_000, ZoneInfo(zone))
    # The local time differs only if that time does not exist on the day of a clock change.
    assert local_end.strftime("%H:%M") == end_time or local_end.utcoffset() != clock.utcoffset()


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
    ids=[
        *("hour 24", "one-digit hour", "Arabic digits", "equal times", "unknown zone", "relative path"),
        *("absolute path", "directory", "null character", "lone surrogate", "file of the database"),
    ],
)
def test_invalid_quiet_hours_are_rejected(hours: QuietHours, pointer: str) -> None:
    with pytest.raises(InvalidField) as error:
        hours.check("/q")
    assert error.value.details["pointer"] == pointer
