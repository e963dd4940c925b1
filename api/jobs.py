"""Jobs over HTTP: clients post them, anybody reads them."""

from msgspec import UNSET, UnsetType, field

from api.bodies import Amount, Body, JobSkills, Line40, Line120, Line200, PageLimit, Query, Text10000
from api.call import Call
from services import jobs, pages
from services.pages import Page
from services.shapes import Job, JobStatus, Person


class NewJob(Body, frozen=True):
    """A job to post; `budget` is in minor units of the hub's currency."""

    title: Line120
    description: Text10000
    budget: Amount
    category: Line40 | None = None
    skills: JobSkills = field(default_factory=list)


class JobList(Query, frozen=True):
    """Which jobs to list; `mine` are those one has posted."""

    status: JobStatus | UnsetType = UNSET
    category: Line40 | UnsetType = UNSET
    mine: bool = False
    limit: PageLimit = pages.USUAL
    after: Line200 | UnsetType = UNSET


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
    return await call.read(
        jobs.page,
        status=call.query.status or None,
        category=call.query.category or None,
        owner_id=call.user.id if call.query.mine else None,
        limit=call.query.limit,
        after=call.query.after or None,
    )


async def show(call: Call[None, None]) -> Job:
    """Show a job."""
    return await call.read(jobs.one, job_id=call.path("id"))
