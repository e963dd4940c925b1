"""Public user profiles."""

import msgspec
from sqlalchemy import Connection, bindparam, select

from services.accounts.schemas import Profile
from services.errors import NotFound
from services.tables import users
from services.times import to_rfc3339

_u = users.c

_FIND = select(_u.id, _u.name, _u.role, _u.skills, _u.jobs_done, _u.created_at).where(
    _u.id == bindparam("id"), _u.disabled_at.is_(None)
)


def get_profile(tx: Connection, *, user_id: str) -> Profile:
    """Return the public profile of a user; `jobs_done` counts completed jobs that the user did or posted.

    Raises NotFound also for a disabled user.
    """
    row = tx.execute(_FIND, {"id": user_id}).one_or_none()
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
