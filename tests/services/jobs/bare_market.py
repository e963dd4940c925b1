"""A bare market in the transaction of a test: users with money, and jobs in any status without a hire."""

from typing import Any

from sqlalchemy import Connection, text

from services.accounts import users
from services.jobs import posting
from services.jobs.schemas import Job
from services.payments import wallet
from services.schemas import Person, Role

NOW = 1_800_000_000_000
# The largest amount of one deposit.
_MAX_DEPOSIT = 10**12


def person(tx: Connection, role: Role = "client", name: str = "Ann", *, money: int = 10**15) -> Person:
    """Create a user with `money` minor units in the wallet."""
    user = users.create(tx, email=None, password_hash=None, name=name, role=role, now=NOW)
    for _ in range(max(1, money // _MAX_DEPOSIT) if money else 0):
        wallet.deposit(tx, user_id=user.id, amount=min(money, _MAX_DEPOSIT), now=NOW)
    return Person(id=user.id, name=user.name)


def post(tx: Connection, owner: Person, **fields: Any) -> Job:
    """Post an open job; `fields` replace the defaults."""
    defaults: dict[str, Any] = {
        "title": "Fix it",
        "description": "All of it.",
        "budget": 1_000,
        "currency": "USD",
        "now": NOW,
    }
    return posting.post(tx, owner=owner, **(defaults | fields))


def set_status(tx: Connection, job: Job, status: str) -> None:
    """Set the status of a job without a hired freelancer."""
    held = "budget" if status == "open" else "0"
    tx.execute(
        text(f"UPDATE jobs SET status = :status, held = {held} WHERE id = :id"), {"status": status, "id": job.id}
    )
