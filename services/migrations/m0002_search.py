"""What lists are found by, totals and comments, as 0002 makes them: before the jobs are copied, and after the books."""

from typing import Final

# The triggers index and count the jobs that are copied after them.
SEARCH: Final = (
    """
    CREATE TABLE skills (
        name VARCHAR(40) COLLATE "NOCASE" NOT NULL,
        jobs BIGINT NOT NULL CONSTRAINT ck_skills_jobs CHECK (jobs >= 0),
        CONSTRAINT pk_skills PRIMARY KEY (name)
    )
    """,
    """
    CREATE TABLE totals (
        id BIGINT NOT NULL CONSTRAINT ck_totals_one_row CHECK (id = 1),
        open_jobs BIGINT NOT NULL,
        hires BIGINT NOT NULL,
        completed BIGINT NOT NULL,
        paid_out BIGINT NOT NULL,
        CONSTRAINT pk_totals PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE comments (
        id VARCHAR(36) NOT NULL,
        job_id VARCHAR(36) NOT NULL,
        author_id VARCHAR(36) NOT NULL,
        text VARCHAR(2000) NOT NULL,
        created_at BIGINT NOT NULL,
        CONSTRAINT pk_comments PRIMARY KEY (id),
        CONSTRAINT fk_comments_job_id FOREIGN KEY(job_id) REFERENCES jobs (id),
        CONSTRAINT fk_comments_author_id FOREIGN KEY(author_id) REFERENCES users (id)
    )
    """,
    """
    CREATE INDEX ix_comments_job_id_id_author_id ON comments (job_id, id, author_id)
    """,
    "INSERT INTO totals (id, open_jobs, hires, completed, paid_out) VALUES (1, 0, 0, 0, 0)",
    """
    CREATE VIRTUAL TABLE job_index USING fts5(title, description, skills, facets,
        content='', columnsize=0, prefix='3', tokenize='unicode61 remove_diacritics 2')
    """,
    """
    CREATE VIRTUAL TABLE job_terms USING fts5vocab('job_index', 'instance')
    """,
    """
    CREATE TRIGGER jobs_indexed AFTER INSERT ON jobs BEGIN
        INSERT INTO job_index (rowid, title, description, skills, facets)
        SELECT NEW.seq, NEW.title, NEW.description, NEW.skills,
            'all s' || replace(NEW.status, '_', '') || ' o' || replace(NEW.owner_id, '-', '')
            || coalesce(' c' || hex(NEW.category), '')
            || coalesce((SELECT group_concat(' k' || hex(lower(value)), '') FROM json_each(NEW.skills)), '')
            || (WITH RECURSIVE octal(text, letter) AS
                    (SELECT printf('%o', NEW.budget), char(96 + length(printf('%o', NEW.budget)))),
                beginning(length) AS (SELECT 0 UNION ALL
                    SELECT length + 1 FROM beginning, octal WHERE length < length(text))
                SELECT group_concat(' b' || letter || substr(text, 1, length), '') FROM beginning, octal)
        WHERE NEW.status <> 'deleted';
        INSERT INTO skills (name, jobs) SELECT value, 1 FROM json_each(NEW.skills)
        WHERE NEW.status <> 'deleted' ON CONFLICT (name) DO UPDATE SET jobs = jobs + 1;
        END
    """,
    """
    CREATE TRIGGER jobs_indexed_anew AFTER UPDATE OF title, description, skills, category, budget, status ON jobs
        WHEN (OLD.title, OLD.description, OLD.skills, OLD.category, OLD.budget, OLD.status)
            IS NOT (NEW.title, NEW.description, NEW.skills, NEW.category, NEW.budget, NEW.status) BEGIN
        INSERT INTO job_index (job_index, rowid, title, description, skills, facets)
        SELECT 'delete', OLD.seq, OLD.title, OLD.description, OLD.skills,
            'all s' || replace(OLD.status, '_', '') || ' o' || replace(OLD.owner_id, '-', '')
            || coalesce(' c' || hex(OLD.category), '')
            || coalesce((SELECT group_concat(' k' || hex(lower(value)), '') FROM json_each(OLD.skills)), '')
            || (WITH RECURSIVE octal(text, letter) AS
                    (SELECT printf('%o', OLD.budget), char(96 + length(printf('%o', OLD.budget)))),
                beginning(length) AS (SELECT 0 UNION ALL
                    SELECT length + 1 FROM beginning, octal WHERE length < length(text))
                SELECT group_concat(' b' || letter || substr(text, 1, length), '') FROM beginning, octal)
        WHERE OLD.status <> 'deleted';
        INSERT INTO job_index (rowid, title, description, skills, facets)
        SELECT NEW.seq, NEW.title, NEW.description, NEW.skills,
            'all s' || replace(NEW.status, '_', '') || ' o' || replace(NEW.owner_id, '-', '')
            || coalesce(' c' || hex(NEW.category), '')
            || coalesce((SELECT group_concat(' k' || hex(lower(value)), '') FROM json_each(NEW.skills)), '')
            || (WITH RECURSIVE octal(text, letter) AS
                    (SELECT printf('%o', NEW.budget), char(96 + length(printf('%o', NEW.budget)))),
                beginning(length) AS (SELECT 0 UNION ALL
                    SELECT length + 1 FROM beginning, octal WHERE length < length(text))
                SELECT group_concat(' b' || letter || substr(text, 1, length), '') FROM beginning, octal)
        WHERE NEW.status <> 'deleted';
        END
    """,
    """
    CREATE TRIGGER jobs_skills_changed AFTER UPDATE OF skills, status ON jobs
        WHEN OLD.skills <> NEW.skills OR (OLD.status = 'deleted') <> (NEW.status = 'deleted') BEGIN
        UPDATE skills SET jobs = jobs - named.times FROM
            (SELECT value COLLATE NOCASE AS name, count(*) AS times FROM json_each(OLD.skills) GROUP BY 1) AS named
        WHERE skills.name = named.name AND OLD.status <> 'deleted';
        DELETE FROM skills WHERE jobs = 0 AND name IN (SELECT value FROM json_each(OLD.skills));
        INSERT INTO skills (name, jobs) SELECT value, 1 FROM json_each(NEW.skills)
        WHERE NEW.status <> 'deleted' ON CONFLICT (name) DO UPDATE SET jobs = jobs + 1;
        END
    """,
    """
    CREATE TRIGGER jobs_counted AFTER INSERT ON jobs BEGIN
        UPDATE totals SET open_jobs = open_jobs + (NEW.status = 'open'),
            hires = hires + (NEW.hired_bid_id IS NOT NULL), completed = completed + (NEW.status = 'completed');
        END
    """,
    """
    CREATE TRIGGER jobs_counted_anew AFTER UPDATE OF status, hired_bid_id ON jobs BEGIN
        UPDATE totals SET open_jobs = open_jobs + (NEW.status = 'open') - (OLD.status = 'open'),
            hires = hires + (NEW.hired_bid_id IS NOT NULL) - (OLD.hired_bid_id IS NOT NULL),
            completed = completed + (NEW.status = 'completed') - (OLD.status = 'completed');
        END
    """,
)

COUNTED: Final = (
    """
    CREATE TRIGGER transfers_counted AFTER INSERT ON transfers WHEN NEW.kind = 'payment' BEGIN
        UPDATE totals SET paid_out = paid_out + NEW.amount;
        END
    """,
)
