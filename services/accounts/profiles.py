"""What everybody may know of a user."""

import msgspec
from sqlalchemy import Connection, bindparam, select

from services.accounts.schemas import Profile
from services.errors import NotFound
from services.tables import users
from services.times import to_rfc3339

_u = users.c

_ONE = select(_u.id, _u.name, _u.role, _u.skills, _u.jobs_done, _u.created_at).where(
    _u.id == bindparam("which"), _u.disabled_at.is_(None)
)


def get_profile(tx: Connection, *, user_id: str) -> Profile:
    """A user's public profile; `jobs_done` are completed jobs that they did or posted.

    Raises NotFound: those who are shut out have none, though what they wrote still bears their names.
    """
    row = tx.execute(_ONE, {"which": user_id}).one_or_none()
    if row is None:
        raise NotFound
    return Profile(
        id=row.id,
        name=row.name,
        role=row.role,
        skills=msgspec.json.decode(row.skills),
        jobs_done=row.jobs_done,
        member_since=to_rfc3339(row.created_at),
    )
