"""Presence: status from streams, input and time, and the changes that are published."""

from hypothesis import given
from hypothesis import strategies as st

from realtime.presence import IDLE_SECONDS, OFFLINE_SECONDS, PresenceTracker

ANN = "ann"


def take(presence: PresenceTracker, now: float, limit: int = 1_000) -> list[tuple[str, str]]:
    return [(user_id, status) for user_id, status, _ in presence.take_changes(now, limit)]


def test_status_is_online_then_idle_without_input_then_offline() -> None:
    presence = PresenceTracker()
    presence.connected(ANN, 0)
    assert take(presence, 1) == [(ANN, "online")]
    assert take(presence, IDLE_SECONDS - 1) == []
    assert take(presence, IDLE_SECONDS) == [(ANN, "idle")]
    presence.input_received(ANN, 400)
    assert take(presence, 400) == [(ANN, "online")]
    presence.disconnected(ANN, 500)
    assert take(presence, 500 + OFFLINE_SECONDS - 1) == []
    assert take(presence, 500 + OFFLINE_SECONDS) == [(ANN, "offline")]
    assert (presence.status(ANN, 600), len(presence)) == ("offline", 0)


def test_reload_changes_no_status_and_is_no_input() -> None:
    presence = PresenceTracker()
    presence.connected(ANN, 0)
    take(presence, 0)
    for now in range(10, 290, 20):
        presence.disconnected(ANN, now)
        presence.connected(ANN, now + 5)
    assert take(presence, 299) == []
    assert take(presence, IDLE_SECONDS) == [(ANN, "idle")]
    presence.disconnected(ANN, 301)
    presence.connected(ANN, 302)
    assert take(presence, 400) == []
    assert presence.status(ANN, 400) == "idle"


def test_status_becomes_idle_between_disconnect_and_offline() -> None:
    presence = PresenceTracker()
    presence.connected(ANN, 0)
    take(presence, 0)
    presence.disconnected(ANN, IDLE_SECONDS - 10)
    assert take(presence, IDLE_SECONDS) == [(ANN, "idle")]
    assert take(presence, IDLE_SECONDS - 10 + OFFLINE_SECONDS) == [(ANN, "offline")]


def test_connection_that_ended_before_publication_is_not_published() -> None:
    presence = PresenceTracker()
    presence.connected(ANN, 0)
    presence.disconnected(ANN, 1)
    assert take(presence, 1 + OFFLINE_SECONDS) == []
    assert len(presence) == 0


def test_reconnect_storm_is_published_in_batches_once_per_user() -> None:
    presence = PresenceTracker()
    for second in range(3):
        for n in range(1_000):
            presence.connected(str(n), second)
            presence.disconnected(str(n), second)
            presence.connected(str(n), second)
    batches = []
    while batch := take(presence, 5, limit=50):
        batches.append(batch)
    assert [len(batch) for batch in batches] == [50] * 20
    assert sorted(user_id for batch in batches for user_id, _ in batch) == sorted(str(n) for n in range(1_000))


def test_input_of_a_user_without_stream_is_ignored() -> None:
    presence = PresenceTracker()
    presence.input_received(ANN, 0)
    assert (len(presence), presence.last_input_at(ANN)) == (0, None)


class Model:
    """The reference model: the history of one user, and their status at any time."""

    def __init__(self) -> None:
        self.input_at: float | None = None
        self.disconnected_at: float | None = None

    def status(self, now: float) -> str:
        if self.input_at is None or (
            self.disconnected_at is not None and now >= self.disconnected_at + OFFLINE_SECONDS
        ):
            return "offline"
        return "online" if now < self.input_at + IDLE_SECONDS else "idle"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["connect", "disconnect", "input", "wait"]), st.sampled_from([0, 1, 30, 59, 60, 61, 299, 300])
    ),
    max_size=40,
)


@given(STEPS)
def test_published_status_agrees_with_the_model(steps: list[tuple[str, int]]) -> None:
    presence, model, now, published = PresenceTracker(), Model(), 0.0, "offline"
    for step, seconds in steps:
        now += seconds
        published = next((status for _, status in take(presence, now)), published)
        assert published == presence.status(ANN, now) == model.status(now)
        if step == "connect":
            model.input_at = now if model.status(now) == "offline" else model.input_at
            model.disconnected_at = None
            presence.connected(ANN, now)
        elif step == "disconnect" and model.input_at is not None and model.disconnected_at is None:
            model.disconnected_at = now
            presence.disconnected(ANN, now)
        elif step == "input" and model.status(now) != "offline":
            model.input_at = now
            presence.input_received(ANN, now)
