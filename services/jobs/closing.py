"""The ends of a job: completed and paid; or cancelled, expired, deleted and refunded."""

from sqlalchemy import Connection

from services.errors import Conflict, Forbidden
from services.jobs import bidding, events, notification_drafts, transitions
from services.jobs.lifecycle import JobState
from services.jobs.notification_drafts import End
from services.jobs.schemas import Job
from services.jobs.transitions import TransitionResult
from services.notifications import inbox
from services.payments import wallet


def complete(tx: Connection, job: JobState, *, now: int) -> Job:
    """The hired freelancer is paid what is held. Raises Conflict and BooksFrozen."""
    wallet.require_not_frozen(tx)
    shown = transitions.apply(tx, job, "completed", held=0, accepted_at=job.accepted_at, now=now)
    wallet.pay(
        tx, owner_id=job.owner.id, freelancer_id=job.hired_freelancer.id, job_id=job.id, amount=job.held, now=now
    )
    mail = [
        (job.owner.id, notification_drafts.completed(job)),
        (job.hired_freelancer.id, notification_drafts.paid(job)),
    ]
    inbox.deliver(tx, items=mail, now=now)
    events.completed(tx, shown, now=now)
    return shown


def close_with_refund(tx: Connection, job: JobState, end: End, *, now: int) -> Job:
    """The owner gets back what is held; who was hired or has a pending bid is told.

    Raises Conflict and BooksFrozen.
    """
    wallet.require_not_frozen(tx)
    shown = transitions.apply(tx, job, end, held=0, accepted_at=job.accepted_at, now=now)
    sorry = bidding.reject_pending(tx, job_id=job.id, now=now) if job.status == "open" else [job.hired_freelancer.id]
    wallet.refund(tx, owner_id=job.owner.id, job_id=job.id, amount=job.held, now=now)
    mail = [(job.owner.id, notification_drafts.refunded(job, end))]
    if sorry:
        letter = notification_drafts.cancelled(job, end)
        mail += [(freelancer_id, letter) for freelancer_id in sorry]
    inbox.deliver(tx, items=mail, now=now)
    tell = events.publish_created if end == "deleted" else events.refunded
    tell(tx, shown, now=now)
    return shown


def delete(tx: Connection, *, job_id: str, owner_id: str, now: int) -> TransitionResult:
    """Delete one's own open job. Raises NotFound, Forbidden, Conflict and BooksFrozen."""
    job = transitions.load_state(tx, job_id=job_id)
    if job.owner.id != owner_id:
        raise Forbidden("Only its owner can delete a job.")
    if job.status != "open":
        raise Conflict("Only an open job can be deleted.", status=job.status)
    return TransitionResult(close_with_refund(tx, job, "deleted", now=now), "delete", job)
