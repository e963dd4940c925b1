"""Cursors: exactly one spelling each, every other text is rejected."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.cursor import MAX_POSITION, Cursor

EPOCHS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=16)


@settings(deadline=None)
@given(EPOCHS, st.integers(0, MAX_POSITION))
def test_cursor_is_unchanged_after_formatting_and_parsing(epoch: str, position: int) -> None:
    cursor = Cursor(epoch, position)
    assert Cursor.parse(str(cursor)) == cursor
    assert len(str(cursor)) <= 40


@settings(deadline=None)
@given(st.text(max_size=45) | st.from_regex(r"[a-z0-9]{0,18}\.?[+-]?[0-9_]{0,21}\n?"))
def test_cursor_accepts_exactly_the_text_that_it_formats(text: str) -> None:
    try:
        cursor = Cursor.parse(text)
    except ValueError:
        return
    assert str(cursor) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "e.",
        ".1",
        "e1",
        "e.01",
        "e.-1",
        "e.+1",
        "e.1 ",
        " e.1",
        "e.1\n",
        "E.1",
        "e.1.2",
        "e.1_0",
        "e.٣",
        "é.1",
        "e" * 17 + ".1",
        f"e.{2**63}",
        "e." + "9" * 40,
        "0",
    ],
)
def test_cursor_rejects_malformed_text(text: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        Cursor.parse(text)
