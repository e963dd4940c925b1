"""Times: RFC 3339 in, milliseconds inside, RFC 3339 out."""

import pytest

from services import times
from services.errors import InvalidField


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
        ("2026-01-31T12:00:00.001Z", "2026-01-31T12:00:00.001Z"),
        ("2026-01-31T12:00:00.9999+01:30", "2026-01-31T10:30:00.999Z"),
        ("2024-02-29T23:59:59.123456789-12:00", "2024-03-01T11:59:59.123Z"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_time_is_parsed_to_milliseconds_and_rendered_in_utc(text: str, shown: str) -> None:
    assert times.to_rfc3339(times.parse_rfc3339(text, "/at")) == shown
    assert times.parse_rfc3339(shown, "/at") == times.parse_rfc3339(text, "/at")


def test_rendering_and_parsing_lose_no_millisecond() -> None:
    for milliseconds in range(1_700_000_000_000, 1_700_000_001_000):
        assert times.parse_rfc3339(times.to_rfc3339(milliseconds), "/at") == milliseconds


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "type"),
        ("tomorrow", "type"),
        ("2026-01-31", "type"),
        ("2026-01-31T12:00:00", "type"),
        ("2026-01-31T12:00Z", "type"),
        ("2026-W05-6T12:00:00Z", "type"),
        ("20260131T120000Z", "type"),
        ("2026-02-30T12:00:00Z", "type"),
        ("2026-01-31T24:00:01Z", "type"),
        ("2026-01-31T12:00:00+25:00", "type"),
        ("٢٠٢٦-01-31T12:00:00Z", "type"),
        ("2026-01-31T12:00:00Z\n", "type"),
        ("1969-12-31T23:59:59Z", "range"),
        ("0001-01-01T00:00:00+23:59", "range"),
        ("9999-12-31T23:59:59-23:59", "range"),
    ],
)
def test_invalid_times_are_rejected(text: str, reason: str) -> None:
    with pytest.raises(InvalidField) as refused:
        times.parse_rfc3339(text, "/at")
    assert refused.value.details == {"pointer": "/at", "reason": reason}
