"""Jobs over HTTP: clients post, edit and delete them, both sides bring them to their end, anybody reads them."""

from typing import Any

from msgspec import UNSET, UnsetType, field
from sqlalchemy import Connection

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
from services.jobs.lifecycle import Deadlines
from services.jobs.listing import Suggestions
from services.jobs.schemas import Job, JobStatus
from services.jobs.search_query import JobFilter
from services.jobs.transitions import TransitionResult
from services.pagination import Page
from services.schemas import Person, Role


class NewJob(Body, frozen=True):
    """A job to post; `budget` is in minor units of the hub's currency."""

    title: Line120
    description: Text10000
    budget: Amount
    category: Line40 | None = None
    skills: JobSkills = field(default_factory=list)
    expires_at: str | None = None
    instant_accept: bool = False


class JobChanges(Body, frozen=True):
    """What to change of an open job; the rest stays, and null takes a category or an expiry away."""

    title: Line120 | UnsetType = UNSET
    description: Text10000 | UnsetType = UNSET
    budget: Amount | UnsetType = UNSET
    category: Line40 | UnsetType | None = UNSET
    skills: JobSkills | UnsetType = UNSET
    expires_at: str | UnsetType | None = UNSET
    instant_accept: bool | UnsetType = UNSET


class StatusChange(Body, frozen=True):
    """The state that a job is to go to; with a `note` where the owner asks for changes."""

    status: JobStatus
    note: Text1000 | None = None


class JobList(PageQuery, frozen=True):
    """Which jobs to list.

    `skills` are separated by commas, and a job has any of them; budgets are in minor units, both bounds included;
    `q` are words of title, description or skills, the last of which may be cut off after three letters; `mine` are
    those one has posted.
    """

    status: JobStatus | UnsetType = UNSET
    category: Line40 | UnsetType = UNSET
    skills: Line1000 | UnsetType = UNSET
    min_budget: AmountBound | UnsetType = UNSET
    max_budget: AmountBound | UnsetType = UNSET
    q: Line200 | UnsetType = UNSET
    mine: bool = False


class JobSearch(Query, frozen=True):
    """What somebody has typed so far."""

    q: Line200


async def post(call: Call[NewJob, None]) -> Job | bytes:
    """Post a job; everybody hears of it."""
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
        expires_at=_time(call.body.expires_at),
        instant_accept=call.body.instant_accept,
    )


async def list_jobs(call: Call[None, JobList]) -> Page[Job]:
    """List jobs, the newest first."""
    asked = call.query
    wanted = JobFilter(
        status=asked.status or None,
        category=asked.category or None,
        owner_id=call.user.id if asked.mine else None,
        skills=_split(asked.skills) if asked.skills else (),
        min_budget=None if asked.min_budget is UNSET else asked.min_budget,
        max_budget=None if asked.max_budget is UNSET else asked.max_budget,
        text=asked.q or None,
    )
    return await call.read(listing.list_jobs, wanted=wanted, limit=asked.limit, after=asked.after)


async def suggest(call: Call[None, JobSearch]) -> Suggestions:
    """Suggest titles and skills that begin like what was typed."""
    return await call.read(listing.suggest, text=call.query.q)


async def show(call: Call[None, None]) -> Job:
    """Show a job."""
    return await call.read(posting.one, job_id=call.path("id"))


async def edit(call: Call[JobChanges, None]) -> Job:
    """Change one's own open job; the budget moves what is held for it."""
    call.hub.paces.market.hit(call.user.id)
    body = call.body
    changes = JobEdit(
        title=body.title,
        description=body.description,
        budget=body.budget,
        category=body.category,
        skills=body.skills,
        expires_at=body.expires_at if isinstance(body.expires_at, UnsetType) else _time(body.expires_at),
        instant_accept=body.instant_accept,
    )
    return await call.write(editing.edit, job_id=call.path("id"), owner_id=call.user.id, edit=changes)


async def delete(call: Call[None, None]) -> None:
    """Delete one's own open job; what is held for it is given back, and those who bid are told."""
    began = call.hub.monotonic()
    moved = await call.write(closing.delete, job_id=call.path("id"), owner_id=call.user.id)
    _log(call, moved, began)


async def change_status(call: Call[StatusChange, None]) -> Job | bytes:
    """Bring a job to its next state: accept, submit, complete, ask for changes, cancel."""
    call.hub.paces.market.hit(call.user.id)
    began, made = call.hub.monotonic(), list[TransitionResult]()
    answer = await call.write_idempotent(
        _move,
        job_id=call.path("id"),
        user=Person(id=call.user.id, name=call.user.name),
        role=call.user.role,
        target=call.body.status,
        note=call.body.note,
        terms=call.hub.settings.terms,
        made=made,
    )
    # Empty when the key was answered before: nothing happened just now.
    for one in made:
        _log(call, one, began)
    return answer


def _move(
    tx: Connection,
    *,
    job_id: str,
    user: Person,
    role: Role,
    target: JobStatus,
    note: str | None,
    terms: Deadlines,
    made: list[TransitionResult],
    now: int,
) -> Job:
    """The unit, and for the log what it did: should it run again, that is replaced."""
    made[:] = [
        status_change.change_status(
            tx, job_id=job_id, user=user, role=role, target=target, note=note, terms=terms, now=now
        )
    ]
    return made[0].answer


def _log(call: Call[Any, None], moved: TransitionResult, began: float) -> None:
    milliseconds = round((call.hub.monotonic() - began) * 1_000, 1)
    log_lines.log_transition(call.log, moved, by=call.user.id, milliseconds=milliseconds)


def _time(text: str | None) -> int | None:
    return None if text is None else times.parse_rfc3339(text, "/expiresAt")


def _split(text: str) -> list[str]:
    skills = [skill for part in text.split(",") if (skill := part.strip())]
    if not skills or len(skills) > limits.SKILLS or max(map(len, skills)) > limits.SKILL:
        raise InvalidField(
            "skills", "length", f"Name 1 to {limits.SKILLS} skills of at most {limits.SKILL} characters."
        )
    return skills
