"""Marketplace statistics."""

from sqlalchemy import Connection, select

from services.schemas import Schema
from services.tables import statistics

_s = statistics.c

_STATISTICS = select(_s.open_jobs, _s.hires, _s.completed, _s.paid_out)


class Statistics(Schema, frozen=True):
    """Totals of the marketplace; `paid_out` is the amount paid to freelancers, in minor units."""

    open_jobs: int
    hires: int
    completed: int
    paid_out: int


def get_statistics(tx: Connection) -> Statistics:
    """Return the exact totals from the one row that triggers maintain."""
    row = tx.execute(_STATISTICS).one()
    return Statistics(open_jobs=row.open_jobs, hires=row.hires, completed=row.completed, paid_out=row.paid_out)
