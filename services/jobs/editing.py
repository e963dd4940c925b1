"""Edits an open job; the held amount follows the budget."""

from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import Connection, bindparam, select, update

from services.errors import Conflict, Forbidden
from services.jobs import events, listing, posting, transitions
from services.jobs.schemas import Job
from services.payments import wallet
from services.tables import jobs

_j = jobs.c

_EDITABLE: Final = (
    _j.title,
    _j.description,
    _j.budget,
    _j.category,
    _j.skills,
    _j.expires_at,
    _j.instant_accept,
)
_CURRENT = select(*_EDITABLE).where(_j.id == bindparam("job_id"))
# The condition on the budget protects the hold, which changes by the difference to exactly this budget.
_EDIT = (
    update(jobs)
    .where(_j.id == bindparam("job_id"), _j.status == "open", _j.budget == bindparam("old_budget"))
    .values({column: bindparam(f"new_{column.name}") for column in _EDITABLE})
    .values(held=bindparam("new_budget"), due_at=bindparam("new_expires_at"), **events.DEBOUNCE_VALUES)
    .returning(*events.CHANGED_COLUMNS)
)


class JobEdit(Struct, frozen=True, kw_only=True):
    """The fields of a job to change; unset fields stay. `budget` is in minor units, `expires_at` in ms."""

    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    budget: int | UnsetType = UNSET
    category: str | UnsetType | None = UNSET
    skills: list[str] | UnsetType = UNSET
    expires_at: int | UnsetType | None = UNSET
    instant_accept: bool | UnsetType = UNSET

    def to_row(self, now: int) -> dict[str, Any]:
        """Return the new column values. Raises InvalidField for an expiry in the past or a text that is too long."""
        changes = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not UNSET}
        posting.check_expiry(changes.get("expires_at"), now)
        return changes | posting.normalize_text(changes)


def edit(tx: Connection, *, job_id: str, owner_id: str, edit: JobEdit, now: int) -> Job:
    """Edit the owner's open job and adjust the held amount to the budget; bids stay unchanged.

    Raises NotFound, Forbidden, Conflict (not open), InvalidField, InsufficientFunds and PaymentsFrozen.
    """
    job = listing.get_job(tx, job_id=job_id)
    if job.owner.id != owner_id:
        raise Forbidden("Only the job's owner can edit it.")
    if job.status != "open":
        raise Conflict("Only an open job can be edited.", status=job.status)
    changes = edit.to_row(now)
    if not changes:
        return job
    row = {**tx.execute(_CURRENT, {"job_id": job_id}).mappings().one(), **changes}
    increase = row["budget"] - job.budget
    if increase:
        wallet.require_funds(tx, user_id=owner_id, amount=increase)
    parameters = {"job_id": job_id, "old_budget": job.budget} | {f"new_{name}": value for name, value in row.items()}
    edited = tx.execute(_EDIT, parameters | events.debounce_parameters(now)).one_or_none()
    if edited is None:
        status = transitions.load_status(tx, job_id=job_id)
        raise Conflict("This job has just been changed. Reload it and try again.", status=status)
    wallet.change_hold(tx, owner_id=owner_id, job_id=job_id, old=job.budget, new=row["budget"], now=now)
    return events.publish_changed(tx, edited, job.owner.name, now=now)
