"""Totals of the marketplace, kept by triggers."""

from sqlalchemy import DDL, BigInteger, CheckConstraint, Column, Table, event

from services.tables.columns import metadata
from services.tables.jobs import jobs
from services.tables.payments import transfers

statistics = Table(
    "statistics",
    metadata,
    Column("id", BigInteger, CheckConstraint("id = 1", name="one_row"), primary_key=True, autoincrement=False),
    Column("open_jobs", BigInteger, nullable=False),
    Column("hires", BigInteger, nullable=False),
    Column("completed", BigInteger, nullable=False),
    # In minor units.
    Column("paid_out", BigInteger, nullable=False),
)

_TRIGGERS = (
    (
        jobs,
        """CREATE TRIGGER jobs_counted AFTER INSERT ON jobs BEGIN
        UPDATE statistics SET open_jobs = open_jobs + (NEW.status = 'open'),
            hires = hires + (NEW.hired_bid_id IS NOT NULL), completed = completed + (NEW.status = 'completed');
        END""",
    ),
    (
        jobs,
        """CREATE TRIGGER jobs_recounted AFTER UPDATE OF status, hired_bid_id ON jobs BEGIN
        UPDATE statistics SET open_jobs = open_jobs + (NEW.status = 'open') - (OLD.status = 'open'),
            hires = hires + (NEW.hired_bid_id IS NOT NULL) - (OLD.hired_bid_id IS NOT NULL),
            completed = completed + (NEW.status = 'completed') - (OLD.status = 'completed');
        END""",
    ),
    (
        jobs,
        # `completed` is a final state, so a job is counted once.
        """CREATE TRIGGER jobs_completed AFTER UPDATE OF status ON jobs
        WHEN NEW.status = 'completed' AND OLD.status <> 'completed' BEGIN
        UPDATE users SET jobs_done = jobs_done + 1
            WHERE id IN (NEW.owner_id, (SELECT freelancer_id FROM bids WHERE id = NEW.hired_bid_id));
        END""",
    ),
    (
        transfers,
        """CREATE TRIGGER transfers_counted AFTER INSERT ON transfers WHEN NEW.kind = 'payment' BEGIN
        UPDATE statistics SET paid_out = paid_out + NEW.amount;
        END""",
    ),
)
for _table, _trigger in _TRIGGERS:
    event.listen(_table, "after_create", DDL(_trigger))  # type: ignore[no-untyped-call]
