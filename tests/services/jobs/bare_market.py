"""A market in a test's transaction: people with money, and jobs as the test wants them."""

from typing import Any

from sqlalchemy import Connection, text

from services.accounts import users
from services.jobs import posting
from services.jobs.schemas import Job
from services.payments import wallet
from services.schemas import Person, Role

NOW = 1_800_000_000_000


def person(tx: Connection, role: Role = "client", name: str = "Ann", *, money: int = 10**15) -> Person:
    """Somebody with money."""
    made = users.create(tx, email=None, password_hash=None, name=name, role=role, now=NOW)
    for _ in range(max(1, money // 10**12) if money else 0):
        wallet.deposit(tx, user_id=made.id, amount=min(money, 10**12), now=NOW)
    return Person(id=made.id, name=made.name)


def post(tx: Connection, owner: Person, **fields: Any) -> Job:
    """An open job; what is not said of it is the same for all."""
    said: dict[str, Any] = {
        "title": "Fix it",
        "description": "All of it.",
        "budget": 1_000,
        "currency": "USD",
        "now": NOW,
    } | fields
    return posting.post(tx, owner=owner, **said)


def set_status(tx: Connection, job: Job, status: str) -> None:
    """Bring a job to a state in which nobody is hired."""
    held = "budget" if status == "open" else "0"
    tx.execute(
        text(f"UPDATE jobs SET status = :status, held = {held} WHERE id = :id"), {"status": status, "id": job.id}
    )
