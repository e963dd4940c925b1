"""The market in numbers, which triggers keep: exact, and one row to read however many jobs there are."""

from sqlalchemy import Connection, select

from services.schemas import Schema
from services.tables import statistics

_t = statistics.c

_TOTALS = select(_t.open_jobs, _t.hires, _t.completed, _t.paid_out)


class Statistics(Schema, frozen=True):
    """The market in numbers; `paid_out` is what freelancers were paid, in minor units."""

    open_jobs: int
    hires: int
    completed: int
    paid_out: int


def get_statistics(tx: Connection) -> Statistics:
    """How many jobs are open, were given to somebody, were completed, and what was paid for these."""
    row = tx.execute(_TOTALS).one()
    return Statistics(open_jobs=row.open_jobs, hires=row.hires, completed=row.completed, paid_out=row.paid_out)
