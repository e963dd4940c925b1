"""The state machine of a job: one table of transitions and the rules that read it."""

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
    "post",
    "hire",
    "accept instantly",
    "accept",
    "submit",
    "request changes",
    "complete",
    "cancel",
    "expire",
    "delete",
]
# What must hold in addition to the status and the actor.
Precondition = Literal["instant accept", "delivery over", "review over", "expiry passed"]


@dataclass(frozen=True, slots=True)
class Transition:
    """A transition of a job. `effect` describes the other changes of the same transaction, for the documentation."""

    source: Status | None
    target: Status
    actor: Actor
    action: JobAction
    effect: str
    precondition: Precondition | None = None


_INSTANT_ACCEPT_EFFECT: Final = (
    "a hire at the budget, with a bid row, by the same code; then `job_accepted`; others get `GIG_NOT_OPEN`"
)

TRANSITIONS: Final[Sequence[Transition]] = (
    Transition(None, "open", "client", "post", "budget held"),
    Transition("open", "assigned", "owner", "hire", "other bids rejected; the hold becomes the price"),
    Transition("open", "in_progress", "freelancer", "accept instantly", _INSTANT_ACCEPT_EFFECT, "instant accept"),
    Transition("assigned", "in_progress", "hired freelancer", "accept", "`job_accepted`"),
    Transition("in_progress", "submitted", "hired freelancer", "submit", "the review begins"),
    Transition("submitted", "in_progress", "owner", "request changes", "with `note`"),
    Transition("submitted", "completed", "owner", "complete", "freelancer paid"),
    Transition("submitted", "completed", "hub", "complete", "freelancer paid", "review over"),
    Transition("open", "cancelled", "owner", "cancel", "refund; pending bids rejected"),
    Transition("assigned", "cancelled", "owner", "cancel", "refund"),
    Transition("assigned", "cancelled", "hired freelancer", "cancel", "refund"),
    Transition("in_progress", "cancelled", "hired freelancer", "cancel", "refund"),
    Transition("in_progress", "cancelled", "owner", "cancel", "refund", "delivery over"),
    Transition("submitted", "cancelled", "hired freelancer", "cancel", "refund"),
    Transition("open", "expired", "hub", "expire", "refund; pending bids rejected", "expiry passed"),
    Transition("open", "deleted", "owner", "delete", "refund; pending bids rejected; gone from every list"),
)

# The actions that a client requests by naming the target status. The others have their own route or belong to the hub.
REQUESTABLE: Final[frozenset[JobAction]] = frozenset(
    {"accept instantly", "accept", "submit", "request changes", "complete", "cancel"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """The time, in ms, that the owner has for a review, and the hired freelancer for the delivery."""

    review_ms: int
    delivery_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """The state of a job. `held` and `budget` are in minor units, times in ms; the hub acts at `due_at`."""

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
        """The hired freelancer of a job that is assigned, in progress, submitted or completed."""
        assert self.freelancer is not None
        return self.freelancer


def actor_of(job: JobState, *, user_id: str, role: Role) -> Actor | None:
    """Return the user's relation to a job; None if the user has none."""
    if user_id == job.owner.id:
        return "owner"
    if job.freelancer is not None and user_id == job.freelancer.id:
        return "hired freelancer"
    return "freelancer" if role == "freelancer" else None


def requested_transition(
    job: JobState, *, target: JobStatus, actor: Actor | None, deadlines: Deadlines, now: int
) -> Transition:
    """Return the transition that an actor requests by naming the target status.

    Raises GigNotOpen if the job allows instant acceptance and another freelancer was faster, and Conflict for any
    other transition that is not allowed.
    """
    for transition in TRANSITIONS:
        requested = (transition.source, transition.target, transition.actor) == (job.status, target, actor)
        if requested and transition.action in REQUESTABLE:
            break
    else:
        raise _not_allowed_error(job, target, actor)
    if transition.precondition == "instant accept" and not job.instant_accept:
        raise Conflict("This job does not allow instant acceptance; place a bid instead.", status=job.status)
    if transition.precondition == "delivery over":
        delivery_until = (job.accepted_at or 0) + deadlines.delivery_ms
        if now < delivery_until:
            message = f"The freelancer has until {to_rfc3339(delivery_until)} to deliver; then you can cancel."
            raise Conflict(message, status=job.status)
    return transition


def conflict_error(status: Status, hired_bid_id: str | None) -> DomainError:
    """Return the error for a request on an open job that another transaction changed first.

    `status` is the job's current status: if it is still open, its budget has changed.
    """
    if status == "open":
        return Conflict("This job has just been changed. Reload it and try again.", status=status)
    return GigNotOpen(status, hired_bid_id)


def due_transition(job: JobState, *, now: int) -> Transition | None:
    """Return the transition that the hub makes at the job's deadline; None if the deadline has not passed."""
    if job.due_at is None or job.due_at > now:
        return None
    due = (transition for transition in TRANSITIONS if transition.actor == "hub" and transition.source == job.status)
    return next(due, None)


def _not_allowed_error(job: JobState, target: JobStatus, actor: Actor | None) -> DomainError:
    if actor == "freelancer" and target == "in_progress" and job.instant_accept:
        return GigNotOpen(job.status, job.hired_bid_id)
    return Conflict(f"You cannot change this job's status from {job.status} to {target}.", status=job.status)
