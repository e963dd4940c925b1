"""Bids and comments get the order in which they came; users, how many jobs they did; jobs' texts, one spelling."""

import json
from collections.abc import Iterator
from typing import Any
from unicodedata import is_normalized, normalize

from alembic import op
from sqlalchemy import Connection, text

revision = "0006"
down_revision = "0005"

# So far SQLite has numbered the rows as they came, and VACUUM keeps the order.
_STATEMENTS = (
    "PRAGMA legacy_alter_table=ON",  # or what refers to `bids` would follow it to its new name
    "ALTER TABLE bids RENAME TO bids_0004",
    """
    CREATE TABLE bids (
        seq INTEGER NOT NULL,
        id VARCHAR(36) NOT NULL,
        job_id VARCHAR(36) NOT NULL,
        freelancer_id VARCHAR(36) NOT NULL,
        message VARCHAR(5000) NOT NULL,
        price BIGINT NOT NULL CONSTRAINT ck_bids_price CHECK (price > 0),
        status VARCHAR(16) NOT NULL,
        created_at BIGINT NOT NULL,
        hired_at BIGINT,
        rejected_at BIGINT,
        hired_for VARCHAR(36) GENERATED ALWAYS AS (CASE WHEN status = 'hired' THEN job_id END) STORED,
        CONSTRAINT pk_bids PRIMARY KEY (seq),
        CONSTRAINT ck_bids_status CHECK (status IN ('pending','hired','rejected','withdrawn')),
        CONSTRAINT ck_bids_hired_time CHECK ((status = 'hired') = (hired_at IS NOT NULL)),
        CONSTRAINT ck_bids_rejected_time CHECK ((status = 'rejected') = (rejected_at IS NOT NULL)),
        CONSTRAINT fk_bids_hired_for_id FOREIGN KEY(hired_for, id) REFERENCES jobs (id, hired_bid_id),
        CONSTRAINT uq_bids_job_id_id UNIQUE (job_id, id),
        CONSTRAINT uq_bids_id UNIQUE (id),
        CONSTRAINT fk_bids_job_id FOREIGN KEY(job_id) REFERENCES jobs (id),
        CONSTRAINT fk_bids_freelancer_id FOREIGN KEY(freelancer_id) REFERENCES users (id)
    )
    """,
    """
    INSERT INTO bids (id, job_id, freelancer_id, message, price, status, created_at, hired_at, rejected_at)
    SELECT id, job_id, freelancer_id, message, price, status, created_at, hired_at, rejected_at
    FROM bids_0004 ORDER BY rowid
    """,
    "DROP TABLE bids_0004",
    """
    CREATE INDEX ix_bids_freelancer_id_hired ON bids (freelancer_id) WHERE status = 'hired'
    """,
    """
    CREATE INDEX ix_bids_freelancer_id_seq ON bids (freelancer_id, seq)
    """,
    """
    CREATE INDEX ix_bids_job_id_freelancer_id_seq ON bids (job_id, freelancer_id, seq)
    """,
    """
    CREATE INDEX ix_bids_job_id_seq ON bids (job_id, seq)
    """,
    """
    CREATE UNIQUE INDEX uq_bids_one_hired ON bids (job_id) WHERE status = 'hired'
    """,
    """
    CREATE UNIQUE INDEX uq_bids_one_pending ON bids (job_id, freelancer_id) WHERE status = 'pending'
    """,
    "ALTER TABLE comments RENAME TO comments_0004",
    """
    CREATE TABLE comments (
        seq INTEGER NOT NULL,
        id VARCHAR(36) NOT NULL,
        job_id VARCHAR(36) NOT NULL,
        author_id VARCHAR(36) NOT NULL,
        text VARCHAR(2000) NOT NULL,
        created_at BIGINT NOT NULL,
        CONSTRAINT pk_comments PRIMARY KEY (seq),
        CONSTRAINT uq_comments_id UNIQUE (id),
        CONSTRAINT fk_comments_job_id FOREIGN KEY(job_id) REFERENCES jobs (id),
        CONSTRAINT fk_comments_author_id FOREIGN KEY(author_id) REFERENCES users (id)
    )
    """,
    """
    INSERT INTO comments (id, job_id, author_id, text, created_at)
    SELECT id, job_id, author_id, text, created_at FROM comments_0004 ORDER BY rowid
    """,
    "DROP TABLE comments_0004",
    """
    CREATE INDEX ix_comments_job_id_seq_author_id ON comments (job_id, seq, author_id)
    """,
    "PRAGMA legacy_alter_table=OFF",
    "ALTER TABLE users ADD COLUMN jobs_done BIGINT DEFAULT '0' NOT NULL CONSTRAINT ck_users_jobs_done CHECK (jobs_done >= 0)",
    """
    UPDATE users SET jobs_done = done.jobs FROM (
        SELECT who, count(*) AS jobs FROM (
            SELECT owner_id AS who FROM jobs WHERE status = 'completed'
            UNION ALL SELECT freelancer_id FROM jobs JOIN bids ON bids.id = hired_bid_id
            WHERE jobs.status = 'completed')
        GROUP BY who) AS done
    WHERE users.id = done.who
    """,
    """
    CREATE TRIGGER jobs_done AFTER UPDATE OF status ON jobs
        WHEN NEW.status = 'completed' AND OLD.status <> 'completed' BEGIN
        UPDATE users SET jobs_done = jobs_done + 1
            WHERE id IN (NEW.owner_id, (SELECT freelancer_id FROM bids WHERE id = NEW.hired_bid_id));
        END
    """,
)
_JOBS = "SELECT seq, title, description, category, skills FROM jobs"
_JOB = """
    UPDATE jobs SET title = :title, description = :description, category = :category, skills = :skills WHERE seq = :seq
"""
_SKILLED = "SELECT id, skills FROM users WHERE skills <> '[]'"
_USER = "UPDATE users SET skills = :skills WHERE id = :id"


def upgrade() -> None:
    """Number the rows, count what is done, and compose (NFC) what is searched; the triggers index it anew."""
    for statement in _STATEMENTS:
        op.execute(statement)
    tx = op.get_bind()
    for rows, change in ((_JOBS, _JOB), (_SKILLED, _USER)):
        # All of them first: a table is not to be changed while it is read.
        for row in list(_to_compose(tx, rows)):
            tx.execute(text(change), row)


def _to_compose(tx: Connection, rows: str) -> Iterator[dict[str, Any]]:
    for row in tx.execute(text(rows)).mappings():
        if all(is_normalized("NFC", value) for value in row.values() if isinstance(value, str)):
            continue
        composed = {name: normalize("NFC", value) if isinstance(value, str) else value for name, value in row.items()}
        skills = list(dict.fromkeys(normalize("NFC", skill) for skill in json.loads(row["skills"])))
        yield composed | {"skills": json.dumps(skills, ensure_ascii=False, separators=(",", ":"))}
