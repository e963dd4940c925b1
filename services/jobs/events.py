"""Job events on the `jobs` channel, debounced to one per second for bids and edits."""

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
from services.times import SECOND_MS, to_rfc3339, to_rfc3339_or_none

# After an event about bids or an edit, further ones of the same job are published together after this time.
DEBOUNCE_MS: Final = SECOND_MS

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

# True if the debounce time is over. A clock that was set back leaves times far in the future, which are ignored.
_MAY_PUBLISH = or_(_j.publish_after <= bindparam("now"), _j.publish_after > bindparam("publish_after"))
# An UPDATE of an open job sets these in addition to its own values and returns CHANGED_COLUMNS. `publish_changed`
# then knows whether to publish now.
DEBOUNCE_VALUES: Final[Mapping[str, Any]] = {
    "updated_at": bindparam("now"),
    "publish_after": case((_MAY_PUBLISH, bindparam("publish_after")), else_=_j.publish_after),
    "has_unpublished_changes": case((_MAY_PUBLISH, 0), else_=1),
}
CHANGED_COLUMNS: Final = (*COLUMNS, _j.has_unpublished_changes)
_UPDATE_BID_COUNT = (
    update(jobs)
    .where(_j.id == bindparam("job_id"), _j.status == "open")
    .values(bid_count=_j.bid_count + bindparam("change"), **DEBOUNCE_VALUES)
    .returning(*CHANGED_COLUMNS)
)
# A literal, because SQLite uses the partial index only for exactly this condition.
_HAS_UNPUBLISHED_CHANGES = _j.has_unpublished_changes == literal_column("1")
_DUE = select(_j.id).where(_HAS_UNPUBLISHED_CHANGES, _MAY_PUBLISH).limit(bindparam("limit"))
_UNPUBLISHED = (
    select(*COLUMNS, users.c.name.label("owner_name"))
    .join(users, users.c.id == _j.owner_id)
    .where(_j.id.in_(bindparam("job_ids", expanding=True)), _HAS_UNPUBLISHED_CHANGES)
)
_MARK_PUBLISHED = (
    update(jobs)
    .where(_j.id.in_(bindparam("job_ids", expanding=True)))
    .values(publish_after=bindparam("publish_after"), has_unpublished_changes=0)
)


class JobEvent(Job, frozen=True, kw_only=True):
    """The data of `job_…` events: the public job, its page, and the cache keys that a client should drop."""

    url: str
    invalidates: Sequence[str]


def job_url(job_id: str) -> str:
    """Return the path of a job's page."""
    return f"/jobs/{job_id}"


def cache_key(job_id: str) -> str:
    """Return the cache key of a job."""
    return f"job/{job_id}"


def work_cache_keys(job_id: str) -> list[str]:
    """Return the cache keys that are outdated once a freelancer is hired or accepts the job."""
    return [cache_key(job_id), "my-jobs", "stats"]


def closing_cache_keys(job_id: str) -> list[str]:
    """Return the cache keys that are outdated once a job is closed and its held amount has moved."""
    return [*work_cache_keys(job_id), "wallet"]


def to_schema(row: Row[*tuple[Any, ...]], owner_name: str) -> Job:
    """Convert a row with `COLUMNS` to the public job."""
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


def publish_created(tx: Connection, job: Job, *, now: int) -> None:
    """Append `job_created`."""
    _publish(tx, "job_created", job, ("jobs", "stats"), now)


def publish_updated(tx: Connection, job: Job, *, now: int) -> None:
    """Append `job_updated`. The caller has reset the job's unpublished changes, which this event includes."""
    _publish(tx, "job_updated", job, ("jobs", cache_key(job.id)), now)


def publish_accepted(tx: Connection, job: Job, *, now: int) -> None:
    """Append `job_accepted`: the hired freelancer has accepted the job."""
    _publish(tx, "job_accepted", job, work_cache_keys(job.id), now)


def publish_completed(tx: Connection, job: Job, *, now: int) -> None:
    """Append `job_completed`: the job is done and paid."""
    _publish(tx, "job_completed", job, closing_cache_keys(job.id), now)


def publish_refunded(tx: Connection, job: Job, *, now: int) -> None:
    """Append `job_refunded`: the job was cancelled or has expired."""
    _publish(tx, "job_refunded", job, closing_cache_keys(job.id), now)


def publish_deleted(tx: Connection, job: Job, *, now: int) -> None:
    """Append `job_deleted`."""
    _publish(tx, "job_deleted", job, closing_cache_keys(job.id), now)


def update_bid_count(tx: Connection, *, job_id: str, owner_name: str, change: int, now: int) -> None:
    """Add `change` to an open job's number of bids and publish the job, debounced.

    Raises Conflict when the job is no longer open.
    """
    parameters = {"job_id": job_id, "change": change, **debounce_parameters(now)}
    row = tx.execute(_UPDATE_BID_COUNT, parameters).one_or_none()
    if row is None:
        raise Conflict("This job is no longer open.")
    publish_changed(tx, row, owner_name, now=now)


def debounce_parameters(now: int) -> dict[str, int]:
    """Return the bind parameters of `DEBOUNCE_VALUES`."""
    return {"now": now, "publish_after": now + DEBOUNCE_MS}


def publish_changed(tx: Connection, row: Row[*tuple[Any, ...]], owner_name: str, *, now: int) -> Job:
    """Return the job in `row`, which an UPDATE with `DEBOUNCE_VALUES` returned; publish it unless it is debounced.

    `publish_pending` publishes a debounced job at most a second later.
    """
    job = to_schema(row, owner_name)
    if not row.has_unpublished_changes:
        publish_updated(tx, job, now=now)
    return job


def find_unpublished(tx: Connection, /, *, now: int, limit: int) -> Sequence[str]:
    """Return the ids of at most `limit` jobs with unpublished changes whose debounce time is over."""
    return tx.execute(_DUE, debounce_parameters(now) | {"limit": limit}).scalars().all()


def publish_pending(tx: Connection, /, *, found: Sequence[str], now: int) -> None:
    """Publish the jobs with the ids `found` as they are now if they still have unpublished changes."""
    rows = tx.execute(_UNPUBLISHED, {"job_ids": found}).all()
    if not rows:
        return
    tx.execute(_MARK_PUBLISHED, {"job_ids": [row.id for row in rows], "publish_after": now + DEBOUNCE_MS})
    for row in rows:
        publish_updated(tx, to_schema(row, row.owner_name), now=now)


def _publish(tx: Connection, type: str, job: Job, invalidates: Sequence[str], now: int) -> None:
    event = JobEvent(**msgspec.structs.asdict(job), url=job_url(job.id), invalidates=invalidates)
    outbox.append(tx, channels.JOBS, type, event, now=now, subject=job.id)
