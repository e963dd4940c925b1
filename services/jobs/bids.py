"""Bids as those see them who may: the freelancer who made one, and the owner of the job."""

from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, select

from services import pagination
from services.errors import NotFound
from services.jobs.schemas import Bid
from services.pagination import Page
from services.schemas import Person
from services.tables import bids, jobs, users
from services.times import to_rfc3339, to_rfc3339_or_none

_b = bids.c

COLUMNS: Final = (
    _b.id,
    _b.job_id,
    _b.freelancer_id,
    _b.message,
    _b.price,
    _b.status,
    _b.hired_at,
    _b.rejected_at,
    _b.created_at,
)

_OWNER = select(jobs.c.owner_id).where(jobs.c.id == bindparam("which"), jobs.c.status != "deleted")


def _list(*narrowed: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    return (
        select(_b.seq, *COLUMNS, users.c.name.label("freelancer_name"))
        .join(users, users.c.id == _b.freelancer_id)
        .where(_b.seq < bindparam("below"), *narrowed)
        .order_by(_b.seq.desc())
        .limit(bindparam("most"))
    )


_OF_JOB = _list(_b.job_id == bindparam("which"))
_OWN_OF_JOB = _list(_b.job_id == bindparam("which"), _b.freelancer_id == bindparam("who"))
_OWN = _list(_b.freelancer_id == bindparam("who")).join(jobs, and_(jobs.c.id == _b.job_id, jobs.c.status != "deleted"))


def to_schema(row: Row[*tuple[Any, ...]], freelancer_name: str) -> Bid:
    """A row with `COLUMNS` as its freelancer and the job's owner see it."""
    return Bid(
        id=row.id,
        gig_id=row.job_id,
        freelancer=Person(id=row.freelancer_id, name=freelancer_name),
        message=row.message,
        price=row.price,
        status=row.status,
        hired_at=to_rfc3339_or_none(row.hired_at),
        rejected_at=to_rfc3339_or_none(row.rejected_at),
        created_at=to_rfc3339(row.created_at),
    )


def list_for_job(
    tx: Connection, *, job_id: str, reader_id: str, limit: int = pagination.DEFAULT_LIMIT, after: str | None = None
) -> Page[Bid]:
    """A page of a job's bids, the newest first: all for its owner, for anybody else their own.

    Raises NotFound when there is no such job, and InvalidField.
    """
    owner_id = tx.execute(_OWNER, {"which": job_id}).scalar_one_or_none()
    if owner_id is None:
        raise NotFound
    asked = {"which": job_id, "below": pagination.seq_from_token(after), "most": limit + 1}
    if owner_id == reader_id:
        return _page(tx, _OF_JOB, asked, limit)
    return _page(tx, _OWN_OF_JOB, {**asked, "who": reader_id}, limit)


def list_for_freelancer(
    tx: Connection, *, freelancer_id: str, limit: int = pagination.DEFAULT_LIMIT, after: str | None = None
) -> Page[Bid]:
    """A page of a freelancer's bids on all jobs but deleted ones, the newest first. Raises InvalidField."""
    asked = {"who": freelancer_id, "below": pagination.seq_from_token(after), "most": limit + 1}
    return _page(tx, _OWN, asked, limit)


def _page(tx: Connection, statement: Select[*tuple[Any, ...]], asked: dict[str, Any], limit: int) -> Page[Bid]:
    rows = tx.execute(statement, asked).all()
    return pagination.page(
        rows, limit=limit, show=lambda row: to_schema(row, row.freelancer_name), key=lambda row: row.seq
    )
