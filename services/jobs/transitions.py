"""Reads where a job stands and brings it to where it goes next: one guarded UPDATE, so that races have one winner."""

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

_JOB = (
    select(*COLUMNS)
    .join(_owners, _owners.c.id == _j.owner_id)
    .outerjoin(bids, _b.id == _j.hired_bid_id)
    .outerjoin(_freelancers, _freelancers.c.id == _b.freelancer_id)
    .where(_j.id == bindparam("which"))
)
# First of all that is written: whoever changes this row has moved the job, and everybody else comes too late. The money
# that goes along is what was held when the job was looked at, and no other.
_MOVE = (
    update(jobs)
    .where(_j.id == bindparam("which"), _j.status == bindparam("source"), _j.held == bindparam("was_held"))
    .values(
        status=bindparam("target"),
        held=bindparam("holds"),
        accepted_at=bindparam("began"),
        due_at=bindparam("acts"),
        updated_at=bindparam("at"),
        untold=0,
    )
    .returning(*events.COLUMNS)
)
_STATUS = select(_j.status, _j.hired_bid_id).where(_j.id == bindparam("which"))


@dataclass(frozen=True, slots=True)
class TransitionResult:
    """What happened to a job: the answer, and for a log line what it was, where the job stood, and who is hired."""

    answer: Job
    act: JobAction
    previous: JobState
    freelancer: Person | None = None


def load_state(tx: Connection, *, job_id: str) -> JobState:
    """Where a job stands. Raises NotFound, also for a deleted one."""
    row = tx.execute(_JOB, {"which": job_id}).one_or_none()
    if row is None or row.status == "deleted":
        raise NotFound
    return _standing(row)


def load_status(tx: Connection, *, job_id: str) -> Status:
    """The status of a job that there is; deleted ones have one, too."""
    found: Status = tx.execute(_STATUS, {"which": job_id}).one().status
    return found


def conflict_error(tx: Connection, *, job_id: str) -> DomainError:
    """Why an open job could not be had or changed after all: somebody was faster."""
    return lifecycle.too_late(*tx.execute(_STATUS, {"which": job_id}).one())


def apply(
    tx: Connection,
    job: JobState,
    target: Status,
    *,
    held: int,
    accepted_at: int | None,
    due_at: int | None = None,
    now: int,
) -> Job:
    """The job in its new state, with what is then `held` for it (minor units). Raises Conflict: somebody was faster."""
    asked = {
        "which": job.id,
        "source": job.status,
        "was_held": job.held,
        "target": target,
        "holds": held,
        "began": accepted_at,
        "acts": due_at,
        "at": now,
    }
    row = tx.execute(_MOVE, asked).one_or_none()
    if row is None:
        raise Conflict(status=load_status(tx, job_id=job.id))
    return events.to_schema(row, job.owner.name)


def _standing(row: Row[*tuple[Any, ...]]) -> JobState:
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
