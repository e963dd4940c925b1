"""Jobs for tests, brought to any state by the units of work that serve real people."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, func, select

from services.accounts import users
from services.database.outbox import PendingEvent
from services.jobs import bidding, hiring, posting, status_change
from services.jobs.lifecycle import Deadlines
from services.jobs.schemas import Job, JobStatus
from services.jobs.transitions import TransitionResult
from services.payments import wallet
from services.schemas import Person, Role
from services.tables import accounts, transfers
from services.tables import bids as bid_rows
from services.tables import jobs as table_jobs
from services.times import DAY_MS

NOW: Final = 1_700_000_000_000
FUNDS: Final = 100_000
DEADLINES: Final = Deadlines(review_ms=7 * DAY_MS, delivery_ms=30 * DAY_MS)


def person(tx: Connection, name: str = "Ann", role: Role = "freelancer", funds: int = 0) -> Person:
    made = users.create(tx, email=None, password_hash=None, name=name, role=role, now=NOW)
    if funds:
        wallet.deposit(tx, user_id=made.id, amount=funds, now=NOW)
    return Person(id=made.id, name=name)


def post(tx: Connection, owner: Person, *, budget: int = 5_000, now: int = NOW, **fields: Any) -> Job:
    return posting.post(
        tx, owner=owner, title="Fix it", description="All", budget=budget, currency="USD", now=now, **fields
    )


def bid(tx: Connection, job: Job, freelancer: Person, price: int = 4_000) -> str:
    return bidding.place(tx, job_id=job.id, freelancer=freelancer, message="Me", price=price, now=NOW).id


def change_status(
    tx: Connection,
    job: Job,
    user: Person,
    target: JobStatus,
    *,
    role: Role = "freelancer",
    note: str | None = None,
    deadlines: Deadlines = DEADLINES,
    now: int = NOW,
) -> TransitionResult:
    return status_change.change_status(
        tx, job_id=job.id, user=user, role=role, target=target, note=note, deadlines=deadlines, now=now
    )


@dataclass(frozen=True)
class PostedJob:
    """A job, its owner (Olga, a client), the freelancer who was or will be hired, and one who was not."""

    job: Job
    owner: Person
    ann: Person
    bob: Person


# How a job gets to each state from `assigned`.
_PATHS: Final[dict[str, tuple[JobStatus, ...]]] = {
    "assigned": (),
    "in_progress": ("in_progress",),
    "submitted": ("in_progress", "submitted"),
    "completed": ("in_progress", "submitted", "completed"),
}


def create_job(tx: Connection, /, status: str = "open", **fields: Any) -> PostedJob:
    """A job in this state (open to completed); Ann bid 4,000 of the budget of 5,000, Bob 4,500."""
    owner, ann, bob = person(tx, "Olga", "client", FUNDS), person(tx, "Ann"), person(tx, "Bob")
    job = post(tx, owner, **fields)
    hers, _ = bid(tx, job, ann), bid(tx, job, bob, 4_500)
    if status != "open":
        hiring.hire(tx, bid_id=hers, owner_id=owner.id, now=NOW)
        for step in _PATHS[status]:
            change_status(tx, job, owner if step == "completed" else ann, step)
    return PostedJob(job, owner, ann, bob)


def balances(tx: Connection, *users: Person) -> list[tuple[int, int]]:
    """Available and held of each."""
    found: dict[str, int] = {row.id: row.balance for row in tx.execute(select(accounts))}
    return [(found.get(f"available:{one.id}", 0), found.get(f"held:{one.id}", 0)) for one in users]


def check_ledger(tx: Connection, /) -> None:
    """Every account is what its transfers make it, all of them sum to zero, and what is held is held for jobs."""
    moved: dict[str, int] = {}
    for row in tx.execute(select(transfers)):
        moved[row.from_account] = moved.get(row.from_account, 0) - row.amount
        moved[row.to_account] = moved.get(row.to_account, 0) + row.amount
    assert {row.id: row.balance for row in tx.execute(select(accounts))} == moved
    assert sum(moved.values()) == 0
    owed = select(table_jobs.c.owner_id, func.sum(table_jobs.c.held).label("total")).group_by("owner_id")
    held = {f"held:{row.owner_id}": row.total for row in tx.execute(owed)}
    assert {name: amount for name, amount in moved.items() if name.startswith("held:")} == held


def bid_statuses(tx: Connection, job: Job) -> dict[str, str]:
    """The status of each freelancer's bid, by their id; the newest of each."""
    rows = tx.execute(select(bid_rows).where(bid_rows.c.job_id == job.id).order_by(bid_rows.c.seq))
    return {row.freelancer_id: row.status for row in rows}


def job_channel_events(events: list[PendingEvent]) -> list[tuple[str, dict[str, Any]]]:
    """What the channel `jobs` hears: type and data."""
    return [(draft.type, msgspec.json.decode(draft.data)) for draft in events if draft.channel == "jobs"]


def notifications_for(events: list[PendingEvent], user: Person) -> list[dict[str, Any]]:
    """The notifications somebody hears of."""
    mine = (draft for draft in events if draft.channel == f"user:{user.id}" and draft.type == "notification")
    return [msgspec.json.decode(draft.data) for draft in mine]
