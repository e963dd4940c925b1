"""Expires open jobs and completes reviewed ones when their deadline passes."""

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, bindparam, exists, func, select

from services.errors import Conflict, NotFound
from services.jobs import closing, lifecycle, transitions
from services.jobs.transitions import TransitionResult
from services.tables import freezes, jobs
from services.times import HOUR_MS

# The rows that one step may write. It occupies the writer for about 20 ms.
STEP_ROWS: Final = 300
# A job whose deadline could not be processed is tried again after this time.
RETRY_MS: Final = HOUR_MS
# Beyond this number the oldest postponed jobs are tried again. So many failures are not caused by single jobs.
MAX_POSTPONED: Final = 10_000

_j = jobs.c

# The rows that closing a job writes in addition to one row per bid.
_ROWS_PER_JOB: Final = 8

_postponed = func.json_each(bindparam("postponed")).table_valued("value")
# While payments are frozen, no job is due: closing a job always pays or refunds.
_DUE = (
    select(_j.id, _j.bid_count)
    .where(_j.due_at.is_not(None), _j.due_at <= bindparam("now"), ~exists(select(freezes.c.id)))
    .where(_j.id.not_in(select(_postponed.c.value)))
    .order_by(_j.due_at)
    .limit(bindparam("limit"))
)


class DeadlineFinder:
    """Finds jobs whose deadline has passed, except those that failed recently."""

    def __init__(self) -> None:
        # Job id → time (ms) of the next attempt.
        self._retry_at: dict[str, int] = {}

    def find_due(self, tx: Connection, /, *, now: int, limit: int) -> Sequence[str]:
        """Return the ids of due jobs, earliest deadline first: at least one, then as many as write `limit` rows."""
        # The upper bound drops times that lie far in the future because the clock was set back.
        self._retry_at = {job_id: at for job_id, at in self._retry_at.items() if now < at <= now + RETRY_MS}
        parameters = {"now": now, "limit": limit, "postponed": msgspec.json.encode([*self._retry_at]).decode()}
        job_ids, rows = list[str](), 0
        for job_id, bid_count in tx.execute(_DUE, parameters):
            rows += _ROWS_PER_JOB + bid_count
            if job_ids and rows > limit:
                break
            job_ids.append(job_id)
        return job_ids

    def postpone(self, job_id: str, now: int) -> None:
        """Skip a failed job for `RETRY_MS`, so that other jobs do not wait for it."""
        self._retry_at[job_id] = now + RETRY_MS
        if len(self._retry_at) > MAX_POSTPONED:
            del self._retry_at[next(iter(self._retry_at))]


def process_due(tx: Connection, /, *, found: Sequence[str], now: int) -> list[TransitionResult]:
    """Expire or complete the jobs with the ids `found`. Skips a job that has changed since it was found."""
    return [result for job_id in found if (result := _process(tx, job_id, now)) is not None]


def _process(tx: Connection, job_id: str, now: int) -> TransitionResult | None:
    try:
        state = transitions.load_state(tx, job_id=job_id)
        transition = lifecycle.due_transition(state, now=now)
        if transition is None:
            return None
        if transition.action == "complete":
            job = closing.complete(tx, state, now=now)
            return TransitionResult(job, transition.action, state, state.hired_freelancer)
        return TransitionResult(closing.close_with_refund(tx, state, "expired", now=now), transition.action, state)
    except (NotFound, Conflict):
        return None
