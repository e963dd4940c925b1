"""Money: the books, and what is held for each job; jobs get the rest of their life."""

import uuid_utils
from alembic import op
from sqlalchemy import Connection, text

from services.migrations.m0002_books import BOOKS, MOVE, OPEN
from services.migrations.m0002_search import COUNTED, SEARCH

revision = "0002"
down_revision = "0001"

_JOBS = (
    "PRAGMA legacy_alter_table=ON",  # or what refers to `jobs` would follow it to its new name
    "ALTER TABLE jobs RENAME TO jobs_0001",
    """
    CREATE TABLE jobs (
        seq INTEGER NOT NULL,
        id VARCHAR(36) NOT NULL,
        owner_id VARCHAR(36) NOT NULL,
        title VARCHAR(120) NOT NULL,
        description TEXT NOT NULL,
        budget BIGINT NOT NULL CONSTRAINT ck_jobs_budget CHECK (budget > 0),
        currency VARCHAR(3) NOT NULL,
        category VARCHAR(40),
        skills TEXT DEFAULT '[]' NOT NULL,
        status VARCHAR(16) NOT NULL,
        bid_count BIGINT DEFAULT '0' NOT NULL CONSTRAINT ck_jobs_bid_count CHECK (bid_count >= 0),
        hired_bid_id VARCHAR(36),
        hired_at BIGINT,
        expires_at BIGINT,
        instant_accept BIGINT NOT NULL CONSTRAINT ck_jobs_instant_accept CHECK (instant_accept IN (0, 1)),
        held BIGINT NOT NULL,
        accepted_at BIGINT,
        due_at BIGINT,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        quiet_until BIGINT DEFAULT '0' NOT NULL,
        untold BIGINT NOT NULL CONSTRAINT ck_jobs_untold CHECK (untold IN (0, 1)),
        CONSTRAINT pk_jobs PRIMARY KEY (seq),
        CONSTRAINT ck_jobs_status CHECK (status IN ('open','assigned','in_progress','submitted','completed','cancelled','expired','deleted')),
        CONSTRAINT ck_jobs_open_holds_budget CHECK (status <> 'open' OR held = budget),
        CONSTRAINT ck_jobs_at_work_holds_price CHECK (status NOT IN ('assigned','in_progress','submitted') OR held > 0),
        CONSTRAINT ck_jobs_over_holds_nothing CHECK (status NOT IN ('completed','cancelled','expired','deleted') OR held = 0),
        CONSTRAINT ck_jobs_due CHECK (due_at IS NULL OR status IN ('open','submitted')),
        CONSTRAINT ck_jobs_hired_pair CHECK ((hired_bid_id IS NULL) = (hired_at IS NULL)),
        CONSTRAINT ck_jobs_hired_has_bid CHECK (status NOT IN ('assigned','in_progress','submitted','completed') OR hired_bid_id IS NOT NULL),
        CONSTRAINT ck_jobs_open_has_no_bid CHECK (status NOT IN ('open','expired','deleted') OR hired_bid_id IS NULL),
        CONSTRAINT fk_jobs_id_hired_bid_id FOREIGN KEY(id, hired_bid_id) REFERENCES bids (job_id, id),
        CONSTRAINT uq_jobs_id_hired_bid_id UNIQUE (id, hired_bid_id),
        CONSTRAINT uq_jobs_id UNIQUE (id),
        CONSTRAINT fk_jobs_owner_id FOREIGN KEY(owner_id) REFERENCES users (id)
    )
    """,
    *SEARCH,
    """
    INSERT INTO jobs
    SELECT NULL, id, owner_id, title, description, budget, currency, category, skills, status, bid_count, hired_bid_id,
        hired_at, expires_at, instant_accept,
        CASE WHEN status = 'open' THEN budget
            WHEN status IN ('assigned','in_progress','submitted')
            THEN (SELECT price FROM bids WHERE bids.id = hired_bid_id) ELSE 0 END,
        NULL, NULL, created_at, updated_at, quiet_until, untold
    FROM jobs_0001 ORDER BY id
    """,
    "DROP TABLE jobs_0001",
    "PRAGMA legacy_alter_table=OFF",
    """
    CREATE INDEX ix_jobs_due_at ON jobs (due_at) WHERE due_at IS NOT NULL
    """,
    """
    CREATE INDEX ix_jobs_owner_id_status ON jobs (owner_id, status)
    """,
    """
    CREATE INDEX ix_jobs_untold ON jobs (quiet_until) WHERE untold = 1
    """,
    """
    CREATE INDEX ix_bids_freelancer_id_hired ON bids (freelancer_id) WHERE status = 'hired'
    """,
)


def upgrade() -> None:
    """Make the books. Jobs posted before there was money are paid for by a deposit, so that each can be finished."""
    for statement in (*_JOBS, *BOOKS, *COUNTED):
        op.execute(statement)
    tx = op.get_bind()
    for job in tx.execute(text("SELECT id, owner_id, held, created_at FROM jobs WHERE held > 0 ORDER BY id")).all():
        available, held = f"available:{job.owner_id}", f"held:{job.owner_id}"
        for kind in ("available", "held"):
            tx.execute(text(OPEN), {"owner": job.owner_id, "kind": kind})
        _transfer(tx, "deposit", "outside", available, job.held, None, job.created_at)
        _transfer(tx, "hold", available, held, job.held, job.id, job.created_at)


def _transfer(tx: Connection, kind: str, source: str, target: str, amount: int, job_id: str | None, at: int) -> None:
    row = {"id": str(uuid_utils.uuid7()), "kind": kind, "amount": amount, "job_id": job_id, "at": at}
    tx.execute(text(MOVE), row | {"source": source, "target": target})
