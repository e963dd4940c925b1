"""Reads bids, for their freelancer and for the job's owner."""

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

_OWNER = select(jobs.c.owner_id).where(jobs.c.id == bindparam("job_id"), jobs.c.status != "deleted")


def _page_statement(*conditions: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    return (
        select(_b.seq, *COLUMNS, users.c.name.label("freelancer_name"))
        .join(users, users.c.id == _b.freelancer_id)
        .where(_b.seq < bindparam("before_seq"), *conditions)
        .order_by(_b.seq.desc())
        .limit(bindparam("limit"))
    )


_FOR_JOB = _page_statement(_b.job_id == bindparam("job_id"))
_FOR_JOB_AND_FREELANCER = _page_statement(
    _b.job_id == bindparam("job_id"), _b.freelancer_id == bindparam("freelancer_id")
)
_FOR_FREELANCER = _page_statement(_b.freelancer_id == bindparam("freelancer_id")).join(
    jobs, and_(jobs.c.id == _b.job_id, jobs.c.status != "deleted")
)


def to_schema(row: Row[*tuple[Any, ...]], freelancer_name: str) -> Bid:
    """Convert a row with `COLUMNS` to the object that its freelancer and the job's owner receive."""
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
    """Return a page of a job's bids, newest first. The owner sees all bids, other users only their own.

    Raises NotFound if the job does not exist, and InvalidField for an invalid page token.
    """
    owner_id = tx.execute(_OWNER, {"job_id": job_id}).scalar_one_or_none()
    if owner_id is None:
        raise NotFound
    parameters = {"job_id": job_id, "before_seq": pagination.seq_from_token(after), "limit": limit + 1}
    if owner_id == reader_id:
        return _page(tx, _FOR_JOB, parameters, limit)
    return _page(tx, _FOR_JOB_AND_FREELANCER, {**parameters, "freelancer_id": reader_id}, limit)


def list_for_freelancer(
    tx: Connection, *, freelancer_id: str, limit: int = pagination.DEFAULT_LIMIT, after: str | None = None
) -> Page[Bid]:
    """Return a page of a freelancer's bids on all jobs except deleted ones, newest first.

    Raises InvalidField for an invalid page token.
    """
    parameters = {
        "freelancer_id": freelancer_id,
        "before_seq": pagination.seq_from_token(after),
        "limit": limit + 1,
    }
    return _page(tx, _FOR_FREELANCER, parameters, limit)


def _page(tx: Connection, statement: Select[*tuple[Any, ...]], parameters: dict[str, Any], limit: int) -> Page[Bid]:
    rows = tx.execute(statement, parameters).all()
    return pagination.make_page(
        rows, limit=limit, to_item=lambda row: to_schema(row, row.freelancer_name), key=lambda row: row.seq
    )
