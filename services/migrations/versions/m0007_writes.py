"""What is written for nothing: a job's budget into the index when only its status changes, and indexes nobody reads."""

from alembic import op

revision = "0007"
down_revision = "0006"

_STATEMENTS = (
    "DROP INDEX ix_notifications_unread",
    "DROP INDEX ix_pushes_created_at",
    "DROP TRIGGER jobs_indexed_moving",
    """
    CREATE TRIGGER jobs_indexed_status AFTER UPDATE OF status ON jobs
        WHEN OLD.status <> NEW.status
            AND (OLD.title, OLD.description, OLD.skills, OLD.category, OLD.status = 'deleted')
            IS (NEW.title, NEW.description, NEW.skills, NEW.category, NEW.status = 'deleted') BEGIN
        INSERT INTO job_index (job_index, rowid, facets)
        SELECT 'delete', OLD.seq, char(57344) || replace(OLD.status, '_', '')
        WHERE OLD.status <> 'deleted';
        INSERT INTO job_index (rowid, facets)
        SELECT NEW.seq, char(57344) || replace(NEW.status, '_', '')
        WHERE NEW.status <> 'deleted';
        END
    """,
    """
    CREATE TRIGGER jobs_indexed_budget AFTER UPDATE OF budget ON jobs
        WHEN OLD.budget <> NEW.budget
            AND (OLD.title, OLD.description, OLD.skills, OLD.category, OLD.status = 'deleted')
            IS (NEW.title, NEW.description, NEW.skills, NEW.category, NEW.status = 'deleted') BEGIN
        INSERT INTO job_index (job_index, rowid, facets)
        SELECT 'delete', OLD.seq, (WITH RECURSIVE octal(text, letter) AS
                    (SELECT printf('%o', OLD.budget), char(96 + length(printf('%o', OLD.budget)))),
                beginning(length) AS (SELECT 0 UNION ALL
                    SELECT length + 1 FROM beginning, octal WHERE length < length(text))
                SELECT group_concat(' ' || char(57345) || letter || substr(text, 1, length), '') FROM beginning, octal)
        WHERE OLD.status <> 'deleted';
        INSERT INTO job_index (rowid, facets)
        SELECT NEW.seq, (WITH RECURSIVE octal(text, letter) AS
                    (SELECT printf('%o', NEW.budget), char(96 + length(printf('%o', NEW.budget)))),
                beginning(length) AS (SELECT 0 UNION ALL
                    SELECT length + 1 FROM beginning, octal WHERE length < length(text))
                SELECT group_concat(' ' || char(57345) || letter || substr(text, 1, length), '') FROM beginning, octal)
        WHERE NEW.status <> 'deleted';
        END
    """,
)


def upgrade() -> None:
    """Indexes go that no plan has; other triggers write the same words, so what is indexed stays as it is."""
    for statement in _STATEMENTS:
        op.execute(statement)
