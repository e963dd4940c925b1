"""The work between hire and end: accepted, taken at once, submitted, sent back for changes."""

from dataclasses import replace

from sqlalchemy import Connection

from services.jobs import bidding, events, hiring, notification_drafts, transitions
from services.jobs.lifecycle import JobState
from services.jobs.schemas import Job
from services.notifications import inbox
from services.payments import wallet
from services.schemas import Person


def accept(tx: Connection, job: JobState, *, now: int) -> Job:
    """The hired freelancer begins. Raises Conflict."""
    shown = transitions.apply(tx, job, "in_progress", held=job.held, accepted_at=now, now=now)
    inbox.deliver(tx, items=[(job.owner.id, notification_drafts.accepted(job))], now=now)
    events.accepted(tx, shown, now=now)
    return shown


def accept_instantly(tx: Connection, job: JobState, freelancer: Person, *, now: int) -> Job:
    """A freelancer has an open job at its budget, and begins: a bid, the hire, the acceptance.

    Raises BooksFrozen; and GigNotOpen, or Conflict where the budget has changed just now: somebody was faster.
    """
    # Later the hire would say so, but the bid would be written by then.
    wallet.require_not_frozen(tx)
    bid_id = bidding.place_at_budget(tx, job_id=job.id, freelancer_id=freelancer.id, budget=job.budget, now=now)
    hiring.hire(tx, bid_id=bid_id, owner_id=job.owner.id, now=now)
    assigned = replace(job, status="assigned", freelancer=freelancer, hired_bid_id=bid_id)
    return accept(tx, assigned, now=now)


def submit(tx: Connection, job: JobState, *, review_ms: int, now: int) -> Job:
    """The hired freelancer hands the work in; the owner has `review_ms` to look at it. Raises Conflict."""
    due_at = now + review_ms
    shown = transitions.apply(tx, job, "submitted", held=job.held, accepted_at=job.accepted_at, due_at=due_at, now=now)
    inbox.deliver(tx, items=[(job.owner.id, notification_drafts.submitted(job, due_at))], now=now)
    events.updated(tx, shown, now=now)
    return shown


def request_changes(tx: Connection, job: JobState, *, note: str | None, now: int) -> Job:
    """The owner sends the work back. Raises Conflict."""
    shown = transitions.apply(tx, job, "in_progress", held=job.held, accepted_at=job.accepted_at, now=now)
    inbox.deliver(tx, items=[(job.hired_freelancer.id, notification_drafts.changes_requested(job, note))], now=now)
    events.updated(tx, shown, now=now)
    return shown
