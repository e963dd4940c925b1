"""Jobs: posted by clients, read by anybody."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET
from sqlalchemy import Connection, bindparam, insert, select

from services import limits
from services import text as services_text
from services.errors import InvalidField, NotFound
from services.ids import new_id
from services.jobs import events
from services.jobs.schemas import Job
from services.payments import wallet
from services.schemas import Person
from services.tables import jobs, users

_LONGEST: Final = {"title": limits.TITLE, "description": limits.DESCRIPTION, "category": limits.CATEGORY}

_j = jobs.c

_POST = insert(jobs)
_SHOWN = (
    select(*events.COLUMNS, users.c.name.label("owner_name"))
    .join(users, users.c.id == _j.owner_id)
    .where(_j.status != "deleted")
)
_ONE = _SHOWN.where(_j.id == bindparam("which"))


def post(
    tx: Connection,
    *,
    owner: Person,
    title: str,
    description: str,
    budget: int,
    currency: str,
    category: str | None = None,
    skills: Iterable[str] = (),
    expires_at: int | None = None,
    instant_accept: bool = False,
    now: int,
) -> Job:
    """Post an open job, hold its budget and tell everybody. `budget` is in minor units of `currency` (ISO 4217).

    The job expires at `expires_at` (ms); with `instant_accept` the first freelancer who asks has it at the budget.
    Raises InvalidField (it would have expired already, a text is too long), BooksFrozen and InsufficientFunds.
    """
    check_expiry(expires_at, now)
    wallet.require_funds(tx, user_id=owner.id, amount=budget)
    job_id = new_id()
    row = {
        "id": job_id,
        "owner_id": owner.id,
        **normalize_text({"title": title, "description": description, "category": category, "skills": skills}),
        "budget": budget,
        "currency": currency,
        "status": "open",
        "bid_count": 0,
        "expires_at": expires_at,
        "due_at": expires_at,
        "instant_accept": int(instant_accept),
        "held": budget,
        "created_at": now,
        "updated_at": now,
        "quiet_until": 0,
        "untold": 0,
    }
    tx.execute(_POST, row)
    wallet.hold(tx, owner_id=owner.id, job_id=job_id, amount=budget, now=now)
    job = one(tx, job_id=job_id)
    events.created(tx, job, now=now)
    return job


def one(tx: Connection, *, job_id: str) -> Job:
    """A job. Raises NotFound."""
    row = tx.execute(_ONE, {"which": job_id}).one_or_none()
    if row is None:
        raise NotFound
    return events.to_schema(row, row.owner_name)


def check_expiry(expires_at: int | None, now: int) -> None:
    """Raises InvalidField for a job that would be over before it begins."""
    if expires_at is not None and expires_at <= now:
        raise InvalidField("/expiresAt", "range", "A job expires in the future.")


def normalize_text(given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a job's texts that are given, by their columns, as a row keeps them and as they are searched.

    Raises InvalidField (length).
    """
    kept: dict[str, Any] = {
        name: text if text is None else services_text.check_searchable(text, f"/{name}", most)
        for name, most in _LONGEST.items()
        if (text := given.get(name, UNSET)) is not UNSET
    }
    if "skills" in given:
        kept["skills"] = msgspec.json.encode(services_text.skills(given["skills"])).decode()
    return kept
