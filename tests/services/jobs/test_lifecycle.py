"""The table of a job's life: every status × target × party either moves or is refused with the right code."""

from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from services.errors import Conflict, DomainError, GigNotOpen
from services.jobs import lifecycle
from services.jobs.lifecycle import TRANSITIONS, Actor, Deadlines, JobState, Status, Transition
from services.jobs.schemas import JobStatus
from services.schemas import Person

NOW = 1_000_000
TERMS = Deadlines(review_ms=7, delivery_ms=100)
README = Path(__file__).parents[3] / "README.md"

STATUSES: tuple[Status, ...] = (*get_args(JobStatus), "deleted")
TARGETS: tuple[JobStatus, ...] = get_args(JobStatus)
WHO: tuple[Actor | None, ...] = ("owner", "hired freelancer", "freelancer", None)

# The contract's table once more, by hand and by letter: from, to, who. What takes time has its conditions below.
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
ALLOWED_AT_ONCE = ("open", "in_progress", "freelancer")
ALLOWED_LATE = ("in_progress", "cancelled", "owner")


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


def outcome(standing: JobState, target: JobStatus, by: Actor | None) -> Transition | DomainError:
    try:
        return lifecycle.requested_transition(standing, target=target, actor=by, deadlines=TERMS, now=NOW)
    except DomainError as error:
        return error


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("instant", [False, True])
@pytest.mark.parametrize(("status", "target", "by"), list(product(STATUSES, TARGETS, WHO)))
def test_each_party_can_do_what_the_table_says_and_nothing_else(
    status: Status, target: JobStatus, by: Actor | None, instant: bool, late: bool
) -> None:
    accepted_at = NOW - TERMS.delivery_ms + (0 if late else 1)
    found, asked = outcome(job(status, instant=instant, accepted_at=accepted_at), target, by), (status, target, by)
    if asked in ALLOWED or (instant and asked == ALLOWED_AT_ONCE) or (late and asked == ALLOWED_LATE):
        assert isinstance(found, Transition)
        assert (found.source, found.target, found.actor) == asked
    elif instant and by == "freelancer" and target == "in_progress":
        assert isinstance(found, GigNotOpen)
        assert found.details == {"currentStatus": status, "hiredBidId": "b"}
    else:
        assert isinstance(found, Conflict)
        assert found.details == {"currentStatus": status}


@pytest.mark.parametrize("status", STATUSES)
def test_the_hub_ends_what_is_open_or_submitted_when_it_is_due_and_not_before(status: Status) -> None:
    acts = {"open": "expire", "submitted": "complete"}
    assert lifecycle.due_transition(job(status, due_at=None), now=NOW) is None
    assert lifecycle.due_transition(job(status, due_at=NOW + 1), now=NOW) is None
    found = lifecycle.due_transition(job(status, due_at=NOW), now=NOW)
    assert (found.action if found else None) == acts.get(status)


def test_an_owner_is_the_owner_whatever_their_role_and_a_hired_freelancer_is_theirs() -> None:
    assert lifecycle.actor_of(job("open"), user_id="o", role="freelancer") == "owner"
    assert lifecycle.actor_of(job("open"), user_id="f", role="client") == "hired freelancer"
    assert lifecycle.actor_of(job("open"), user_id="x", role="freelancer") == "freelancer"
    assert lifecycle.actor_of(job("open"), user_id="x", role="client") is None
    assert lifecycle.actor_of(job("open"), user_id="x", role="admin") is None


def test_no_two_moves_answer_the_same_question() -> None:
    assert len({(move.source, move.target, move.actor) for move in TRANSITIONS}) == len(TRANSITIONS)


# The README

NEEDS: dict[lifecycle.Precondition | None, str] = {
    None: "",
    "instant accept": ", the first who asks, where the job has `instantAccept`",
    "delivery over": ", `HUB_DELIVERY_DAYS` after acceptance",
    "review over": ", after `HUB_REVIEW_DAYS` (0: at once)",
    "expiry passed": ", within 5 s of `expiresAt`",
}


def rows() -> list[str]:
    """The table of moves, in Markdown."""
    made = ["| from → to | by | what else happens |", "|---|---|---|"]
    for move in TRANSITIONS:
        source = "–" if move.source is None else f"`{move.source}`"
        how = ", by the hire" if move.action == "hire" else NEEDS[move.precondition]
        made.append(f"| {source} → `{move.target}` | {move.actor}{how} | {move.effect} |")
    return made


def test_the_readme_has_the_table_of_moves() -> None:
    missing = [row for row in rows() if row not in README.read_text()]
    assert not missing, "the README lacks:\n" + "\n".join(missing)
