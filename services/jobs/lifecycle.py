"""The life of a job: one table of who may bring it from where to where, and the rules that read it; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from services.errors import Conflict, DomainError, GigNotOpen
from services.jobs.schemas import JobStatus
from services.schemas import Person, Role
from services.times import to_rfc3339

Status = JobStatus | Literal["deleted"]
Actor = Literal["client", "owner", "freelancer", "hired freelancer", "hub"]
JobAction = Literal[
    "post", "hire", "take", "accept", "submit", "ask for changes", "complete", "cancel", "expire", "delete"
]
# What must hold beside the status and the party.
Precondition = Literal["instant accept", "delivery over", "review over", "expiry passed"]


@dataclass(frozen=True, slots=True)
class Transition:
    """One way a job may go; `what` else happens in the same transaction."""

    source: Status | None
    target: Status
    by: Actor
    act: JobAction
    what: str
    need: Precondition | None = None


_TAKE: Final = "a hire at the budget, with a bid row, by the same code; then `job_accepted`; others get `GIG_NOT_OPEN`"

TRANSITIONS: Final[Sequence[Transition]] = (
    Transition(None, "open", "client", "post", "budget held"),
    Transition("open", "assigned", "owner", "hire", "other bids rejected; the hold becomes the price"),
    Transition("open", "in_progress", "freelancer", "take", _TAKE, need="instant accept"),
    Transition("assigned", "in_progress", "hired freelancer", "accept", "`job_accepted`"),
    Transition("in_progress", "submitted", "hired freelancer", "submit", "the review begins"),
    Transition("submitted", "in_progress", "owner", "ask for changes", "with `note`"),
    Transition("submitted", "completed", "owner", "complete", "freelancer paid"),
    Transition("submitted", "completed", "hub", "complete", "freelancer paid", need="review over"),
    Transition("open", "cancelled", "owner", "cancel", "refund; pending bids rejected"),
    Transition("assigned", "cancelled", "owner", "cancel", "refund"),
    Transition("assigned", "cancelled", "hired freelancer", "cancel", "refund"),
    Transition("in_progress", "cancelled", "hired freelancer", "cancel", "refund"),
    Transition("in_progress", "cancelled", "owner", "cancel", "refund", need="delivery over"),
    Transition("submitted", "cancelled", "hired freelancer", "cancel", "refund"),
    Transition("open", "expired", "hub", "expire", "refund; pending bids rejected", need="expiry passed"),
    Transition("open", "deleted", "owner", "delete", "refund; pending bids rejected; gone from every list"),
)

# What is asked for by naming the state to go to; the others are requests of their own, or the hub's.
REQUESTABLE: Final[frozenset[JobAction]] = frozenset(
    {"take", "accept", "submit", "ask for changes", "complete", "cancel"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long, in ms, the owner has for the review, and the hired freelancer for the work."""

    review_ms: int
    delivery_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """Where a job stands. `held` and `budget` are minor units, times are ms; at `due_at` the hub acts by itself."""

    id: str
    title: str
    budget: int
    currency: str
    status: Status
    held: int
    owner: Person
    freelancer: Person | None = None
    hired_bid_id: str | None = None
    instant_accept: bool = False
    accepted_at: int | None = None
    due_at: int | None = None

    @property
    def hired_freelancer(self) -> Person:
        """The hired freelancer, whom every job has that is at work or completed."""
        assert self.freelancer is not None
        return self.freelancer


def actor_of(job: JobState, *, user_id: str, role: Role) -> Actor | None:
    """What somebody is to a job; None is nothing at all."""
    if user_id == job.owner.id:
        return "owner"
    if job.freelancer is not None and user_id == job.freelancer.id:
        return "hired freelancer"
    return "freelancer" if role == "freelancer" else None


def requested_transition(
    job: JobState, *, target: JobStatus, by: Actor | None, terms: Deadlines, now: int
) -> Transition:
    """The move of somebody who names the state to go to.

    Raises GigNotOpen for a freelancer who is too late for a job to be had at once, and Conflict.
    """
    for move in TRANSITIONS:
        if (move.source, move.target, move.by) == (job.status, target, by) and move.act in REQUESTABLE:
            break
    else:
        raise _refusal(job, target, by)
    if move.need == "instant accept" and not job.instant_accept:
        raise Conflict("This job is not to be had at once: bid on it.", status=job.status)
    if move.need == "delivery over" and now < (ends := (job.accepted_at or 0) + terms.delivery_ms):
        raise Conflict(
            f"The freelancer has until {to_rfc3339(ends)} to deliver; then you can cancel.", status=job.status
        )
    return move


def too_late(status: Status, hired_bid_id: str | None) -> DomainError:
    """Why an open job cannot be had, once somebody was faster: to have it, to end it, or to change it."""
    if status == "open":
        return Conflict("This job has changed just now: look at it again.", status=status)
    return GigNotOpen(status, hired_bid_id)


def due_transition(job: JobState, *, now: int) -> Transition | None:
    """The move that the hub makes by itself by now."""
    if job.due_at is None or job.due_at > now:
        return None
    return next((move for move in TRANSITIONS if move.by == "hub" and move.source == job.status), None)


def _refusal(job: JobState, target: JobStatus, by: Actor | None) -> DomainError:
    if by == "freelancer" and target == "in_progress" and job.instant_accept:
        return GigNotOpen(job.status, job.hired_bid_id)
    return Conflict(f"You cannot bring a job from {job.status} to {target}.", status=job.status)
