"""The job state machine: every status, target and actor has a transition or a documented error."""

from itertools import product
from typing import get_args

import pytest

from services.errors import Conflict, DomainError, GigNotOpen
from services.jobs import lifecycle
from services.jobs.lifecycle import TRANSITIONS, Actor, Deadlines, JobState, Status, Transition
from services.jobs.schemas import JobStatus
from services.schemas import Person

NOW = 1_000_000
DEADLINES = Deadlines(review_ms=7, delivery_ms=100)

STATUSES: tuple[Status, ...] = (*get_args(JobStatus), "deleted")
TARGETS: tuple[JobStatus, ...] = get_args(JobStatus)
ACTORS: tuple[Actor | None, ...] = ("owner", "hired freelancer", "freelancer", None)

# The published table of transitions, written by hand: from, to, actor. Those with a precondition follow below.
ALLOWED = {
    ("assigned", "in_progress", "hired freelancer"),
    ("in_progress", "submitted", "hired freelancer"),
    ("submitted", "in_progress", "owner"),
    ("submitted", "completed", "owner"),
    ("open", "cancelled", "owner"),
    ("assigned", "cancelled", "owner"),
    ("assigned", "cancelled", "hired freelancer"),
    ("in_progress", "cancelled", "hired freelancer"),
    ("submitted", "cancelled", "hired freelancer"),
}
ALLOWED_WITH_INSTANT_ACCEPT = ("open", "in_progress", "freelancer")
ALLOWED_AFTER_DELIVERY_TIME = ("in_progress", "cancelled", "owner")


def job(
    status: Status, *, instant: bool = False, accepted_at: int | None = None, due_at: int | None = None
) -> JobState:
    return JobState(
        id="j",
        title="T",
        budget=5,
        currency="USD",
        status=status,
        held=5,
        owner=Person(id="o", name="O"),
        freelancer=Person(id="f", name="F"),
        hired_bid_id="b",
        instant_accept=instant,
        accepted_at=accepted_at,
        due_at=due_at,
    )


def outcome(state: JobState, target: JobStatus, actor: Actor | None) -> Transition | DomainError:
    try:
        return lifecycle.requested_transition(state, target=target, actor=actor, deadlines=DEADLINES, now=NOW)
    except DomainError as error:
        return error


@pytest.mark.parametrize("late", [False, True], ids=["in time", "late"])
@pytest.mark.parametrize("instant", [False, True], ids=["bids only", "instant"])
@pytest.mark.parametrize(("status", "target", "actor"), list(product(STATUSES, TARGETS, ACTORS)))
def test_each_actor_can_request_exactly_the_published_transitions(
    status: Status, target: JobStatus, actor: Actor | None, instant: bool, late: bool
) -> None:
    accepted_at = NOW - DEADLINES.delivery_ms + (0 if late else 1)
    request = (status, target, actor)
    found = outcome(job(status, instant=instant, accepted_at=accepted_at), target, actor)
    if (
        request in ALLOWED
        or (instant and request == ALLOWED_WITH_INSTANT_ACCEPT)
        or (late and request == ALLOWED_AFTER_DELIVERY_TIME)
    ):
        assert isinstance(found, Transition)
        assert (found.source, found.target, found.actor) == request
    elif instant and actor == "freelancer" and target == "in_progress":
        assert isinstance(found, GigNotOpen)
        assert found.details == {"currentStatus": status, "hiredBidId": "b"}
    else:
        assert isinstance(found, Conflict)
        assert found.details == {"currentStatus": status}


@pytest.mark.parametrize("status", STATUSES)
def test_hub_transitions_are_due_from_their_deadline_on(status: Status) -> None:
    actions = {"open": "expire", "submitted": "complete"}
    assert lifecycle.due_transition(job(status, due_at=None), now=NOW) is None
    assert lifecycle.due_transition(job(status, due_at=NOW + 1), now=NOW) is None
    found = lifecycle.due_transition(job(status, due_at=NOW), now=NOW)
    assert (found.action if found else None) == actions.get(status)


def test_actor_is_owner_or_hired_freelancer_before_the_role_counts() -> None:
    assert lifecycle.actor_of(job("open"), user_id="o", role="freelancer") == "owner"
    assert lifecycle.actor_of(job("open"), user_id="f", role="client") == "hired freelancer"
    assert lifecycle.actor_of(job("open"), user_id="x", role="freelancer") == "freelancer"
    assert lifecycle.actor_of(job("open"), user_id="x", role="client") is None
    assert lifecycle.actor_of(job("open"), user_id="x", role="admin") is None


def test_transitions_are_unique_per_source_target_and_actor() -> None:
    assert len({(transition.source, transition.target, transition.actor) for transition in TRANSITIONS}) == len(
        TRANSITIONS
    )
