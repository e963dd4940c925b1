"""Status changes that users request: accept, submit, request changes, complete and cancel."""

from dataclasses import replace

from sqlalchemy import Connection

from services.errors import InvalidField
from services.jobs import bidding, closing, events, hiring, lifecycle, notification_drafts, transitions
from services.jobs.lifecycle import Deadlines, JobAction, JobState
from services.jobs.schemas import Job, JobStatus
from services.jobs.transitions import TransitionResult
from services.notifications import inbox
from services.payments import wallet
from services.schemas import Person, Role


def change_status(
    tx: Connection,
    *,
    job_id: str,
    user: Person,
    role: Role,
    target: JobStatus,
    note: str | None = None,
    deadlines: Deadlines,
    now: int,
) -> TransitionResult:
    """Change a job's status to `target` if `services.jobs.lifecycle` allows it for this user.

    Raises NotFound, GigNotOpen (too late for an instant acceptance), Conflict, PaymentsFrozen (if money would move),
    and InvalidField for a note without a request for changes.
    """
    state = transitions.load_state(tx, job_id=job_id)
    actor = lifecycle.actor_of(state, user_id=user.id, role=role)
    action = lifecycle.requested_transition(state, target=target, actor=actor, deadlines=deadlines, now=now).action
    if note is not None and action != "request changes":
        raise InvalidField("/note", "range", "A note is only allowed when you request changes.")
    freelancer = user if action == "accept instantly" else state.freelancer
    return TransitionResult(_run(tx, state, action, user, note, deadlines, now), action, state, freelancer)


def accept(tx: Connection, state: JobState, *, now: int) -> Job:
    """Start the work of the hired freelancer. Raises Conflict."""
    job = transitions.apply(tx, state, "in_progress", held=state.held, accepted_at=now, now=now)
    inbox.deliver(tx, items=[(state.owner.id, notification_drafts.accepted(state))], now=now)
    events.publish_accepted(tx, job, now=now)
    return job


def accept_instantly(tx: Connection, state: JobState, freelancer: Person, *, now: int) -> Job:
    """Hire a freelancer for an open job at its budget and start the work: a bid, its hire and the acceptance.

    Raises PaymentsFrozen, GigNotOpen if another freelancer was faster, and Conflict if the budget has just changed.
    """
    # The hire checks this too, but only after the bid is written.
    wallet.require_not_frozen(tx)
    bid_id = bidding.place_at_budget(tx, job_id=state.id, freelancer_id=freelancer.id, budget=state.budget, now=now)
    hiring.hire(tx, bid_id=bid_id, owner_id=state.owner.id, now=now)
    assigned = replace(state, status="assigned", freelancer=freelancer, hired_bid_id=bid_id)
    return accept(tx, assigned, now=now)


def submit(tx: Connection, state: JobState, *, review_ms: int, now: int) -> Job:
    """Submit the work of the hired freelancer; the owner has `review_ms` to review it. Raises Conflict."""
    due_at = now + review_ms
    job = transitions.apply(
        tx, state, "submitted", held=state.held, accepted_at=state.accepted_at, due_at=due_at, now=now
    )
    inbox.deliver(tx, items=[(state.owner.id, notification_drafts.submitted(state, due_at))], now=now)
    events.publish_updated(tx, job, now=now)
    return job


def request_changes(tx: Connection, state: JobState, *, note: str | None, now: int) -> Job:
    """Return the submitted work to the hired freelancer. Raises Conflict."""
    job = transitions.apply(tx, state, "in_progress", held=state.held, accepted_at=state.accepted_at, now=now)
    draft = notification_drafts.changes_requested(state, note)
    inbox.deliver(tx, items=[(state.hired_freelancer.id, draft)], now=now)
    events.publish_updated(tx, job, now=now)
    return job


def _run(
    tx: Connection, state: JobState, action: JobAction, user: Person, note: str | None, deadlines: Deadlines, now: int
) -> Job:
    match action:
        case "accept instantly":
            return accept_instantly(tx, state, user, now=now)
        case "accept":
            return accept(tx, state, now=now)
        case "submit":
            return _submit_for_review(tx, state, deadlines, now)
        case "request changes":
            return request_changes(tx, state, note=note, now=now)
        case "complete":
            return closing.complete(tx, state, now=now)
        case _:
            return closing.close_with_refund(tx, state, "cancelled", now=now)


def _submit_for_review(tx: Connection, state: JobState, deadlines: Deadlines, now: int) -> Job:
    """Submit the work; complete the job at once if the hub allows no time for a review."""
    if deadlines.review_ms:
        return submit(tx, state, review_ms=deadlines.review_ms, now=now)
    wallet.require_not_frozen(tx)
    submit(tx, state, review_ms=0, now=now)
    return closing.complete(tx, replace(state, status="submitted"), now=now)
