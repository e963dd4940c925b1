"""The SSE parser of the tests, compared with the examples of the HTML standard."""

from hypothesis import given
from hypothesis import strategies as st

from tests.support.sse_parser import Parser, ServerEvent, parse


def parse_chunks(*chunks: bytes) -> list[ServerEvent]:
    parser = Parser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def test_parser_reads_the_examples_of_the_standard() -> None:
    assert [event.text for event in parse_chunks(b"data: YHOO\ndata: +2\ndata: 10\n\n")] == ["YHOO\n+2\n10"]
    stream = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n"
    first, second = parse_chunks(stream)
    assert (first.text, first.last_event_id) == ("first event", "1")
    assert (second.text, second.id, second.last_event_id) == ("second event", "", "")
    assert parse_chunks(stream + b"\n")[2] == ServerEvent("message", " third event", None, "", None)
    assert [event.text for event in parse_chunks(b"data\n\ndata\ndata\n\ndata:")] == ["", "\n"]
    assert [event.text for event in parse_chunks(b"data:test\n\ndata: test\n\n")] == ["test", "test"]


def test_parser_counts_every_line_end_once() -> None:
    stream = b"\xef\xbb\xbfdata:a\r\n\r\ndata:b\r\rdata:c\n\n"
    assert [event.text for event in parse_chunks(stream)] == ["a", "b", "c"]
    assert [event.text for event in parse_chunks(b"data:a\r", b"\ndata:b\r", b"\n\r", b"\n")] == ["a\nb"]


def test_parser_ignores_bad_fields_and_keeps_an_id_without_data() -> None:
    parser = Parser()
    assert parser.feed(b"id: 7\n\nid: 8\0\nretry: 1s\ndata: x\n\n")[0].last_event_id == "7"
    assert parser.reconnection_ms is None
    assert parser.feed(b"retry: 250\nevent: bye\ndata: {}\n\n")[0] == ServerEvent("bye", "{}", None, "7", 250)


def test_parser_returns_events_last_id_and_retry_of_a_whole_stream() -> None:
    parsed = parse(b"id: 7\nretry: 250\ndata: x\n\nid: 8\n\ndata: unfinished")
    assert parsed.events == [ServerEvent("message", "x", "7", "7", 250)]
    assert (parsed.last_event_id, parsed.retry) == ("8", 250)


@given(st.lists(st.sampled_from(["data: é€😀", "id: 1", ": c", "event: x", "", "retry: 5"])), st.data())
def test_parser_result_is_independent_of_chunk_boundaries(lines: list[str], data: st.DataObject) -> None:
    stream = "".join(line + data.draw(st.sampled_from(["\r\n", "\n", "\r"])) for line in lines).encode()
    assert parse_chunks(*[bytes([byte]) for byte in stream]) == parse_chunks(stream)
