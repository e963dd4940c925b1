"""Frames say to a parser of the standard exactly what was meant, and nothing else."""

import json
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime import event as realtime_event
from realtime.event import RETRY_MS, ByeReason, Event, encode, random_delay_ms
from tests.realtime.sse_parser import Message, parse

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1)


@settings(deadline=None)
@given(event=st.none() | LINE, data=TEXT, id=st.none() | LINE, retry=st.none() | st.integers(0, 10**9))
def test_a_parser_reads_back_what_was_encoded(event: str | None, data: str, id: str | None, retry: int | None) -> None:
    parsed = parse(encode(event=event, data=data.encode(), id=id, retry=retry))
    # All three line ends are one to a reader of event streams.
    lines = data.replace("\r\n", "\n").replace("\r", "\n")
    assert parsed.messages == [Message(event or "message", lines, id or "")]
    assert parsed.retry == retry


@settings(deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=5))
def test_no_text_ends_its_block_early(texts: list[str]) -> None:
    stream = b"".join(encode(event="x", data=json.dumps(text).encode()) for text in texts)
    assert [json.loads(message.data) for message in parse(stream).messages] == texts


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b", "\n", "x\n\nevent: admin"])
def test_line_ends_in_type_and_id_are_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        encode(event=bad, data=b"{}")
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        encode(event="x", data=b"{}", id=bad)


def test_a_negative_retry_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        encode(event="x", data=b"{}", retry=-1)


def test_the_parser_knows_the_examples_of_the_standard() -> None:
    assert parse(b"data: YHOO\ndata: +2\ndata: 10\n\n").messages == [Message("message", "YHOO\n+2\n10", "")]
    stream = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"
    assert parse(stream).messages == [
        Message("message", "first event", "1"),
        Message("message", "second event", ""),
        Message("message", " third event", ""),
    ]
    assert [message.data for message in parse(b"data\n\ndata\ndata\n\ndata:").messages] == ["", "\n"]


def test_a_durable_event_carries_its_cursor_and_an_ephemeral_one_none() -> None:
    durable = Event.durable("jobs", "job_created", b'{"id":"1"}', 7, "e1")
    assert parse(durable.frame).messages == [Message("job_created", '{"id":"1"}', "e1.7")]
    ephemeral = Event.ephemeral("user:u", "typing", b"{}")
    assert ephemeral.position is None
    assert b"id:" not in ephemeral.frame


def test_a_reset_follows_a_confirmation_without_id() -> None:
    stream = realtime_event.confirmation_frame({"a": 1}, 1_500, None) + realtime_event.reset_frame(
        {"reason": "trimmed"}, "e.9"
    )
    parsed = parse(stream)
    assert [(message.type, message.last_event_id) for message in parsed.messages] == [
        ("connection_confirmed", ""),
        ("reset", "e.9"),
    ]
    assert parsed.retry == 1_500


def test_ready_json_goes_into_frames_as_it_is() -> None:
    assert realtime_event.confirmation_frame(b'{"a":1}', 1, "e.1") == realtime_event.confirmation_frame(
        {"a": 1}, 1, "e.1"
    )


@pytest.mark.parametrize("reason", RETRY_MS)
def test_goodbyes_say_why_and_when_to_return(reason: ByeReason) -> None:
    lowest, highest = RETRY_MS[reason]
    parsed = parse(realtime_event.bye_frame(reason, random_delay_ms(RETRY_MS[reason], Random(1))))
    assert parsed.messages == [Message("bye", json.dumps({"reason": reason}, separators=(",", ":")), "")]
    assert parsed.retry is not None
    assert lowest <= parsed.retry <= highest
