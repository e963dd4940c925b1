"""What everybody may know of a user."""

from typing import Final

import msgspec
from sqlalchemy import Connection, bindparam, func, select

from services.errors import NotFound
from services.shapes import Profile
from services.tables import bids, jobs, users
from services.times import render

_u = users.c

_ONE = select(_u.id, _u.name, _u.role, _u.skills, _u.created_at).where(
    _u.id == bindparam("which"), _u.disabled_at.is_(None)
)
_DONE_BY: Final = (
    select(func.count())
    .select_from(bids)
    .join(jobs, jobs.c.id == bids.c.job_id)
    .where(bids.c.freelancer_id == bindparam("which"), bids.c.status == "hired", jobs.c.status == "completed")
)
_DONE_FOR: Final = (
    select(func.count()).select_from(jobs).where(jobs.c.owner_id == bindparam("which"), jobs.c.status == "completed")
)


def one(tx: Connection, *, user_id: str) -> Profile:
    """A user's public profile; `jobs_done` are completed jobs, done by a freelancer or for a client.

    Raises NotFound: those who are shut out have none, though what they wrote still bears their names.
    """
    row = tx.execute(_ONE, {"which": user_id}).one_or_none()
    if row is None:
        raise NotFound
    done = tx.execute(_DONE_BY if row.role == "freelancer" else _DONE_FOR, {"which": user_id}).scalar_one()
    return Profile(
        id=row.id,
        name=row.name,
        role=row.role,
        skills=msgspec.json.decode(row.skills),
        jobs_done=done,
        member_since=render(row.created_at),
    )
