"""A job goes on because somebody names the state that it is to go to."""

from dataclasses import replace

from sqlalchemy import Connection

from services.errors import InvalidField
from services.jobs import closing, lifecycle, transitions, working
from services.jobs.lifecycle import Deadlines, JobAction, JobState
from services.jobs.schemas import Job, JobStatus
from services.jobs.transitions import TransitionResult
from services.payments import wallet
from services.schemas import Person, Role


def change_status(
    tx: Connection,
    *,
    job_id: str,
    user: Person,
    role: Role,
    target: JobStatus,
    note: str | None = None,
    terms: Deadlines,
    now: int,
) -> TransitionResult:
    """Bring a job to `target`, where `services.jobs.lifecycle` lets this user do so.

    Raises NotFound, GigNotOpen (too late for a job that is had at once), Conflict, BooksFrozen (money would move), and
    InvalidField for a note where no changes are asked for.
    """
    job = transitions.load_state(tx, job_id=job_id)
    by = lifecycle.actor_of(job, user_id=user.id, role=role)
    act = lifecycle.requested_transition(job, target=target, by=by, terms=terms, now=now).act
    if note is not None and act != "ask for changes":
        raise InvalidField("/note", "range", "A note is for asking for changes.")
    freelancer = user if act == "take" else job.freelancer
    return TransitionResult(_do(tx, job, act, user, note, terms, now), act, job, freelancer)


def _do(
    tx: Connection, job: JobState, act: JobAction, user: Person, note: str | None, terms: Deadlines, now: int
) -> Job:
    match act:
        case "take":
            return working.accept_instantly(tx, job, user, now=now)
        case "accept":
            return working.accept(tx, job, now=now)
        case "submit":
            return _submit(tx, job, terms, now)
        case "ask for changes":
            return working.request_changes(tx, job, note=note, now=now)
        case "complete":
            return closing.complete(tx, job, now=now)
        case _:
            return closing.close_with_refund(tx, job, "cancelled", now=now)


def _submit(tx: Connection, job: JobState, terms: Deadlines, now: int) -> Job:
    """Where there is no time for a review, the job is completed at once."""
    if terms.review_ms:
        return working.submit(tx, job, review_ms=terms.review_ms, now=now)
    wallet.require_not_frozen(tx)
    working.submit(tx, job, review_ms=0, now=now)
    return closing.complete(tx, replace(job, status="submitted"), now=now)
