"""Loads a job's state and applies a transition with one guarded UPDATE."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, select, update

from services.errors import Conflict, DomainError, NotFound
from services.jobs import events, lifecycle
from services.jobs.lifecycle import JobAction, JobState, Status
from services.jobs.schemas import Job
from services.schemas import Person
from services.tables import bids, jobs, users

_b, _j = bids.c, jobs.c
_owners, _freelancers = users.alias("owners"), users.alias("freelancers")

COLUMNS: Final = (
    _j.id,
    _j.owner_id,
    _j.title,
    _j.budget,
    _j.currency,
    _j.status,
    _j.held,
    _j.hired_bid_id,
    _j.instant_accept,
    _j.accepted_at,
    _j.due_at,
    _owners.c.name.label("owner_name"),
    _b.freelancer_id,
    _freelancers.c.name.label("freelancer_name"),
)

_STATE = (
    select(*COLUMNS)
    .join(_owners, _owners.c.id == _j.owner_id)
    .outerjoin(bids, _b.id == _j.hired_bid_id)
    .outerjoin(_freelancers, _freelancers.c.id == _b.freelancer_id)
    .where(_j.id == bindparam("job_id"))
)
# The first write of each transition: exactly one transaction changes this row, all others fail. The condition on `held`
# ensures that the money that moves with it is the amount that was read before.
_APPLY = (
    update(jobs)
    .where(_j.id == bindparam("job_id"), _j.status == bindparam("old_status"), _j.held == bindparam("old_held"))
    .values(
        status=bindparam("new_status"),
        held=bindparam("new_held"),
        accepted_at=bindparam("new_accepted_at"),
        due_at=bindparam("new_due_at"),
        updated_at=bindparam("now"),
        has_unpublished_changes=0,
    )
    .returning(*events.COLUMNS)
)
_STATUS = select(_j.status, _j.hired_bid_id).where(_j.id == bindparam("job_id"))


@dataclass(frozen=True, slots=True)
class TransitionResult:
    """A transition that was made: the job after it, the action, the state before it, and the hired freelancer."""

    job: Job
    action: JobAction
    previous: JobState
    freelancer: Person | None = None


def load_state(tx: Connection, *, job_id: str) -> JobState:
    """Return the state of a job. Raises NotFound, also for a deleted job."""
    row = tx.execute(_STATE, {"job_id": job_id}).one_or_none()
    if row is None or row.status == "deleted":
        raise NotFound
    return _from_row(row)


def load_status(tx: Connection, *, job_id: str) -> Status:
    """Return the status of an existing job, which may be deleted."""
    status: Status = tx.execute(_STATUS, {"job_id": job_id}).one().status
    return status


def conflict_error(tx: Connection, *, job_id: str) -> DomainError:
    """Return the error for a request on an open job that another transaction changed first."""
    return lifecycle.conflict_error(*tx.execute(_STATUS, {"job_id": job_id}).one())


def apply(
    tx: Connection,
    state: JobState,
    target: Status,
    *,
    held: int,
    accepted_at: int | None,
    due_at: int | None = None,
    now: int,
) -> Job:
    """Change a job's status and return the job. `held` is the new held amount in minor units.

    Raises Conflict if another transaction has changed the status or the held amount since `state` was loaded.
    """
    parameters = {
        "job_id": state.id,
        "old_status": state.status,
        "old_held": state.held,
        "new_status": target,
        "new_held": held,
        "new_accepted_at": accepted_at,
        "new_due_at": due_at,
        "now": now,
    }
    row = tx.execute(_APPLY, parameters).one_or_none()
    if row is None:
        raise Conflict(status=load_status(tx, job_id=state.id))
    return events.to_schema(row, state.owner.name)


def _from_row(row: Row[*tuple[Any, ...]]) -> JobState:
    freelancer = None if row.freelancer_id is None else Person(id=row.freelancer_id, name=row.freelancer_name)
    return JobState(
        id=row.id,
        title=row.title,
        budget=row.budget,
        currency=row.currency,
        status=row.status,
        held=row.held,
        owner=Person(id=row.owner_id, name=row.owner_name),
        freelancer=freelancer,
        hired_bid_id=row.hired_bid_id,
        instant_accept=bool(row.instant_accept),
        accepted_at=row.accepted_at,
        due_at=row.due_at,
    )
