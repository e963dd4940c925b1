"""Completes, cancels, expires and deletes jobs, with payment or refund."""

from sqlalchemy import Connection

from services.errors import Conflict, Forbidden
from services.jobs import bidding, events, notification_drafts, transitions
from services.jobs.lifecycle import JobState
from services.jobs.notification_drafts import ClosedStatus
from services.jobs.schemas import Job
from services.jobs.transitions import TransitionResult
from services.notifications import inbox
from services.payments import wallet


def complete(tx: Connection, state: JobState, *, now: int) -> Job:
    """Complete a job and pay the held amount to the hired freelancer. Raises Conflict and PaymentsFrozen."""
    wallet.require_not_frozen(tx)
    job = transitions.apply(tx, state, "completed", held=0, accepted_at=state.accepted_at, now=now)
    freelancer_id = state.hired_freelancer.id
    wallet.pay(tx, owner_id=state.owner.id, freelancer_id=freelancer_id, job_id=state.id, amount=state.held, now=now)
    items = [(state.owner.id, notification_drafts.completed(state)), (freelancer_id, notification_drafts.paid(state))]
    inbox.deliver(tx, items=items, now=now)
    events.publish_completed(tx, job, now=now)
    return job


def close_with_refund(tx: Connection, state: JobState, status: ClosedStatus, *, now: int) -> Job:
    """Close a job without payment, return the held amount to the owner and notify the freelancers.

    The notified freelancers are those with a pending bid, or the hired one. Raises Conflict and PaymentsFrozen.
    """
    wallet.require_not_frozen(tx)
    job = transitions.apply(tx, state, status, held=0, accepted_at=state.accepted_at, now=now)
    is_open = state.status == "open"
    freelancer_ids = bidding.reject_pending(tx, job_id=state.id, now=now) if is_open else [state.hired_freelancer.id]
    wallet.refund(tx, owner_id=state.owner.id, job_id=state.id, amount=state.held, now=now)
    items = [(state.owner.id, notification_drafts.refunded(state, status))]
    if freelancer_ids:
        draft = notification_drafts.cancelled(state, status)
        items += [(freelancer_id, draft) for freelancer_id in freelancer_ids]
    inbox.deliver(tx, items=items, now=now)
    publish = events.publish_deleted if status == "deleted" else events.publish_refunded
    publish(tx, job, now=now)
    return job


def delete(tx: Connection, *, job_id: str, owner_id: str, now: int) -> TransitionResult:
    """Delete the owner's open job. Raises NotFound, Forbidden, Conflict and PaymentsFrozen."""
    state = transitions.load_state(tx, job_id=job_id)
    if state.owner.id != owner_id:
        raise Forbidden("Only the job's owner can delete it.")
    if state.status != "open":
        raise Conflict("Only an open job can be deleted.", status=state.status)
    return TransitionResult(close_with_refund(tx, state, "deleted", now=now), "delete", state)
