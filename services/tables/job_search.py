"""The full-text search index of jobs and the skill counts, kept by triggers.

The index has a column of facets beside the words of the text, so every job list is one query of the index with any
filters. The facets of a job are `all`; `o` and the owner's id; `c` and the category in hex; `k` and each skill in
hex, in lower case; the status; and the budget in octal, once for each prefix of its digits. A letter before the digits
gives their number: 124 is octal 174, so `Bc Bc1 Bc17 Bc174`.

Status and budget begin with a private-use character (S and B here), which no word of a text begins with. A change of
status or budget therefore rewrites only these facets and leaves the words of the text. Deleted jobs are not indexed.
"""

from string import Template
from typing import Final

from sqlalchemy import DDL, BigInteger, CheckConstraint, Column, String, Table, Text, column, event, table

from services.tables.columns import metadata
from services.tables.jobs import jobs

# Not in the metadata: SQLAlchemy cannot create virtual tables.
job_index = table("job_index", column("rowid"), column("job_index"))
job_terms = table("job_terms", column("term", Text))

# Skills that are suggested while a user types. NOCASE ignores the case of ASCII letters.
skills = Table(
    "skills",
    metadata,
    Column("name", String(40, collation="NOCASE"), primary_key=True),
    Column("jobs", BigInteger, CheckConstraint("jobs >= 0", name="jobs"), nullable=False),
)

STATUS: Final = chr(57344)
BUDGET: Final = chr(57345)

_STATUS_FACET: Final = "char(57344) || replace($row.status, '_', '')"
_BUDGET_FACETS: Final = """(WITH RECURSIVE octal(text, size) AS
                    (SELECT printf('%o', $row.budget), char(96 + length(printf('%o', $row.budget)))),
                prefix(length) AS (SELECT 0 UNION ALL
                    SELECT length + 1 FROM prefix, octal WHERE length < length(text))
                SELECT group_concat(' ' || char(57345) || size || substr(text, 1, length), '')
                FROM prefix, octal)"""
_FIXED_FACETS: Final = """'all o' || replace($row.owner_id, '-', '')
            || coalesce(' c' || hex($row.category), '')
            || coalesce((SELECT group_concat(' k' || hex(lower(value)), '') FROM json_each($row.skills)), '')"""
_FACETS: Final = f"""{_FIXED_FACETS}
            || ' ' || {_STATUS_FACET}
            || {_BUDGET_FACETS}"""
_INDEX: Final = f"""INSERT INTO job_index (rowid, title, description, skills, facets)
        SELECT $row.seq, $row.title, $row.description, $row.skills,
            {_FACETS}
        WHERE $row.status <> 'deleted';"""
_UNINDEX: Final = f"""INSERT INTO job_index (job_index, rowid, title, description, skills, facets)
        SELECT 'delete', $row.seq, $row.title, $row.description, $row.skills,
            {_FACETS}
        WHERE $row.status <> 'deleted';"""
_INDEX_PART: Final = """INSERT INTO job_index (rowid, facets)
        SELECT $row.seq, $facet
        WHERE $row.status <> 'deleted';"""
_UNINDEX_PART: Final = """INSERT INTO job_index (job_index, rowid, facets)
        SELECT 'delete', $row.seq, $facet
        WHERE $row.status <> 'deleted';"""
_COUNT: Final = """INSERT INTO skills (name, jobs) SELECT value, 1 FROM json_each($row.skills)
        WHERE $row.status <> 'deleted' ON CONFLICT (name) DO UPDATE SET jobs = jobs + 1;"""
_UNCOUNT: Final = """UPDATE skills SET jobs = jobs - counted.times FROM
            (SELECT value COLLATE NOCASE AS name, count(*) AS times FROM json_each($row.skills) GROUP BY 1) AS counted
        WHERE skills.name = counted.name AND $row.status <> 'deleted';
        DELETE FROM skills WHERE jobs = 0 AND name IN (SELECT value FROM json_each($row.skills));"""


def _render(row: str, *statements: str) -> str:
    return "\n        ".join(Template(statement).substitute(row=row) for statement in statements)


def _facet_trigger(name: str, facet: str) -> str:
    """Return the trigger that rewrites only the facets of one column, when the words of the job did not change."""
    old, new = _UNINDEX_PART.replace("$facet", facet), _INDEX_PART.replace("$facet", facet)
    return f"""CREATE TRIGGER jobs_indexed_{name} AFTER UPDATE OF {name} ON jobs
        WHEN OLD.{name} <> NEW.{name}
            AND (OLD.title, OLD.description, OLD.skills, OLD.category, OLD.status = 'deleted')
            IS (NEW.title, NEW.description, NEW.skills, NEW.category, NEW.status = 'deleted') BEGIN
        {_render("OLD", old)}
        {_render("NEW", new)}
        END"""


# Contentless, because results are read from `jobs`. Without column sizes, which only ranking needs. Prefixes of three
# characters are indexed: a longer prefix matches few words, and a shorter one is searched as a whole word.
_STATEMENTS: Final = (
    """CREATE VIRTUAL TABLE job_index USING fts5(title, description, skills, facets,
        content='', columnsize=0, prefix='3', tokenize='unicode61 remove_diacritics 2')""",
    "CREATE VIRTUAL TABLE job_terms USING fts5vocab('job_index', 'instance')",
    f"""CREATE TRIGGER jobs_indexed AFTER INSERT ON jobs BEGIN
        {_render("NEW", _INDEX, _COUNT)}
        END""",
    f"""CREATE TRIGGER jobs_reindexed AFTER UPDATE OF title, description, skills, category, status ON jobs
        WHEN (OLD.title, OLD.description, OLD.skills, OLD.category, OLD.status = 'deleted')
            IS NOT (NEW.title, NEW.description, NEW.skills, NEW.category, NEW.status = 'deleted') BEGIN
        {_render("OLD", _UNINDEX)}
        {_render("NEW", _INDEX)}
        END""",
    _facet_trigger("status", _STATUS_FACET),
    _facet_trigger("budget", _BUDGET_FACETS),
    f"""CREATE TRIGGER jobs_skills_changed AFTER UPDATE OF skills, status ON jobs
        WHEN OLD.skills <> NEW.skills OR (OLD.status = 'deleted') <> (NEW.status = 'deleted') BEGIN
        {_render("OLD", _UNCOUNT)}
        {_render("NEW", _COUNT)}
        END""",
)
for _statement in _STATEMENTS:
    event.listen(jobs, "after_create", DDL(_statement.replace("%", "%%")))  # type: ignore[no-untyped-call]
