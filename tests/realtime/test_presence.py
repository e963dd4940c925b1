"""Presence as a function of streams, input and time; and what is told of it, however much happens."""

from hypothesis import given
from hypothesis import strategies as st

from realtime.presence import IDLE_SECONDS, OFFLINE_SECONDS, PresenceTracker

ANN = "ann"


def told(presence: PresenceTracker, now: float, limit: int = 1_000) -> list[tuple[str, str]]:
    return [(user_id, status) for user_id, status, _ in presence.take_changes(now, limit)]


def test_online_then_idle_without_input_then_offline_without_a_stream() -> None:
    presence = PresenceTracker()
    presence.connected(ANN, 0)
    assert told(presence, 1) == [(ANN, "online")]
    assert told(presence, IDLE_SECONDS - 1) == []
    assert told(presence, IDLE_SECONDS) == [(ANN, "idle")]
    presence.input_received(ANN, 400)
    assert told(presence, 400) == [(ANN, "online")]
    presence.disconnected(ANN, 500)
    assert told(presence, 500 + OFFLINE_SECONDS - 1) == []
    assert told(presence, 500 + OFFLINE_SECONDS) == [(ANN, "offline")]
    assert (presence.status(ANN, 600), len(presence)) == ("offline", 0)


def test_a_reload_is_not_an_absence_and_not_input() -> None:
    presence = PresenceTracker()
    presence.connected(ANN, 0)
    told(presence, 0)
    for at in range(10, 290, 20):
        presence.disconnected(ANN, at)
        presence.connected(ANN, at + 5)
    assert told(presence, 299) == []
    assert told(presence, IDLE_SECONDS) == [(ANN, "idle")]
    presence.disconnected(ANN, 301)
    presence.connected(ANN, 302)
    assert told(presence, 400) == []
    assert presence.status(ANN, 400) == "idle"


def test_idle_is_noticed_between_leaving_and_being_gone() -> None:
    presence = PresenceTracker()
    presence.connected(ANN, 0)
    told(presence, 0)
    presence.disconnected(ANN, IDLE_SECONDS - 10)
    assert told(presence, IDLE_SECONDS) == [(ANN, "idle")]
    assert told(presence, IDLE_SECONDS - 10 + OFFLINE_SECONDS) == [(ANN, "offline")]


def test_who_came_and_went_before_anybody_was_told_is_not_told() -> None:
    presence = PresenceTracker()
    presence.connected(ANN, 0)
    presence.disconnected(ANN, 1)
    assert told(presence, 1 + OFFLINE_SECONDS) == []
    assert len(presence) == 0


def test_a_storm_is_told_in_lots_each_user_once() -> None:
    presence = PresenceTracker()
    for turn in range(3):
        for n in range(1_000):
            presence.connected(str(n), turn)
            presence.disconnected(str(n), turn)
            presence.connected(str(n), turn)
    lots = []
    while lot := told(presence, 5, limit=50):
        lots.append(lot)
    assert [len(lot) for lot in lots] == [50] * 20
    assert sorted(user_id for lot in lots for user_id, _ in lot) == sorted(str(n) for n in range(1_000))


def test_input_of_who_has_no_stream_is_not_kept() -> None:
    presence = PresenceTracker()
    presence.input_received(ANN, 0)
    assert (len(presence), presence.last_input_at(ANN)) == (0, None)


class Slow:
    """The same by definition: what happened to one user, and how they are at any time."""

    def __init__(self) -> None:
        self.input: float | None = None
        self.left: float | None = None

    def status(self, now: float) -> str:
        if self.input is None or (self.left is not None and now >= self.left + OFFLINE_SECONDS):
            return "offline"
        return "online" if now < self.input + IDLE_SECONDS else "idle"


STEPS = st.lists(
    st.tuples(st.sampled_from(["came", "left", "active", "look"]), st.sampled_from([0, 1, 30, 59, 60, 61, 299, 300])),
    max_size=40,
)


@given(STEPS)
def test_who_listens_always_knows_how_somebody_is(steps: list[tuple[str, int]]) -> None:
    presence, slow, now, heard = PresenceTracker(), Slow(), 0.0, "offline"
    for step, later in steps:
        now += later
        heard = next((status for _, status in told(presence, now)), heard)
        assert heard == presence.status(ANN, now) == slow.status(now)
        if step == "came":
            slow.input = now if slow.status(now) == "offline" else slow.input
            slow.left = None
            presence.connected(ANN, now)
        elif step == "left" and slow.input is not None and slow.left is None:
            slow.left = now
            presence.disconnected(ANN, now)
        elif step == "active" and slow.status(now) != "offline":
            slow.input = now
            presence.input_received(ANN, now)
