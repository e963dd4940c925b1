"""SSE frames: what a standard parser reads equals what was encoded."""

import json
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime import event as realtime_event
from realtime.event import RETRY_MS, ByeReason, Event, encode, random_delay_ms
from tests.support.sse_parser import ServerEvent, parse

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1)


@settings(deadline=None)
@given(event=st.none() | LINE, data=TEXT, id=st.none() | LINE, retry=st.none() | st.integers(0, 10**9))
def test_frame_is_read_back_as_it_was_encoded(event: str | None, data: str, id: str | None, retry: int | None) -> None:
    parsed = parse(encode(event=event, data=data.encode(), id=id, retry=retry))
    # A reader of event streams treats all three line ends alike.
    lines = data.replace("\r\n", "\n").replace("\r", "\n")
    assert parsed.events == [ServerEvent(event or "message", lines, id, id or "", retry)]
    assert parsed.retry == retry


@settings(deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=5))
def test_frame_never_ends_early_for_any_text(texts: list[str]) -> None:
    stream = b"".join(encode(event="x", data=json.dumps(text).encode()) for text in texts)
    assert [event.data for event in parse(stream).events] == texts


@pytest.mark.parametrize(
    "text",
    ["a\nb", "a\rb", "a\0b", "\n", "x\n\nevent: admin"],
    ids=["LF", "CR", "NUL", "only LF", "injected field"],
)
def test_frame_rejects_line_ends_in_type_and_id(text: str) -> None:
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        encode(event=text, data=b"{}")
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        encode(event="x", data=b"{}", id=text)


def test_frame_rejects_a_negative_retry() -> None:
    with pytest.raises(ValueError, match="negative"):
        encode(event="x", data=b"{}", retry=-1)


def test_durable_event_has_its_cursor_as_id_and_an_ephemeral_has_none() -> None:
    durable = Event.durable("jobs", "job_created", b'{"id":"1"}', 7, "e1")
    assert parse(durable.frame).events == [ServerEvent("job_created", '{"id":"1"}', "e1.7", "e1.7", None)]
    ephemeral = Event.ephemeral("user:u", "typing", b"{}")
    assert ephemeral.position is None
    assert b"id:" not in ephemeral.frame


def test_reset_frame_has_the_id_that_its_confirmation_lacks() -> None:
    stream = realtime_event.confirmation_frame({"a": 1}, 1_500, None) + realtime_event.reset_frame(
        {"reason": "trimmed"}, "e.9"
    )
    parsed = parse(stream)
    assert [(event.type, event.last_event_id) for event in parsed.events] == [
        ("connection_confirmed", ""),
        ("reset", "e.9"),
    ]
    assert parsed.retry == 1_500


def test_confirmation_frame_accepts_encoded_json() -> None:
    assert realtime_event.confirmation_frame(b'{"a":1}', 1, "e.1") == realtime_event.confirmation_frame(
        {"a": 1}, 1, "e.1"
    )


@pytest.mark.parametrize("reason", RETRY_MS)
def test_bye_frame_has_the_reason_and_a_delay_within_its_bounds(reason: ByeReason) -> None:
    minimum, maximum = RETRY_MS[reason]
    parsed = parse(realtime_event.bye_frame(reason, random_delay_ms(RETRY_MS[reason], Random(1))))
    data = json.dumps({"reason": reason}, separators=(",", ":"))
    assert parsed.events == [ServerEvent("bye", data, None, "", parsed.retry)]
    assert parsed.retry is not None
    assert minimum <= parsed.retry <= maximum
