"""The tests' own parser of event streams agrees with the HTML standard's examples and with any cutting of the bytes."""

from hypothesis import given
from hypothesis import strategies as st

from tests.support.sse_parser import Parser, ServerEvent


def parse(*chunks: bytes) -> list[ServerEvent]:
    parser = Parser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def test_the_standards_examples() -> None:
    assert [event.text for event in parse(b"data: YHOO\ndata: +2\ndata: 10\n\n")] == ["YHOO\n+2\n10"]
    stream = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n"
    first, second = parse(stream)
    assert (first.text, first.last_event_id) == ("first event", "1")
    assert (second.text, second.id, second.last_event_id) == ("second event", "", "")
    assert [event.text for event in parse(b"data\n\ndata\ndata\n\ndata:")] == ["", "\n"]
    assert [event.text for event in parse(b"data:test\n\ndata: test\n\n")] == ["test", "test"]


def test_every_line_end_counts_once() -> None:
    assert [event.text for event in parse(b"\xef\xbb\xbfdata:a\r\n\r\ndata:b\r\rdata:c\n\n")] == ["a", "b", "c"]
    assert [event.text for event in parse(b"data:a\r", b"\ndata:b\r", b"\n\r", b"\n")] == ["a\nb"]


def test_a_bad_id_or_retry_is_passed_over_and_an_id_without_data_is_kept() -> None:
    parser = Parser()
    assert parser.feed(b"id: 7\n\nid: 8\0\nretry: 1s\ndata: x\n\n")[0].last_event_id == "7"
    assert parser.reconnection_ms is None
    assert parser.feed(b"retry: 250\nevent: bye\ndata: {}\n\n")[0] == ServerEvent("bye", "{}", None, "7", 250)


@given(st.lists(st.sampled_from(["data: é€😀", "id: 1", ": c", "event: x", "", "retry: 5"])), st.data())
def test_where_the_bytes_are_cut_does_not_matter(lines: list[str], data: st.DataObject) -> None:
    stream = "".join(line + data.draw(st.sampled_from(["\r\n", "\n", "\r"])) for line in lines).encode()
    assert parse(*[bytes([byte]) for byte in stream]) == parse(stream)
