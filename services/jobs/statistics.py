"""The market in numbers, which triggers keep: exact, and one row to read however many jobs there are."""

from sqlalchemy import Connection, select

from services.schemas import Shape
from services.tables import totals

_t = totals.c

_TOTALS = select(_t.open_jobs, _t.hires, _t.completed, _t.paid_out)


class Stats(Shape, frozen=True):
    """The market in numbers; `paid_out` is what freelancers were paid, in minor units."""

    open_jobs: int
    hires: int
    completed: int
    paid_out: int


def read(tx: Connection) -> Stats:
    """How many jobs are open, were given to somebody, were completed, and what was paid for these."""
    row = tx.execute(_TOTALS).one()
    return Stats(open_jobs=row.open_jobs, hires=row.hires, completed=row.completed, paid_out=row.paid_out)
