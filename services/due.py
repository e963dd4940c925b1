"""What the hub does to jobs by itself, once it is due: open ones expire, submitted ones are completed."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, exists, select

from services import closing, job_moves, life
from services.errors import NotFound
from services.job_moves import Moved
from services.tables import freezes, jobs

_j = jobs.c

# Rows a job's end costs beside one for each bid on it.
_ROWS: Final = 8

# While no money moves, all of them wait: each end is a payment or a refund.
_DUE = (
    select(_j.id, _j.bid_count)
    .where(_j.due_at.is_not(None), _j.due_at <= bindparam("at"), ~exists(select(freezes.c.id)))
    .order_by(_j.due_at)
    .limit(bindparam("most"))
)


def find(tx: Connection, /, *, now: int, limit: int) -> Sequence[str]:
    """Jobs that are due, the longest due first: as many as make about `limit` rows, one at least."""
    found, rows = list[str](), 0
    for job_id, bid_count in tx.execute(_DUE, {"at": now, "most": limit}):
        rows += _ROWS + bid_count
        if found and rows > limit:
            break
        found.append(job_id)
    return found


def settle(tx: Connection, /, *, found: Sequence[str], now: int) -> list[Moved]:
    """Bring these jobs to where they are due; one that somebody else has moved since stays as it is."""
    return [moved for job_id in found if (moved := _settle(tx, job_id, now)) is not None]


def _settle(tx: Connection, job_id: str, now: int) -> Moved | None:
    try:
        job = job_moves.standing(tx, job_id=job_id)
    except NotFound:
        return None
    move = life.due(job, now=now)
    if move is None:
        return None
    if move.act == "complete":
        return Moved(closing.complete(tx, job, now=now), move.act, job, job.worker)
    return Moved(closing.end(tx, job, "expired", now=now), move.act, job)
