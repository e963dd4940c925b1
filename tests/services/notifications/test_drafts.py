"""Validation of notification drafts: texts, links, data and actions."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services import text as services_text
from services.errors import InvalidField
from services.notifications.draft import Action, NotificationDraft

CONTROLS = [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))]


def new_draft(**fields: Any) -> NotificationDraft:
    return NotificationDraft(**{"type": "t", "category": "system", "title": "T", "body": "B", **fields})


def rejection(**fields: Any) -> tuple[str, str]:
    with pytest.raises(InvalidField) as error:
        new_draft(**fields)
    return error.value.details["pointer"], error.value.details["reason"]


@pytest.mark.parametrize("field", ["type", "title", "icon", "collapse_key"])
def test_single_line_fields_reject_all_control_characters(field: str) -> None:
    for control in CONTROLS:
        assert rejection(**{field: f"a{control}b"})[1] == "control character"


def test_body_keeps_line_breaks_and_tabs_and_rejects_other_controls() -> None:
    assert new_draft(body="a\r\nb\n\tc").body == "a\r\nb\n\tc"
    for control in set(CONTROLS) - set("\r\n\t"):
        assert rejection(body=f"a{control}") == ("/body", "control character")


def test_lone_surrogates_are_rejected_in_every_field() -> None:
    surrogate = "\ud83d"
    for fields in (
        {"title": surrogate},
        {"body": surrogate},
        {"icon": surrogate},
        {"url": f"/{surrogate}"},
        {"collapse_key": surrogate},
    ):
        assert rejection(**fields)[1] == "lone surrogate"
    assert rejection(data={"a": [{"b": surrogate}]}) == ("/data/a/0/b", "lone surrogate")
    assert rejection(data={"a": {surrogate: 1}}) == ("/data/a", "lone surrogate")
    assert new_draft(title="😀", data={"😀": "😀"}).title == "😀"


def test_lengths_are_counted_in_characters() -> None:
    for field, max_length in (("title", 200), ("body", 2_000), ("icon", 16), ("collapse_key", 64), ("type", 64)):
        assert new_draft(**{field: "😀" * max_length})
        assert rejection(**{field: "😀" * (max_length + 1)})[1] == "length"
        assert rejection(**{field: ""})[1] == "length"
    assert new_draft(url="/" + "a" * 499)
    assert rejection(url="/" + "a" * 500) == ("/url", "length")


@pytest.mark.parametrize(
    "url",
    ["/", "/jobs/1?a=b#c", "/a//b", "/ä", "https://example.org", "https://example.org:8443/a?b#c", "https://[::1]/"],
)
def test_same_origin_paths_and_https_links_are_accepted(url: str) -> None:
    assert new_draft(url=url).url == url


@pytest.mark.parametrize(
    "url",
    [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/a b",
        " /a",
        "a",
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "java\tscript:alert(1)",
        "data:text/html,x",
        "http://example.org",
        "https:example.org",
        "https:/example.org",
        "https:///example.org",
        "https://",
        "https://user@example.org",
        "https://example.org@evil.example",
        "https://example.org\\@evil.example",
        "https://example.org:port/",
        "https://[::1",
        "\x00https://example.org",
        "https://exa\x85mple.org",
        "?a",
        "#a",
    ],
)
def test_other_links_are_rejected_as_unsafe(url: str) -> None:
    assert rejection(url=url) == ("/url", "unsafe link")
    assert rejection(actions=[Action(id="a", label="A", url=url)]) == ("/actions/0/url", "unsafe link")


def test_data_is_limited_to_8_kib_and_in_depth() -> None:
    assert new_draft(data={"a": "x" * (8 * 1024 - 8)})
    assert rejection(data={"a": "x" * (8 * 1024 - 7)}) == ("/data", "length")
    assert rejection(data={"a": "ä" * 4_093}) == ("/data", "length")
    nested: Any = 1
    for _ in range(services_text.MAX_DEPTH - 1):
        nested = [nested]
    assert new_draft(data={"a": nested})
    assert rejection(data={"a": [nested]})[1] == "range"


@pytest.mark.parametrize(
    ("value", "reason"),
    [(2**63, "range"), (float("nan"), "range"), (float("inf"), "range"), ({1: 2}, "type"), (b"x", "type")],
    ids=["64-bit overflow", "NaN", "infinity", "non-string key", "bytes"],
)
def test_data_that_is_not_json_is_rejected(value: Any, reason: str) -> None:
    assert rejection(data={"a": value})[1] == reason


def test_draft_has_at_most_two_actions_with_different_ids() -> None:
    yes, no = Action(id="yes", label="Yes"), Action(id="no", label="No")
    assert new_draft(actions=[yes, no])
    assert rejection(actions=[yes, no, Action(id="x", label="X")]) == ("/actions", "length")
    assert rejection(actions=[yes, yes])[0] == "/actions/1/id"
    assert rejection(actions=[yes, Action(id="a/b", label="X")]) == ("/actions/1/id", "type")
    assert rejection(actions=[Action(id="a", label="x" * 41)]) == ("/actions/0/label", "length")


def test_errors_have_a_pointer_into_the_request() -> None:
    assert rejection(title="a\n", pointer="/7") == ("/7/title", "control character")


@given(st.text())
def test_accepted_text_can_be_encoded(text: str) -> None:
    try:
        services_text.check_multiline(text, "/body", 100)
    except InvalidField:
        return
    text.encode()
