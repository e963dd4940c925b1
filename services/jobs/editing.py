"""Editing an open job: what its owner changes of it, the hold that follows the budget, and what everybody hears."""

from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import Connection, bindparam, select, update

from services.errors import Conflict, Forbidden
from services.jobs import events, posting, transitions
from services.jobs.schemas import Job
from services.payments import wallet
from services.tables import jobs as table_jobs

_j = table_jobs.c

_EDITABLE: Final = (
    _j.title,
    _j.description,
    _j.budget,
    _j.category,
    _j.skills,
    _j.expires_at,
    _j.instant_accept,
)
_AS_IT_IS = select(*_EDITABLE).where(_j.id == bindparam("which"))
# The hold moves by the difference to this budget and to no other.
_EDIT = (
    update(table_jobs)
    .where(_j.id == bindparam("which"), _j.status == "open", _j.budget == bindparam("old_budget"))
    .values({column: bindparam(f"new_{column.name}") for column in _EDITABLE})
    .values(held=bindparam("new_budget"), due_at=bindparam("new_expires_at"), **events.DEBOUNCE_VALUES)
    .returning(*events.CHANGED_COLUMNS)
)


class JobEdit(Struct, frozen=True, kw_only=True):
    """What to change of a job; the rest stays. `budget` is in minor units, `expires_at` in ms."""

    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    budget: int | UnsetType = UNSET
    category: str | UnsetType | None = UNSET
    skills: list[str] | UnsetType = UNSET
    expires_at: int | UnsetType | None = UNSET
    instant_accept: bool | UnsetType = UNSET

    def columns(self, now: int) -> dict[str, Any]:
        """The new values of a row's columns. Raises InvalidField: an expiry that has passed, a text too long."""
        given = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not UNSET}
        posting.check_expiry(given.get("expires_at"), now)
        return given | posting.normalize_text(given)


def edit(tx: Connection, *, job_id: str, owner_id: str, edit: JobEdit, now: int) -> Job:
    """Change one's own open job. The hold follows the budget; bids stay as they are.

    Raises NotFound, Forbidden, Conflict (not open), InvalidField, InsufficientFunds and BooksFrozen.
    """
    job = posting.one(tx, job_id=job_id)
    if job.owner.id != owner_id:
        raise Forbidden("Only its owner can change a job.")
    if job.status != "open":
        raise Conflict("Only an open job can be changed.", status=job.status)
    given = edit.columns(now)
    if not given:
        return job
    new = {**tx.execute(_AS_IT_IS, {"which": job_id}).mappings().one(), **given}
    more = new["budget"] - job.budget
    if more:
        wallet.require_funds(tx, user_id=owner_id, amount=more)
    asked = {f"new_{name}": value for name, value in new.items()}
    row = tx.execute(
        _EDIT, {"which": job_id, "old_budget": job.budget, **asked, **events.changed_at(now)}
    ).one_or_none()
    if row is None:
        raise Conflict("This job has changed just now.", status=transitions.load_status(tx, job_id=job_id))
    wallet.change_hold(tx, owner_id=owner_id, job_id=job_id, old=job.budget, new=new["budget"], now=now)
    return events.publish_changed(tx, row, job.owner.name, now=now)
