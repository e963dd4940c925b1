"""How a job looks to everybody, and what the `jobs` channel hears of it, bids and edits at most once a second."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, bindparam, case, literal_column, or_, select, update

from services.database import outbox
from services.errors import Conflict
from services.event_log import channels
from services.jobs.schemas import Job
from services.schemas import Person
from services.tables import jobs, users
from services.times import SECOND, to_rfc3339, to_rfc3339_or_none

# Bids that come and go, and edits, within this time after a telling are told together, at its end.
DEBOUNCE_MS: Final = SECOND

_j = jobs.c

COLUMNS: Final = (
    _j.id,
    _j.owner_id,
    _j.title,
    _j.description,
    _j.budget,
    _j.currency,
    _j.category,
    _j.skills,
    _j.status,
    _j.bid_count,
    _j.hired_bid_id,
    _j.hired_at,
    _j.expires_at,
    _j.instant_accept,
    _j.created_at,
    _j.updated_at,
)

# Told long enough ago; or, where the clock was set back, in a future that must not silence a job for hours.
_LOUD = or_(_j.quiet_until <= bindparam("at"), _j.quiet_until > bindparam("until"))
# What an UPDATE of an open job sets beside what it is for, and returns, so that `changed` can tell it.
DEBOUNCE_VALUES: Final[Mapping[str, Any]] = {
    "updated_at": bindparam("at"),
    "quiet_until": case((_LOUD, bindparam("until")), else_=_j.quiet_until),
    "untold": case((_LOUD, 0), else_=1),
}
CHANGED_COLUMNS: Final = (*COLUMNS, _j.untold)
_COUNT_BIDS = (
    update(jobs)
    .where(_j.id == bindparam("which"), _j.status == "open")
    .values(bid_count=_j.bid_count + bindparam("by"), **DEBOUNCE_VALUES)
    .returning(*CHANGED_COLUMNS)
)
# As text, because the index on what is untold is used for exactly this condition.
_DUE = select(_j.id).where(_j.untold == literal_column("1"), _LOUD).limit(bindparam("most"))
_UNTOLD = (
    select(*COLUMNS, users.c.name.label("owner_name"))
    .join(users, users.c.id == _j.owner_id)
    .where(_j.id.in_(bindparam("ids", expanding=True)), _j.untold == literal_column("1"))
)
_TOLD = update(jobs).where(_j.id.in_(bindparam("ids", expanding=True))).values(quiet_until=bindparam("until"), untold=0)


class JobEvent(Job, frozen=True, kw_only=True):
    """The `job_…` events: the public job, where its page is, and the cache keys a page should drop."""

    url: str
    invalidates: Sequence[str]


def job_url(job_id: str) -> str:
    """Where a job's page is."""
    return f"/jobs/{job_id}"


def cache_key(job_id: str) -> str:
    """The cache key of one job."""
    return f"job/{job_id}"


def keys_of_work(job_id: str) -> list[str]:
    """The cache keys that somebody's beginning to work on a job makes stale."""
    return [cache_key(job_id), "my-jobs", "stats"]


def keys_of_end(job_id: str) -> list[str]:
    """The cache keys that the end of a job makes stale; its money has gone somewhere."""
    return [*keys_of_work(job_id), "wallet"]


def to_schema(row: Row[*tuple[Any, ...]], owner_name: str) -> Job:
    """A row with `COLUMNS` as everybody sees it."""
    return Job(
        id=row.id,
        title=row.title,
        description=row.description,
        budget=row.budget,
        currency=row.currency,
        category=row.category,
        skills=msgspec.json.decode(row.skills),
        status=row.status,
        owner=Person(id=row.owner_id, name=owner_name),
        bid_count=row.bid_count,
        hired_bid_id=row.hired_bid_id,
        hired_at=to_rfc3339_or_none(row.hired_at),
        expires_at=to_rfc3339_or_none(row.expires_at),
        instant_accept=bool(row.instant_accept),
        created_at=to_rfc3339(row.created_at),
        updated_at=to_rfc3339(row.updated_at),
    )


def created(tx: Connection, job: Job, *, now: int) -> None:
    """Tell everybody of a new job."""
    _tell(tx, "job_created", job, ("jobs", "stats"), now)


def updated(tx: Connection, job: Job, *, now: int) -> None:
    """Tell everybody what a job is now. Whoever calls has set `untold` to 0: nothing older is left to tell."""
    _tell(tx, "job_updated", job, ("jobs", cache_key(job.id)), now)


def accepted(tx: Connection, job: Job, *, now: int) -> None:
    """Tell everybody that the hired freelancer has begun."""
    _tell(tx, "job_accepted", job, keys_of_work(job.id), now)


def completed(tx: Connection, job: Job, *, now: int) -> None:
    """Tell everybody that a job is done and paid."""
    _tell(tx, "job_completed", job, keys_of_end(job.id), now)


def refunded(tx: Connection, job: Job, *, now: int) -> None:
    """Tell everybody that a job was cancelled or has expired."""
    _tell(tx, "job_refunded", job, keys_of_end(job.id), now)


def publish_created(tx: Connection, job: Job, *, now: int) -> None:
    """Tell everybody that a job is gone."""
    _tell(tx, "job_deleted", job, keys_of_end(job.id), now)


def count_bids(tx: Connection, *, job_id: str, owner_name: str, by: int, now: int) -> None:
    """Add `by` to an open job's bids and tell everybody, now or, for `tell`, within a second of the last telling.

    Raises Conflict when the job is not open any more.
    """
    row = tx.execute(_COUNT_BIDS, {"which": job_id, "by": by, **changed_at(now)}).one_or_none()
    if row is None:
        raise Conflict("This job is no longer open.")
    publish_changed(tx, row, owner_name, now=now)


def changed_at(now: int) -> dict[str, int]:
    """The parameters of `CHANGED`."""
    return {"at": now, "until": now + DEBOUNCE_MS}


def publish_changed(tx: Connection, row: Row[*tuple[Any, ...]], owner_name: str, *, now: int) -> Job:
    """An open job after an UPDATE with `CHANGED`; told to everybody, now or within a second of the last telling."""
    job = to_schema(row, owner_name)
    if not row.untold:
        updated(tx, job, now=now)
    return job


def find_unpublished(tx: Connection, /, *, now: int, limit: int) -> Sequence[str]:
    """At most `limit` jobs whose bids changed in a quiet second that is over."""
    return tx.execute(_DUE, {"at": now, "until": now + DEBOUNCE_MS, "most": limit}).scalars().all()


def publish_pending(tx: Connection, /, *, found: Sequence[str], now: int) -> None:
    """Tell what is still untold of these jobs, each as it is now: the last change is never lost, only late."""
    rows = tx.execute(_UNTOLD, {"ids": found}).all()
    if not rows:
        return
    tx.execute(_TOLD, {"ids": [row.id for row in rows], "until": now + DEBOUNCE_MS})
    for row in rows:
        updated(tx, to_schema(row, row.owner_name), now=now)


def _tell(tx: Connection, type: str, job: Job, invalidates: Sequence[str], now: int) -> None:
    event = JobEvent(**msgspec.structs.asdict(job), url=job_url(job.id), invalidates=invalidates)
    outbox.append(tx, channels.JOBS, type, event, now=now, subject=job.id)
