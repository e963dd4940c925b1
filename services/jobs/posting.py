"""Posts a job and checks its text and expiry."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET
from sqlalchemy import Connection, insert

from services import limits
from services import text as services_text
from services.errors import InvalidField
from services.ids import new_id
from services.jobs import events, listing
from services.jobs.schemas import Job
from services.payments import wallet
from services.schemas import Person
from services.tables import jobs

_MAX_LENGTHS: Final = {
    "title": limits.MAX_TITLE,
    "description": limits.MAX_DESCRIPTION,
    "category": limits.MAX_CATEGORY,
}

_INSERT = insert(jobs)


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
    """Post an open job, hold its budget and publish it. `budget` is in minor units of `currency` (ISO 4217).

    The job expires at `expires_at` (ms). With `instant_accept` the first freelancer to accept it is hired at the
    budget. Raises InvalidField (expiry in the past, text too long), PaymentsFrozen and InsufficientFunds.
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
        "publish_after": 0,
        "has_unpublished_changes": 0,
    }
    tx.execute(_INSERT, row)
    wallet.hold(tx, owner_id=owner.id, job_id=job_id, amount=budget, now=now)
    job = listing.get_job(tx, job_id=job_id)
    events.publish_created(tx, job, now=now)
    return job


def check_expiry(expires_at: int | None, now: int) -> None:
    """Raise InvalidField for an expiry that is not in the future. Both times are in ms; None is no expiry."""
    if expires_at is not None and expires_at <= now:
        raise InvalidField("/expiresAt", "range", "The expiry must be in the future.")


def normalize_text(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the column values of those text fields that `fields` contains, in the form that is stored and searched.

    Raises InvalidField (length).
    """
    values: dict[str, Any] = {
        name: text if text is None else services_text.check_searchable(text, f"/{name}", max_length)
        for name, max_length in _MAX_LENGTHS.items()
        if (text := fields.get(name, UNSET)) is not UNSET
    }
    if "skills" in fields:
        values["skills"] = msgspec.json.encode(services_text.normalize_skills(fields["skills"])).decode()
    return values
