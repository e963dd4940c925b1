"""One log line for each step of a job's life, so that a person can follow who did what, and for how much."""

from collections.abc import Mapping
from typing import Any, Final

from services.jobs.lifecycle import JobAction
from services.jobs.transitions import TransitionResult

_EVENTS: Final[Mapping[JobAction, str]] = {
    "take": "accepted",
    "accept": "accepted",
    "submit": "submitted",
    "ask for changes": "changes_requested",
    "complete": "completed",
    "cancel": "cancelled",
    "expire": "expired",
    "delete": "deleted",
}


def log_transition(log: Any, moved: TransitionResult, *, by: str, **more: object) -> None:
    """Who (`by`: a user's id, or hub) brought which job where; `amount` is what was held for it, in minor units."""
    job, freelancer = moved.previous, moved.freelancer
    log.info(
        _EVENTS[moved.act],
        by=by,
        client=job.owner.id,
        client_name=job.owner.name,
        freelancer=None if freelancer is None else freelancer.id,
        freelancer_name=None if freelancer is None else freelancer.name,
        job=job.id,
        title=job.title,
        bid=moved.answer.hired_bid_id,
        amount=job.held,
        currency=job.currency,
        status=moved.answer.status,
        **more,
    )
