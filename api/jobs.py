"""Jobs over HTTP: clients post them, anybody lists, searches and reads them."""

from msgspec import UNSET, UnsetType, field

from api.bodies import (
    Amount,
    AmountBound,
    Body,
    JobSkills,
    Line40,
    Line120,
    Line200,
    Line1000,
    PageLimit,
    Query,
    Text10000,
)
from api.call import Call
from services import job_lists, jobs, pages
from services.errors import InvalidField
from services.job_lists import Suggestions
from services.job_search import Wanted
from services.pages import Page
from services.shapes import Job, JobStatus, Person

# As many as a job can name.
MOST_SKILLS = 20
SKILL_LENGTH = 40


class NewJob(Body, frozen=True):
    """A job to post; `budget` is in minor units of the hub's currency."""

    title: Line120
    description: Text10000
    budget: Amount
    category: Line40 | None = None
    skills: JobSkills = field(default_factory=list)


class JobList(Query, frozen=True):
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
    limit: PageLimit = pages.USUAL
    after: Line200 | UnsetType = UNSET


class JobSearch(Query, frozen=True):
    """What somebody has typed so far."""

    q: Line200


async def post(call: Call[NewJob, None]) -> Job | bytes:
    """Post a job; everybody hears of it."""
    owner = Person(id=call.user.id, name=call.user.name)
    return await call.create(
        jobs.post,
        owner=owner,
        title=call.body.title,
        description=call.body.description,
        budget=call.body.budget,
        currency=call.hub.settings.currency,
        category=call.body.category,
        skills=call.body.skills,
    )


async def page(call: Call[None, JobList]) -> Page[Job]:
    """List jobs, the newest first."""
    asked = call.query
    wanted = Wanted(
        status=asked.status or None,
        category=asked.category or None,
        owner_id=call.user.id if asked.mine else None,
        skills=_split(asked.skills) if asked.skills else (),
        min_budget=None if asked.min_budget is UNSET else asked.min_budget,
        max_budget=None if asked.max_budget is UNSET else asked.max_budget,
        text=asked.q or None,
    )
    return await call.read(job_lists.page, wanted=wanted, limit=asked.limit, after=asked.after or None)


async def suggest(call: Call[None, JobSearch]) -> Suggestions:
    """Suggest titles and skills that begin like what was typed."""
    return await call.read(job_lists.suggest, text=call.query.q)


async def show(call: Call[None, None]) -> Job:
    """Show a job."""
    return await call.read(jobs.one, job_id=call.path("id"))


def _split(text: str) -> list[str]:
    skills = [skill for part in text.split(",") if (skill := part.strip())]
    if not skills or len(skills) > MOST_SKILLS or max(map(len, skills)) > SKILL_LENGTH:
        raise InvalidField("skills", "length", f"Name 1 to {MOST_SKILLS} skills of at most {SKILL_LENGTH} characters.")
    return skills
