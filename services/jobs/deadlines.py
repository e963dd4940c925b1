"""What the hub does to jobs by itself, once it is due: open ones expire, submitted ones are completed."""

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, bindparam, exists, func, select

from services.errors import Conflict, NotFound
from services.jobs import closing, lifecycle, transitions
from services.jobs.transitions import TransitionResult
from services.tables import freezes, jobs
from services.times import HOUR

# About what one look finds: some 20 ms of the writer, for those who wait for it meanwhile.
STEP_ROWS: Final = 300
# A job that could not be settled is tried again after this long.
RETRY_MS: Final = HOUR
# So many are remembered as that; beyond them the first are tried again, for then it is not a job that is wrong.
MOST_PUT_OFF: Final = 10_000

_j = jobs.c

# Rows a job's end costs beside one for each bid on it.
_ROWS: Final = 8

_put_off = func.json_each(bindparam("put_off")).table_valued("value")
# While no money moves, all of them wait: each end is a payment or a refund.
_DUE = (
    select(_j.id, _j.bid_count)
    .where(_j.due_at.is_not(None), _j.due_at <= bindparam("at"), ~exists(select(freezes.c.id)))
    .where(_j.id.not_in(select(_put_off.c.value)))
    .order_by(_j.due_at)
    .limit(bindparam("most"))
)


class DeadlineFinder:
    """Finds the jobs that are due, and leaves those alone for a while that could not be settled."""

    def __init__(self) -> None:
        self._put_off: dict[str, int] = {}

    def find_due(self, tx: Connection, /, *, now: int, limit: int) -> Sequence[str]:
        """Jobs that are due, the longest due first: as many as make about `limit` rows, one at least."""
        # Not a time that a clock set back has made far away, either.
        self._put_off = {job_id: at for job_id, at in self._put_off.items() if now < at <= now + RETRY_MS}
        asked = {"at": now, "most": limit, "put_off": msgspec.json.encode([*self._put_off]).decode()}
        found, rows = list[str](), 0
        for job_id, bid_count in tx.execute(_DUE, asked):
            rows += _ROWS + bid_count
            if found and rows > limit:
                break
            found.append(job_id)
        return found

    def postpone(self, job_id: str, now: int) -> None:
        """This one failed: the others must not wait for it."""
        self._put_off[job_id] = now + RETRY_MS
        if len(self._put_off) > MOST_PUT_OFF:
            del self._put_off[next(iter(self._put_off))]


def process_due(tx: Connection, /, *, found: Sequence[str], now: int) -> list[TransitionResult]:
    """Bring these jobs to where they are due; one that somebody else has moved or changed since stays as it is."""
    return [moved for job_id in found if (moved := _settle(tx, job_id, now)) is not None]


def _settle(tx: Connection, job_id: str, now: int) -> TransitionResult | None:
    try:
        job = transitions.load_state(tx, job_id=job_id)
        move = lifecycle.due_transition(job, now=now)
        if move is None:
            return None
        if move.act == "complete":
            return TransitionResult(closing.complete(tx, job, now=now), move.act, job, job.hired_freelancer)
        return TransitionResult(closing.close_with_refund(tx, job, "expired", now=now), move.act, job)
    except (NotFound, Conflict):
        return None
