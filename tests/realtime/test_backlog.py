"""The ring knows everything past its floor, and forgets in order."""

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
def test_it_agrees_with_a_plain_list(steps: list[tuple[str, str, int]], size: int, asked: list[str]) -> None:
    ring = Backlog(max_events=size)
    told: list[Event] = []
    forgotten: set[int] = set()
    position = 0
    for act, channel, number in steps:
        if act == "append":
            position += number
            told.append(durable(position, channel))
            ring.append(told[-1])
        else:
            ring.forget([number])
            forgotten.add(number) if number <= position else None
    positions = [event.position or 0 for event in told]
    assert ring.floor == (positions[-size - 1] if len(positions) > size else 0)
    for start in {ring.floor, (ring.floor + position) // 2, position}:
        expected = [
            event
            for event in told
            if event.channel in asked and (event.position or 0) > start and event.position not in forgotten
        ]
        assert ring.after(asked, start) == expected
        assert ring.after(asked, start, 3) == expected[:3]
        assert ring.count(asked, start) == len(expected)


def test_it_is_bounded_by_bytes_too() -> None:
    ring = Backlog(max_events=1_000, max_bytes=10_000)
    for position in range(1, 11):
        ring.append(durable(position, data=b"x" * 1_000))
    assert 1 <= len(ring) <= 4
    assert ring.after(["a"], ring.floor)[-1].position == 10
    assert not ring.covers(ring.floor - 1)


def test_forgetting_frees_bytes_and_keeps_the_floor() -> None:
    ring = Backlog(max_events=1_000, max_bytes=10_000)
    for position in range(1, 101):
        ring.append(durable(position, data=b"x" * 1_000))
        ring.forget([position])
    assert ring.floor == 0
    assert len(ring) == 0


def test_it_starts_from_the_log() -> None:
    ring = Backlog()
    ring.seed([durable(11), durable(12, "b")], 10)
    assert ring.covers(10)
    assert not ring.covers(9)
    assert [event.position for event in ring.after(["a", "b"], 10)] == [11, 12]
    assert (ring.last_position("a"), ring.last_position("b"), ring.last_position("c")) == (11, 12, 0)


def test_events_out_of_order_are_refused() -> None:
    ring = Backlog()
    ring.append(durable(5))
    for wrong in (durable(5), durable(4), Event.ephemeral("a", "x", b"{}")):
        with pytest.raises(ValueError, match="in order"):
            ring.append(wrong)
