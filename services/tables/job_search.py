"""What lists of jobs are found by: an FTS5 index of words and facets, and the skills that jobs name; kept by triggers.

A facet is a word in a column of its own, so that every list is one query of the index, whatever it is narrowed by:
`all`, owner `o` and the id, category and skills `c…` and `k…` in hex (skills in lower case); status `Sopen`, and the
budget in octal: `Bc` for three digits, `Bc1`, `Bc17`, `Bc174` for how they begin. S and B stand for letters of private
use, with which no word of a text begins: what is at these words is the facets' alone, and so a change of status or
budget writes them anew and leaves the words of the text as they are. Deleted jobs are not in it.
"""

from string import Template
from typing import Final

from sqlalchemy import DDL, BigInteger, CheckConstraint, Column, String, Table, Text, column, event, table

from services.tables.columns import metadata
from services.tables.jobs import jobs

# Not in the metadata: SQLAlchemy cannot make virtual tables.
job_index = table("job_index", column("rowid"), column("job_index"))
job_terms = table("job_terms", column("term", Text))

# What a newcomer may be offered while typing; NOCASE folds the 26 letters.
skills = Table(
    "skills",
    metadata,
    Column("name", String(40, collation="NOCASE"), primary_key=True),
    Column("jobs", BigInteger, CheckConstraint("jobs >= 0", name="jobs"), nullable=False),
)

STATUS: Final = chr(57344)
BUDGET: Final = chr(57345)

_STATUS_FACET: Final = "char(57344) || replace($row.status, '_', '')"
_BUDGET_FACETS: Final = """(WITH RECURSIVE octal(text, letter) AS
                    (SELECT printf('%o', $row.budget), char(96 + length(printf('%o', $row.budget)))),
                beginning(length) AS (SELECT 0 UNION ALL
                    SELECT length + 1 FROM beginning, octal WHERE length < length(text))
                SELECT group_concat(' ' || char(57345) || letter || substr(text, 1, length), '')
                FROM beginning, octal)"""
_STAYING: Final = """'all o' || replace($row.owner_id, '-', '')
            || coalesce(' c' || hex($row.category), '')
            || coalesce((SELECT group_concat(' k' || hex(lower(value)), '') FROM json_each($row.skills)), '')"""
_FACETS: Final = f"""{_STAYING}
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
_UNCOUNT: Final = """UPDATE skills SET jobs = jobs - named.times FROM
            (SELECT value COLLATE NOCASE AS name, count(*) AS times FROM json_each($row.skills) GROUP BY 1) AS named
        WHERE skills.name = named.name AND $row.status <> 'deleted';
        DELETE FROM skills WHERE jobs = 0 AND name IN (SELECT value FROM json_each($row.skills));"""


def _of(row: str, *statements: str) -> str:
    return "\n        ".join(Template(statement).substitute(row=row) for statement in statements)


def _moving(name: str, facet: str) -> str:
    """The trigger for a column that changes while the words stay: its own facets are written anew."""
    old, new = _UNINDEX_PART.replace("$facet", facet), _INDEX_PART.replace("$facet", facet)
    return f"""CREATE TRIGGER jobs_indexed_{name} AFTER UPDATE OF {name} ON jobs
        WHEN OLD.{name} <> NEW.{name}
            AND (OLD.title, OLD.description, OLD.skills, OLD.category, OLD.status = 'deleted')
            IS (NEW.title, NEW.description, NEW.skills, NEW.category, NEW.status = 'deleted') BEGIN
        {_of("OLD", old)}
        {_of("NEW", new)}
        END"""


# Contentless: what is found is read from `jobs`. Sizes are for ranking, which nobody asks for. Of what a word may
# begin with, three letters are kept: longer beginnings are few words, shorter ones are whole words.
_STATEMENTS: Final = (
    """CREATE VIRTUAL TABLE job_index USING fts5(title, description, skills, facets,
        content='', columnsize=0, prefix='3', tokenize='unicode61 remove_diacritics 2')""",
    "CREATE VIRTUAL TABLE job_terms USING fts5vocab('job_index', 'instance')",
    f"""CREATE TRIGGER jobs_indexed AFTER INSERT ON jobs BEGIN
        {_of("NEW", _INDEX, _COUNT)}
        END""",
    f"""CREATE TRIGGER jobs_reindexed AFTER UPDATE OF title, description, skills, category, status ON jobs
        WHEN (OLD.title, OLD.description, OLD.skills, OLD.category, OLD.status = 'deleted')
            IS NOT (NEW.title, NEW.description, NEW.skills, NEW.category, NEW.status = 'deleted') BEGIN
        {_of("OLD", _UNINDEX)}
        {_of("NEW", _INDEX)}
        END""",
    _moving("status", _STATUS_FACET),
    _moving("budget", _BUDGET_FACETS),
    f"""CREATE TRIGGER jobs_skills_changed AFTER UPDATE OF skills, status ON jobs
        WHEN OLD.skills <> NEW.skills OR (OLD.status = 'deleted') <> (NEW.status = 'deleted') BEGIN
        {_of("OLD", _UNCOUNT)}
        {_of("NEW", _COUNT)}
        END""",
)
for _statement in _STATEMENTS:
    event.listen(jobs, "after_create", DDL(_statement.replace("%", "%%")))  # type: ignore[no-untyped-call]
