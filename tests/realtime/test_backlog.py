"""The backlog: a bounded ring buffer of the newest events of all channels."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.backlog import Backlog
from realtime.event import Event

CHANNELS = ("a", "b", "c")


def durable(position: int, channel: str = "a", data: bytes = b"{}") -> Event:
    return Event.durable(channel, "x", data, position, "e")


STEPS = st.lists(
    st.tuples(st.just("append"), st.sampled_from(CHANNELS), st.integers(1, 3))
    | st.tuples(st.just("forget"), st.just("a"), st.integers(1, 300)),
    max_size=700,
)


@settings(deadline=None)
@given(STEPS, st.integers(1, 400), st.lists(st.sampled_from(CHANNELS), unique=True))
def test_backlog_agrees_with_a_plain_list(steps: list[tuple[str, str, int]], size: int, channels: list[str]) -> None:
    backlog = Backlog(max_events=size)
    appended: list[Event] = []
    forgotten: set[int] = set()
    position = 0
    for action, channel, number in steps:
        if action == "append":
            position += number
            appended.append(durable(position, channel))
            backlog.append(appended[-1])
        else:
            backlog.forget([number])
            forgotten.add(number) if number <= position else None
    positions = [event.position or 0 for event in appended]
    assert backlog.floor == (positions[-size - 1] if len(positions) > size else 0)
    for start in {backlog.floor, (backlog.floor + position) // 2, position}:
        expected = [
            event
            for event in appended
            if event.channel in channels and (event.position or 0) > start and event.position not in forgotten
        ]
        assert backlog.after(channels, start) == expected
        assert backlog.after(channels, start, 3) == expected[:3]
        assert backlog.count(channels, start) == len(expected)


def test_backlog_is_bounded_by_bytes() -> None:
    backlog = Backlog(max_events=1_000, max_bytes=10_000)
    for position in range(1, 11):
        backlog.append(durable(position, data=b"x" * 1_000))
    assert 1 <= len(backlog) <= 4
    assert backlog.after(["a"], backlog.floor)[-1].position == 10
    assert not backlog.covers(backlog.floor - 1)


def test_backlog_forget_frees_bytes_and_keeps_the_floor() -> None:
    backlog = Backlog(max_events=1_000, max_bytes=10_000)
    for position in range(1, 101):
        backlog.append(durable(position, data=b"x" * 1_000))
        backlog.forget([position])
    assert backlog.floor == 0
    assert len(backlog) == 0


def test_backlog_is_seeded_from_the_log() -> None:
    backlog = Backlog()
    backlog.seed([durable(11), durable(12, "b")], 10)
    assert backlog.covers(10)
    assert not backlog.covers(9)
    assert [event.position for event in backlog.after(["a", "b"], 10)] == [11, 12]
    assert (backlog.last_position("a"), backlog.last_position("b"), backlog.last_position("c")) == (11, 12, 0)


def test_backlog_rejects_events_out_of_order() -> None:
    backlog = Backlog()
    backlog.append(durable(5))
    for event in (durable(5), durable(4), Event.ephemeral("a", "x", b"{}")):
        with pytest.raises(ValueError, match="in order"):
            backlog.append(event)
