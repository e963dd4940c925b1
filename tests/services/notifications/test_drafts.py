"""Words, links and data that a notification may hold, and those it may not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services import text as services_text
from services.errors import InvalidField
from services.notifications.draft import Action, NotificationDraft

CONTROLS = [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))]


def letter(**more: Any) -> NotificationDraft:
    return NotificationDraft(**{"type": "t", "category": "system", "title": "T", "body": "B", **more})


def refusal(**more: Any) -> tuple[str, str]:
    with pytest.raises(InvalidField) as refused:
        letter(**more)
    return refused.value.details["pointer"], refused.value.details["reason"]


@pytest.mark.parametrize("field", ["type", "title", "icon", "collapse_key"])
def test_one_line_texts_refuse_every_control_character(field: str) -> None:
    for control in CONTROLS:
        assert refusal(**{field: f"a{control}b"})[1] == "control character"


def test_long_texts_keep_breaks_and_tabs_and_refuse_the_others() -> None:
    assert letter(body="a\r\nb\n\tc").body == "a\r\nb\n\tc"
    for control in set(CONTROLS) - set("\r\n\t"):
        assert refusal(body=f"a{control}") == ("/body", "control character")


def test_half_a_character_is_refused_wherever_it_hides() -> None:
    half = "\ud83d"
    for more in ({"title": half}, {"body": half}, {"icon": half}, {"url": f"/{half}"}, {"collapse_key": half}):
        assert refusal(**more)[1] == "lone surrogate"
    assert refusal(data={"a": [{"b": half}]}) == ("/data/a/0/b", "lone surrogate")
    assert refusal(data={"a": {half: 1}}) == ("/data/a", "lone surrogate")
    assert letter(title="😀", data={"😀": "😀"}).title == "😀"


def test_lengths_are_in_characters() -> None:
    for field, most in (("title", 200), ("body", 2_000), ("icon", 16), ("collapse_key", 64), ("type", 64)):
        assert letter(**{field: "😀" * most})
        assert refusal(**{field: "😀" * (most + 1)})[1] == "length"
        assert refusal(**{field: ""})[1] == "length"
    assert letter(url="/" + "a" * 499)
    assert refusal(url="/" + "a" * 500) == ("/url", "length")


@pytest.mark.parametrize(
    "url",
    ["/", "/jobs/1?a=b#c", "/a//b", "/ä", "https://example.org", "https://example.org:8443/a?b#c", "https://[::1]/"],
)
def test_paths_of_our_origin_and_https_addresses_are_safe(url: str) -> None:
    assert letter(url=url).url == url


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
def test_other_links_are_unsafe(url: str) -> None:
    assert refusal(url=url) == ("/url", "unsafe link")
    assert refusal(actions=[Action(id="a", label="A", url=url)]) == ("/actions/0/url", "unsafe link")


def test_data_is_at_most_8_kib_of_json_and_bounded_in_depth() -> None:
    assert letter(data={"a": "x" * (8 * 1024 - 8)})
    assert refusal(data={"a": "x" * (8 * 1024 - 7)}) == ("/data", "length")
    assert refusal(data={"a": "ä" * 4_093}) == ("/data", "length")
    deep: Any = 1
    for _ in range(services_text.DEPTH - 1):
        deep = [deep]
    assert letter(data={"a": deep})
    assert refusal(data={"a": [deep]})[1] == "range"


@pytest.mark.parametrize(
    ("value", "reason"),
    [(2**63, "range"), (float("nan"), "range"), (float("inf"), "range"), ({1: 2}, "type"), (b"x", "type")],
)
def test_data_that_is_not_json_is_refused(value: Any, reason: str) -> None:
    assert refusal(data={"a": value})[1] == reason


def test_at_most_two_actions_each_with_an_id_of_its_own() -> None:
    yes, no = Action(id="yes", label="Yes"), Action(id="no", label="No")
    assert letter(actions=[yes, no])
    assert refusal(actions=[yes, no, Action(id="x", label="X")]) == ("/actions", "length")
    assert refusal(actions=[yes, yes])[0] == "/actions/1/id"
    assert refusal(actions=[yes, Action(id="a/b", label="X")]) == ("/actions/1/id", "type")
    assert refusal(actions=[Action(id="a", label="x" * 41)]) == ("/actions/0/label", "length")


def test_errors_point_into_what_was_asked() -> None:
    assert refusal(title="a\n", pointer="/7") == ("/7/title", "control character")


@given(st.text())
def test_a_text_is_refused_or_can_be_told(text: str) -> None:
    try:
        services_text.check_multiline(text, "/body", 100)
    except InvalidField:
        return
    text.encode()
