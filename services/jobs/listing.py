"""Job lists, search results, suggestions and single jobs."""

from typing import Final

from sqlalchemy import Connection, bindparam, select

from services import pagination
from services import text as services_text
from services.errors import NotFound
from services.jobs import events, search_query
from services.jobs.schemas import Job
from services.jobs.search_query import JobFilter
from services.pagination import Page
from services.schemas import Schema
from services.tables import job_index, jobs, skills, users

# The number of suggestions of each kind.
MAX_SUGGESTIONS: Final = 5
# Suggestions are taken from this many of the newest matching jobs and from this many matching skills.
_MAX_TITLES_READ: Final = 50
_MAX_SKILLS_READ: Final = 500

_NO_FILTER = JobFilter()
_j, _i = jobs.c, job_index.c

_JOB = (
    select(*events.COLUMNS, users.c.name.label("owner_name"))
    .join(users, users.c.id == _j.owner_id)
    .where(_j.status != "deleted")
    .where(_j.id == bindparam("job_id"))
)
_MATCH = _i.job_index.op("MATCH")(bindparam("expression"))
_PAGE = (
    select(_j.seq, *events.COLUMNS, users.c.name.label("owner_name"))
    .select_from(job_index)
    .join(jobs, _j.seq == _i.rowid)
    .join(users, users.c.id == _j.owner_id)
    .where(_MATCH, _i.rowid < bindparam("before_seq"))
    .order_by(_i.rowid.desc())
    .limit(bindparam("limit"))
)
_NEWEST_TITLES = (
    select(_j.title)
    .select_from(job_index)
    .join(jobs, _j.seq == _i.rowid)
    .where(_MATCH)
    .order_by(_i.rowid.desc())
    .limit(_MAX_TITLES_READ)
)
_SKILLS_WITH_PREFIX = (
    select(skills.c.name, skills.c.jobs)
    .where(skills.c.name >= bindparam("prefix"), skills.c.name < bindparam("prefix_end"))
    .limit(_MAX_SKILLS_READ)
    .subquery()
)
_POPULAR_SKILLS = (
    select(_SKILLS_WITH_PREFIX.c.name)
    .order_by(_SKILLS_WITH_PREFIX.c.jobs.desc(), _SKILLS_WITH_PREFIX.c.name)
    .limit(MAX_SUGGESTIONS)
)


class Suggestions(Schema, frozen=True):
    """Titles of open jobs and names of skills that match the typed prefix, at most five of each."""

    titles: list[str]
    skills: list[str]


def get_job(tx: Connection, *, job_id: str) -> Job:
    """Return a job. Raises NotFound, also for a deleted job."""
    row = tx.execute(_JOB, {"job_id": job_id}).one_or_none()
    if row is None:
        raise NotFound
    return events.to_schema(row, row.owner_name)


def list_jobs(
    tx: Connection,
    *,
    job_filter: JobFilter = _NO_FILTER,
    limit: int = pagination.DEFAULT_LIMIT,
    after: str | None = None,
) -> Page[Job]:
    """Return a page of the jobs that match the filter, newest first. Raises InvalidField for an invalid page token."""
    before_seq = pagination.seq_from_token(after)
    expression = search_query.build_expression(tx, job_filter)
    if expression is None:
        return Page(items=[], next=None)
    rows = tx.execute(_PAGE, {"expression": expression, "before_seq": before_seq, "limit": limit + 1}).all()
    return pagination.make_page(
        rows, limit=limit, to_item=lambda row: events.to_schema(row, row.owner_name), key=lambda row: row.seq
    )


def suggest(tx: Connection, *, text: str) -> Suggestions:
    """Return suggestions for a partly typed search."""
    typed = services_text.normalize_nfc(" ".join(text.split()))
    return Suggestions(titles=_load_titles(tx, typed), skills=_load_popular_skills(tx, typed))


def _load_titles(tx: Connection, typed: str) -> list[str]:
    words = search_query.words_expression(tx, typed)
    if words is None:
        return []
    titles = tx.execute(_NEWEST_TITLES, {"expression": search_query.prefix_expression(words, "title")}).scalars()
    return list(dict.fromkeys(titles))[:MAX_SUGGESTIONS]


def _load_popular_skills(tx: Connection, typed: str) -> list[str]:
    if not typed:
        return []
    return list(tx.execute(_POPULAR_SKILLS, search_query.prefix_range(typed)).scalars())
