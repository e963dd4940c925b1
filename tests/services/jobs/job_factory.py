"""Jobs for tests, brought to any status by the normal units of work."""

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
    """Create a user with `funds` minor units in the wallet."""
    user = users.create(tx, email=None, password_hash=None, name=name, role=role, now=NOW)
    if funds:
        wallet.deposit(tx, user_id=user.id, amount=funds, now=NOW)
    return Person(id=user.id, name=name)


def post(tx: Connection, owner: Person, *, budget: int = 5_000, now: int = NOW, **fields: Any) -> Job:
    """Post an open job."""
    return posting.post(
        tx, owner=owner, title="Fix it", description="All", budget=budget, currency="USD", now=now, **fields
    )


def bid(tx: Connection, job: Job, freelancer: Person, price: int = 4_000) -> str:
    """Place a bid and return its id."""
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
    """Change a job's status as the user would."""
    return status_change.change_status(
        tx, job_id=job.id, user=user, role=role, target=target, note=note, deadlines=deadlines, now=now
    )


@dataclass(frozen=True)
class PostedJob:
    """A job, its owner (Olga, a client), and two bidders: Ann, who is or will be hired, and Bob."""

    job: Job
    owner: Person
    ann: Person
    bob: Person


# The status changes that lead from `assigned` to each status.
_PATHS: Final[dict[str, tuple[JobStatus, ...]]] = {
    "assigned": (),
    "in_progress": ("in_progress",),
    "submitted": ("in_progress", "submitted"),
    "completed": ("in_progress", "submitted", "completed"),
}


def create_job(tx: Connection, /, status: str = "open", **fields: Any) -> PostedJob:
    """Create a job in a status from open to completed. Its budget is 5,000; Ann bids 4,000 and Bob 4,500."""
    owner, ann, bob = person(tx, "Olga", "client", FUNDS), person(tx, "Ann"), person(tx, "Bob")
    job = post(tx, owner, **fields)
    ann_bid, _ = bid(tx, job, ann), bid(tx, job, bob, 4_500)
    if status != "open":
        hiring.hire(tx, bid_id=ann_bid, owner_id=owner.id, now=NOW)
        for target in _PATHS[status]:
            change_status(tx, job, owner if target == "completed" else ann, target)
    return PostedJob(job, owner, ann, bob)


def balances(tx: Connection, *users: Person) -> list[tuple[int, int]]:
    """Return the available and held balance of each user."""
    by_account: dict[str, int] = {row.id: row.balance for row in tx.execute(select(accounts))}
    return [(by_account.get(f"available:{user.id}", 0), by_account.get(f"held:{user.id}", 0)) for user in users]


def check_ledger(tx: Connection, /) -> None:
    """Check that transfers explain every balance, all balances sum to zero, and jobs explain every held amount."""
    totals: dict[str, int] = {}
    for row in tx.execute(select(transfers)):
        totals[row.from_account] = totals.get(row.from_account, 0) - row.amount
        totals[row.to_account] = totals.get(row.to_account, 0) + row.amount
    assert {row.id: row.balance for row in tx.execute(select(accounts))} == totals
    assert sum(totals.values()) == 0
    held_for_jobs = select(table_jobs.c.owner_id, func.sum(table_jobs.c.held).label("total")).group_by("owner_id")
    held = {f"held:{row.owner_id}": row.total for row in tx.execute(held_for_jobs)}
    assert {name: amount for name, amount in totals.items() if name.startswith("held:")} == held


def bid_statuses(tx: Connection, job: Job) -> dict[str, str]:
    """Return the status of each freelancer's newest bid, by user id."""
    rows = tx.execute(select(bid_rows).where(bid_rows.c.job_id == job.id).order_by(bid_rows.c.seq))
    return {row.freelancer_id: row.status for row in rows}


def job_channel_events(events: list[PendingEvent]) -> list[tuple[str, dict[str, Any]]]:
    """Return the type and data of the events on the channel `jobs`."""
    return [(event.type, msgspec.json.decode(event.data)) for event in events if event.channel == "jobs"]


def notifications_for(events: list[PendingEvent], user: Person) -> list[dict[str, Any]]:
    """Return the data of the user's notification events."""
    channel = f"user:{user.id}"
    return [
        msgspec.json.decode(event.data) for event in events if event.channel == channel and event.type == "notification"
    ]
