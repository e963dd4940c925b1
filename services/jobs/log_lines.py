"""One structured log line per job transition."""

from collections.abc import Mapping
from typing import Any, Final

from services.jobs.lifecycle import JobAction
from services.jobs.transitions import TransitionResult

_EVENTS: Final[Mapping[JobAction, str]] = {
    "accept instantly": "accepted",
    "accept": "accepted",
    "submit": "submitted",
    "request changes": "changes_requested",
    "complete": "completed",
    "cancel": "cancelled",
    "expire": "expired",
    "delete": "deleted",
}


def log_transition(log: Any, result: TransitionResult, *, by: str, **fields: object) -> None:
    """Log a transition. `by` is the id of the user who requested it, or `hub`.

    The logged `amount` is the amount that was held before the transition, in minor units.
    """
    state, freelancer = result.previous, result.freelancer
    log.info(
        _EVENTS[result.action],
        by=by,
        client=state.owner.id,
        client_name=state.owner.name,
        freelancer=None if freelancer is None else freelancer.id,
        freelancer_name=None if freelancer is None else freelancer.name,
        job=state.id,
        title=state.title,
        bid=result.job.hired_bid_id,
        amount=state.held,
        currency=state.currency,
        status=result.job.status,
        **fields,
    )
