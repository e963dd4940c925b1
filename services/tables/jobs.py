"""Jobs, bids and comments.

Constraints keep one hired bid per job, and keep status, hired bid and held amount consistent.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from services.tables.columns import ID, TIME, flag_column, metadata, none_of, one_of, seq_column, user_column

_ACTIVE = ("assigned", "in_progress", "submitted")
_HIRED = (*_ACTIVE, "completed")
_CLOSED = ("completed", "cancelled", "expired", "deleted")

jobs = Table(
    "jobs",
    metadata,
    # The order of the lists, and the row id in the search index, so it must not change when the file is copied.
    seq_column(),
    Column("id", ID, nullable=False, unique=True),
    user_column("owner_id"),
    Column("title", String(120), nullable=False),
    Column("description", Text, nullable=False),
    Column("budget", BigInteger, CheckConstraint("budget > 0", name="budget"), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("category", String(40)),
    Column("skills", Text, nullable=False, server_default="[]"),
    Column("status", String(16), nullable=False),
    Column(
        "bid_count",
        BigInteger,
        CheckConstraint("bid_count >= 0", name="bid_count"),
        nullable=False,
        server_default="0",
    ),
    Column("hired_bid_id", ID),
    Column("hired_at", TIME),
    Column("expires_at", TIME),
    flag_column("instant_accept"),
    # The part of the owner's held balance that belongs to this job.
    Column("held", BigInteger, nullable=False),
    # When the hired freelancer accepted.
    Column("accepted_at", TIME),
    # When the hub acts without a request: an open job expires, or the review of a submitted job ends.
    Column("due_at", TIME),
    Column("created_at", TIME, nullable=False),
    Column("updated_at", TIME, nullable=False),
    # Changes by bids are published after this time, and whether there was one since the last publication.
    Column("publish_after", TIME, nullable=False, server_default="0"),
    flag_column("has_unpublished_changes"),
    CheckConstraint(one_of("status", "open", *_ACTIVE, *_CLOSED), name="status"),
    CheckConstraint("status <> 'open' OR held = budget", name="open_holds_budget"),
    CheckConstraint(f"{none_of('status', *_ACTIVE)} OR held > 0", name="active_holds_price"),
    CheckConstraint(f"{none_of('status', *_CLOSED)} OR held = 0", name="closed_holds_nothing"),
    CheckConstraint("due_at IS NULL OR status IN ('open','submitted')", name="due"),
    CheckConstraint("(hired_bid_id IS NULL) = (hired_at IS NULL)", name="hired_at_with_bid"),
    CheckConstraint(f"{none_of('status', *_HIRED)} OR hired_bid_id IS NOT NULL", name="hired_has_bid"),
    CheckConstraint(
        f"{none_of('status', 'open', 'expired', 'deleted')} OR hired_bid_id IS NULL", name="open_has_no_bid"
    ),
    # The hired bid belongs to this job. See also `bids.hired_job_id`.
    ForeignKeyConstraint(["id", "hired_bid_id"], ["bids.job_id", "bids.id"], use_alter=True),
    UniqueConstraint("id", "hired_bid_id"),
    # Job lists with filters use the search index, not indexes of this table.
    Index("ix_jobs_owner_id_status", "owner_id", "status"),
    Index("ix_jobs_due_at", "due_at", sqlite_where=text("due_at IS NOT NULL")),
    Index("ix_jobs_unpublished", "publish_after", sqlite_where=text("has_unpublished_changes = 1")),
)

bids = Table(
    "bids",
    metadata,
    # The order of the lists. Ids follow the clock, which may be set back.
    seq_column(),
    Column("id", ID, nullable=False, unique=True),
    Column("job_id", ID, ForeignKey("jobs.id"), nullable=False),
    user_column("freelancer_id"),
    Column("message", String(5000), nullable=False),
    Column("price", BigInteger, CheckConstraint("price > 0", name="price"), nullable=False),
    Column("status", String(16), nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("hired_at", TIME),
    Column("rejected_at", TIME),
    # The job, if this bid is hired. With the foreign key, a bid can be hired only if its job refers to it, and the
    # job can then neither refer to another bid nor drop the reference.
    Column("hired_job_id", ID, Computed("CASE WHEN status = 'hired' THEN job_id END", persisted=True)),
    CheckConstraint(one_of("status", "pending", "hired", "rejected", "withdrawn"), name="status"),
    CheckConstraint("(status = 'hired') = (hired_at IS NOT NULL)", name="hired_time"),
    CheckConstraint("(status = 'rejected') = (rejected_at IS NOT NULL)", name="rejected_time"),
    ForeignKeyConstraint(["hired_job_id", "id"], ["jobs.id", "jobs.hired_bid_id"]),
    UniqueConstraint("job_id", "id"),
    Index("ix_bids_job_id_seq", "job_id", "seq"),
    Index("ix_bids_job_id_freelancer_id_seq", "job_id", "freelancer_id", "seq"),
    Index("ix_bids_freelancer_id_seq", "freelancer_id", "seq"),
    Index("ix_bids_freelancer_id_hired", "freelancer_id", sqlite_where=text("status = 'hired'")),
    Index("uq_bids_one_hired", "job_id", unique=True, sqlite_where=text("status = 'hired'")),
    Index("uq_bids_one_pending", "job_id", "freelancer_id", unique=True, sqlite_where=text("status = 'pending'")),
)

comments = Table(
    "comments",
    metadata,
    # The order of the list, as in bids.
    seq_column(),
    Column("id", ID, nullable=False, unique=True),
    Column("job_id", ID, ForeignKey("jobs.id"), nullable=False),
    user_column("author_id"),
    Column("text", String(2000), nullable=False),
    Column("created_at", TIME, nullable=False),
    # The author is included so that earlier commenters are found in the index alone.
    Index("ix_comments_job_id_seq_author_id", "job_id", "seq", "author_id"),
)
