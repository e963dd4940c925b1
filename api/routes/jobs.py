"""Jobs."""

from operator import attrgetter
from typing import Any

from msgspec import UNSET, UnsetType, field

from api.http.bodies import (
    Amount,
    AmountBound,
    Body,
    JobSkills,
    Line40,
    Line120,
    Line200,
    Line1000,
    PageQuery,
    Query,
    Text1000,
    Text10000,
)
from api.operations.call import Call
from services import limits, times
from services.errors import InvalidField
from services.jobs import closing, editing, listing, log_lines, posting, status_change
from services.jobs.editing import JobEdit
from services.jobs.listing import Suggestions
from services.jobs.schemas import Job, JobStatus
from services.jobs.search_query import JobFilter
from services.jobs.transitions import TransitionResult
from services.pagination import Page
from services.schemas import Person


class NewJob(Body, frozen=True):
    """A job to post. `budget` is in minor units of the hub's currency."""

    title: Line120
    description: Text10000
    budget: Amount
    category: Line40 | None = None
    skills: JobSkills = field(default_factory=list)
    expires_at: str | None = None
    instant_accept: bool = False


class JobChanges(Body, frozen=True):
    """The fields of an open job to change; other fields stay. Null removes the category or the expiry."""

    title: Line120 | UnsetType = UNSET
    description: Text10000 | UnsetType = UNSET
    budget: Amount | UnsetType = UNSET
    category: Line40 | UnsetType | None = UNSET
    skills: JobSkills | UnsetType = UNSET
    expires_at: str | UnsetType | None = UNSET
    instant_accept: bool | UnsetType = UNSET


class StatusChange(Body, frozen=True):
    """The new status of a job, with an optional `note` when the owner requests changes."""

    status: JobStatus
    note: Text1000 | None = None


class JobList(PageQuery, frozen=True):
    """The filter and page of a job list.

    `skills` are separated by commas; a job matches if it has any of them. Budgets are in minor units, both bounds
    included. `q` contains words of the title, description or skills; the last word may be a prefix of three or more
    letters. `mine` selects the jobs that you have posted.
    """

    status: JobStatus | UnsetType = UNSET
    category: Line40 | UnsetType = UNSET
    skills: Line1000 | UnsetType = UNSET
    min_budget: AmountBound | UnsetType = UNSET
    max_budget: AmountBound | UnsetType = UNSET
    q: Line200 | UnsetType = UNSET
    mine: bool = False


class JobSearch(Query, frozen=True):
    """A partly typed search."""

    q: Line200


async def create(call: Call[NewJob, None]) -> Job | bytes:
    """Post a job and hold its budget."""
    owner = Person(id=call.user.id, name=call.user.name)
    return await call.write_idempotent(
        posting.post,
        owner=owner,
        title=call.body.title,
        description=call.body.description,
        budget=call.body.budget,
        currency=call.hub.settings.currency,
        category=call.body.category,
        skills=call.body.skills,
        expires_at=_parse_expiry(call.body.expires_at),
        instant_accept=call.body.instant_accept,
    )


async def list_jobs(call: Call[None, JobList]) -> Page[Job]:
    """List jobs, newest first."""
    query = call.query
    job_filter = JobFilter(
        status=query.status or None,
        category=query.category or None,
        owner_id=call.user.id if query.mine else None,
        skills=_parse_skills(query.skills) if query.skills else (),
        min_budget=None if query.min_budget is UNSET else query.min_budget,
        max_budget=None if query.max_budget is UNSET else query.max_budget,
        text=query.q or None,
    )
    return await call.read(listing.list_jobs, job_filter=job_filter, limit=query.limit, after=query.after)


async def suggest(call: Call[None, JobSearch]) -> Suggestions:
    """Suggest job titles and skills for a partly typed search."""
    return await call.read(listing.suggest, text=call.query.q)


async def get_job(call: Call[None, None]) -> Job:
    """Get a job."""
    return await call.read(listing.get_job, job_id=call.path("id"))


async def edit(call: Call[JobChanges, None]) -> Job:
    """Edit your open job; the held amount follows the budget."""
    call.hub.rate_limits.job_changes.hit(call.user.id)
    body = call.body
    changes = JobEdit(
        title=body.title,
        description=body.description,
        budget=body.budget,
        category=body.category,
        skills=body.skills,
        expires_at=body.expires_at if isinstance(body.expires_at, UnsetType) else _parse_expiry(body.expires_at),
        instant_accept=body.instant_accept,
    )
    return await call.write(editing.edit, job_id=call.path("id"), owner_id=call.user.id, edit=changes)


async def delete(call: Call[None, None]) -> None:
    """Delete your open job; the held amount is refunded and the bidders are notified."""
    started = call.hub.monotonic()
    result = await call.write(closing.delete, job_id=call.path("id"), owner_id=call.user.id)
    _log(call, result, started)


async def change_status(call: Call[StatusChange, None]) -> Job | bytes:
    """Change a job's status: accept, submit, complete, request changes or cancel."""
    call.hub.rate_limits.job_changes.hit(call.user.id)
    started = call.hub.monotonic()
    response, result = await call.write_with_response(
        status_change.change_status,
        attrgetter("job"),
        job_id=call.path("id"),
        user=Person(id=call.user.id, name=call.user.name),
        role=call.user.role,
        target=call.body.status,
        note=call.body.note,
        deadlines=call.hub.settings.deadlines,
    )
    # None for a repeated idempotency key: the first request has made and logged the transition.
    if result is not None:
        _log(call, result, started)
    return response


def _log(call: Call[Any, None], result: TransitionResult, started: float) -> None:
    milliseconds = round((call.hub.monotonic() - started) * 1_000, 1)
    log_lines.log_transition(call.log, result, by=call.user.id, milliseconds=milliseconds)


def _parse_expiry(text: str | None) -> int | None:
    return None if text is None else times.parse_rfc3339(text, "/expiresAt")


def _parse_skills(text: str) -> list[str]:
    skills = [skill for part in text.split(",") if (skill := part.strip())]
    if not skills or len(skills) > limits.MAX_SKILLS or max(map(len, skills)) > limits.MAX_SKILL:
        raise InvalidField(
            "skills", "length", f"Name 1 to {limits.MAX_SKILLS} skills of at most {limits.MAX_SKILL} characters."
        )
    return skills
