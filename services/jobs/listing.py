"""Lists of jobs, the newest first, narrowed by anything; and what somebody who types a search may mean."""

from typing import Final

from sqlalchemy import Connection, bindparam, select

from services import pagination
from services import text as services_text
from services.jobs import events, search_query
from services.jobs.schemas import Job
from services.jobs.search_query import JobFilter
from services.pagination import Page
from services.schemas import Schema
from services.tables import job_index, jobs, skills, users

# Suggestions of each kind; how many new jobs are looked at for different titles, and how many skills for popular ones.
SUGGESTED: Final = 5
_TITLES: Final = 50
_SKILLS: Final = 500

_EVERY = JobFilter()
_j, _found = jobs.c, job_index.c

_MATCH = _found.job_index.op("MATCH")(bindparam("expression"))
_PAGE = (
    select(_j.seq, *events.COLUMNS, users.c.name.label("owner_name"))
    .select_from(job_index)
    .join(jobs, _j.seq == _found.rowid)
    .join(users, users.c.id == _j.owner_id)
    .where(_MATCH, _found.rowid < bindparam("below"))
    .order_by(_found.rowid.desc())
    .limit(bindparam("most"))
)
_NEWEST_TITLES = (
    select(_j.title)
    .select_from(job_index)
    .join(jobs, _j.seq == _found.rowid)
    .where(_MATCH)
    .order_by(_found.rowid.desc())
    .limit(_TITLES)
)
_BEGINNING = (
    select(skills.c.name, skills.c.jobs)
    .where(skills.c.name >= bindparam("least"), skills.c.name < bindparam("beyond"))
    .limit(_SKILLS)
    .subquery()
)
_POPULAR = select(_BEGINNING.c.name).order_by(_BEGINNING.c.jobs.desc(), _BEGINNING.c.name).limit(SUGGESTED)


class Suggestions(Schema, frozen=True):
    """Titles of open jobs and names of skills that begin like what was typed, at most five of each."""

    titles: list[str]
    skills: list[str]


def list_jobs(
    tx: Connection, *, wanted: JobFilter = _EVERY, limit: int = pagination.DEFAULT_LIMIT, after: str | None = None
) -> Page[Job]:
    """A page of the jobs wanted, in the order in which they came, the newest first. Raises InvalidField."""
    below = pagination.seq_from_token(after)
    expression = search_query.build_expression(tx, wanted)
    if expression is None:
        return Page(items=[], next=None)
    rows = tx.execute(_PAGE, {"expression": expression, "below": below, "most": limit + 1}).all()
    return pagination.page(
        rows, limit=limit, show=lambda row: events.to_schema(row, row.owner_name), key=lambda row: row.seq
    )


def suggest(tx: Connection, *, text: str) -> Suggestions:
    """What the person who has typed `text` so far may be looking for."""
    typed = services_text.normalize_nfc(" ".join(text.split()))
    return Suggestions(titles=_titles(tx, typed), skills=_popular(tx, typed))


def _titles(tx: Connection, typed: str) -> list[str]:
    words = search_query.words_expression(tx, typed)
    if words is None:
        return []
    found = tx.execute(_NEWEST_TITLES, {"expression": search_query.prefix_expression(words, "title")}).scalars()
    return list(dict.fromkeys(found))[:SUGGESTED]


def _popular(tx: Connection, typed: str) -> list[str]:
    if not typed:
        return []
    asked = {"least": typed, "beyond": typed + chr(0x10FFFF)}
    return list(tx.execute(_POPULAR, asked).scalars())
