"""Jobs from before 0002 get back the deadlines that it did not copy; the index of jobs keeps apart what moves."""

from typing import Final

from alembic import op

revision = "0005"
down_revision = "0004"

_DAY = 86_400_000
_DEADLINES = (
    "UPDATE jobs SET due_at = expires_at WHERE status = 'open' AND due_at IS NULL AND expires_at IS NOT NULL",
    # A submitted job was changed last when it was submitted; a review was 7 days unless somebody said otherwise.
    f"UPDATE jobs SET due_at = updated_at + {7 * _DAY} WHERE status = 'submitted' AND due_at IS NULL",
    # When the freelancer said yes nobody wrote down; it was not before the hire.
    "UPDATE jobs SET accepted_at = hired_at WHERE status IN ('in_progress','submitted') AND accepted_at IS NULL",
)
FILL: Final = """
    INSERT INTO job_index (rowid, title, description, skills, facets)
        SELECT jobs.seq, jobs.title, jobs.description, jobs.skills,
            'all o' || replace(jobs.owner_id, '-', '')
            || coalesce(' c' || hex(jobs.category), '')
            || coalesce((SELECT group_concat(' k' || hex(lower(value)), '') FROM json_each(jobs.skills)), '')
            || ' ' || char(57344) || replace(jobs.status, '_', '')
            || (WITH RECURSIVE octal(text, letter) AS
                    (SELECT printf('%o', jobs.budget), char(96 + length(printf('%o', jobs.budget)))),
                beginning(length) AS (SELECT 0 UNION ALL
                    SELECT length + 1 FROM beginning, octal WHERE length < length(text))
                SELECT group_concat(' ' || char(57345) || letter || substr(text, 1, length), '') FROM beginning, octal)
        FROM jobs WHERE jobs.status <> 'deleted' ORDER BY jobs.seq
"""
# Status and budget are other words than before, so every job is indexed anew.
_INDEX = (
    "DROP TRIGGER jobs_indexed",
    "DROP TRIGGER jobs_indexed_anew",
    "DROP TABLE job_terms",
    "DROP TABLE job_index",
    """
    CREATE VIRTUAL TABLE job_index USING fts5(title, description, skills, facets,
        content='', columnsize=0, prefix='3', tokenize='unicode61 remove_diacritics 2')
    """,
    """
    CREATE VIRTUAL TABLE job_terms USING fts5vocab('job_index', 'instance')
    """,
    FILL,
    """
    CREATE TRIGGER jobs_indexed AFTER INSERT ON jobs BEGIN
        INSERT INTO job_index (rowid, title, description, skills, facets)
        SELECT NEW.seq, NEW.title, NEW.description, NEW.skills,
            'all o' || replace(NEW.owner_id, '-', '')
            || coalesce(' c' || hex(NEW.category), '')
            || coalesce((SELECT group_concat(' k' || hex(lower(value)), '') FROM json_each(NEW.skills)), '')
            || ' ' || char(57344) || replace(NEW.status, '_', '')
            || (WITH RECURSIVE octal(text, letter) AS
                    (SELECT printf('%o', NEW.budget), char(96 + length(printf('%o', NEW.budget)))),
                beginning(length) AS (SELECT 0 UNION ALL
                    SELECT length + 1 FROM beginning, octal WHERE length < length(text))
                SELECT group_concat(' ' || char(57345) || letter || substr(text, 1, length), '') FROM beginning, octal)
        WHERE NEW.status <> 'deleted';
        INSERT INTO skills (name, jobs) SELECT value, 1 FROM json_each(NEW.skills)
        WHERE NEW.status <> 'deleted' ON CONFLICT (name) DO UPDATE SET jobs = jobs + 1;
        END
    """,
    """
    CREATE TRIGGER jobs_indexed_anew AFTER UPDATE OF title, description, skills, category, status ON jobs
        WHEN (OLD.title, OLD.description, OLD.skills, OLD.category, OLD.status = 'deleted')
            IS NOT (NEW.title, NEW.description, NEW.skills, NEW.category, NEW.status = 'deleted') BEGIN
        INSERT INTO job_index (job_index, rowid, title, description, skills, facets)
        SELECT 'delete', OLD.seq, OLD.title, OLD.description, OLD.skills,
            'all o' || replace(OLD.owner_id, '-', '')
            || coalesce(' c' || hex(OLD.category), '')
            || coalesce((SELECT group_concat(' k' || hex(lower(value)), '') FROM json_each(OLD.skills)), '')
            || ' ' || char(57344) || replace(OLD.status, '_', '')
            || (WITH RECURSIVE octal(text, letter) AS
                    (SELECT printf('%o', OLD.budget), char(96 + length(printf('%o', OLD.budget)))),
                beginning(length) AS (SELECT 0 UNION ALL
                    SELECT length + 1 FROM beginning, octal WHERE length < length(text))
                SELECT group_concat(' ' || char(57345) || letter || substr(text, 1, length), '') FROM beginning, octal)
        WHERE OLD.status <> 'deleted';
        INSERT INTO job_index (rowid, title, description, skills, facets)
        SELECT NEW.seq, NEW.title, NEW.description, NEW.skills,
            'all o' || replace(NEW.owner_id, '-', '')
            || coalesce(' c' || hex(NEW.category), '')
            || coalesce((SELECT group_concat(' k' || hex(lower(value)), '') FROM json_each(NEW.skills)), '')
            || ' ' || char(57344) || replace(NEW.status, '_', '')
            || (WITH RECURSIVE octal(text, letter) AS
                    (SELECT printf('%o', NEW.budget), char(96 + length(printf('%o', NEW.budget)))),
                beginning(length) AS (SELECT 0 UNION ALL
                    SELECT length + 1 FROM beginning, octal WHERE length < length(text))
                SELECT group_concat(' ' || char(57345) || letter || substr(text, 1, length), '') FROM beginning, octal)
        WHERE NEW.status <> 'deleted';
        END
    """,
    """
    CREATE TRIGGER jobs_indexed_moving AFTER UPDATE OF budget, status ON jobs
        WHEN (OLD.title, OLD.description, OLD.skills, OLD.category, OLD.status = 'deleted')
            IS (NEW.title, NEW.description, NEW.skills, NEW.category, NEW.status = 'deleted')
            AND (OLD.budget, OLD.status) <> (NEW.budget, NEW.status) BEGIN
        INSERT INTO job_index (job_index, rowid, facets)
        SELECT 'delete', OLD.seq, char(57344) || replace(OLD.status, '_', '')
            || (WITH RECURSIVE octal(text, letter) AS
                    (SELECT printf('%o', OLD.budget), char(96 + length(printf('%o', OLD.budget)))),
                beginning(length) AS (SELECT 0 UNION ALL
                    SELECT length + 1 FROM beginning, octal WHERE length < length(text))
                SELECT group_concat(' ' || char(57345) || letter || substr(text, 1, length), '') FROM beginning, octal)
        WHERE OLD.status <> 'deleted';
        INSERT INTO job_index (rowid, facets)
        SELECT NEW.seq, char(57344) || replace(NEW.status, '_', '')
            || (WITH RECURSIVE octal(text, letter) AS
                    (SELECT printf('%o', NEW.budget), char(96 + length(printf('%o', NEW.budget)))),
                beginning(length) AS (SELECT 0 UNION ALL
                    SELECT length + 1 FROM beginning, octal WHERE length < length(text))
                SELECT group_concat(' ' || char(57345) || letter || substr(text, 1, length), '') FROM beginning, octal)
        WHERE NEW.status <> 'deleted';
        END
    """,
)


def upgrade() -> None:
    """Deadlines only where 0002 left a gap: what was posted or moved since has its times."""
    for statement in (*_DEADLINES, *_INDEX):
        op.execute(statement)
