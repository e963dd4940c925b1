"""Places, withdraws and rejects bids."""

from typing import Any, Final

from sqlalchemy import Connection, Row, and_, bindparam, insert, literal_column, select, update
from sqlalchemy.exc import IntegrityError

from services.database.statements import Statement
from services.errors import Conflict, Forbidden, NotFound
from services.ids import new_id
from services.jobs import events, notification_drafts, transitions
from services.jobs.schemas import Bid
from services.notifications import inbox
from services.schemas import Person
from services.tables import bids, jobs, users
from services.times import to_rfc3339

# The hire notifies every rejected freelancer in its own transaction, and other writes wait for that transaction.
MAX_BIDS: Final = 1_000
# The message of the bid that an instant acceptance creates.
INSTANT_ACCEPT_MESSAGE: Final = "Accepted at the budget."

_b, _j = bids.c, jobs.c
# A literal: SQLite plans a statement again on each run if a bound value is compared with a partial index's column.
_IS_PENDING = _b.status == literal_column("'pending'")

# The job, its owner's name, and the pending bid that this freelancer already has on it.
_JOB = (
    select(_j.owner_id, _j.title, _j.currency, _j.status, _j.bid_count, users.c.name, _b.id.label("own_bid_id"))
    .join(users, users.c.id == _j.owner_id)
    .outerjoin(bids, and_(_b.job_id == _j.id, _b.freelancer_id == bindparam("freelancer_id"), _IS_PENDING))
    .where(_j.id == bindparam("job_id"))
)
_INSERT = insert(bids)
_OWN_BID = (
    select(_b.job_id, _b.status, users.c.name)
    .join(jobs, _j.id == _b.job_id)
    .join(users, users.c.id == _j.owner_id)
    .where(_b.id == bindparam("bid_id"), _b.freelancer_id == bindparam("freelancer_id"), _j.status != "deleted")
)
# SQLAlchemy would add a parameter named like a column of the updated table to SET, hence the prefix `where_`.
_REJECT_PENDING = Statement(
    update(bids)
    .where(_b.job_id == bindparam("where_job_id"), _IS_PENDING)
    .values(status="rejected", rejected_at=bindparam("rejected_at"))
    .returning(_b.freelancer_id)
)
_WITHDRAW_OWN = (
    update(bids)
    .where(_b.job_id == bindparam("where_job_id"), _b.freelancer_id == bindparam("where_freelancer_id"), _IS_PENDING)
    .values(status="withdrawn")
)
_UPDATE_COUNT_AT_BUDGET = (
    update(jobs)
    .where(_j.id == bindparam("job_id"), _j.status == "open", _j.budget == bindparam("where_budget"))
    .values(bid_count=_j.bid_count + bindparam("change"))
)
_WITHDRAW = update(bids).where(_b.id == bindparam("bid_id"), _IS_PENDING).values(status="withdrawn")


def place(tx: Connection, *, job_id: str, freelancer: Person, message: str, price: int, now: int) -> Bid:
    """Place a bid on an open job and notify its owner. `price` is in minor units of the job's currency.

    Raises NotFound, and Forbidden for the freelancer's own job. Raises Conflict if the job is not open, if the
    freelancer already has a pending bid on it, or if it has the maximum number of bids.
    """
    row = tx.execute(_JOB, {"job_id": job_id, "freelancer_id": freelancer.id}).one_or_none()
    job = _require_biddable(row, freelancer)
    events.update_bid_count(tx, job_id=job_id, owner_name=job.name, change=1, now=now)
    try:
        bid_id = _insert(tx, job_id, freelancer.id, message, price, now)
    except IntegrityError as error:
        raise _second_bid_error() from error
    draft = notification_drafts.bid_received(
        job_id=job_id, bid_id=bid_id, title=job.title, freelancer=freelancer, price=price, currency=job.currency
    )
    inbox.deliver(tx, items=[(job.owner_id, draft)], now=now)
    return Bid(
        id=bid_id,
        gig_id=job_id,
        freelancer=freelancer,
        message=message,
        price=price,
        status="pending",
        hired_at=None,
        rejected_at=None,
        created_at=to_rfc3339(now),
    )


def place_at_budget(tx: Connection, *, job_id: str, freelancer_id: str, budget: int, now: int) -> str:
    """Place a pending bid at the job's budget, replacing the freelancer's earlier one; return the new bid's id.

    Publishes nothing, because the caller hires this bid in the same transaction. Raises GigNotOpen if another
    freelancer was faster, and Conflict if the budget has changed.
    """
    count_parameters = {"job_id": job_id, "where_budget": budget}
    if not tx.execute(_UPDATE_COUNT_AT_BUDGET, {**count_parameters, "change": 1}).rowcount:
        raise transitions.conflict_error(tx, job_id=job_id)
    if tx.execute(_WITHDRAW_OWN, {"where_job_id": job_id, "where_freelancer_id": freelancer_id}).rowcount:
        tx.execute(_UPDATE_COUNT_AT_BUDGET, {**count_parameters, "change": -1})
    return _insert(tx, job_id, freelancer_id, INSTANT_ACCEPT_MESSAGE, budget, now)


def reject_pending(tx: Connection, *, job_id: str, now: int) -> list[str]:
    """Reject a job's pending bids and return their freelancers' ids. The caller notifies these freelancers."""
    rows = _REJECT_PENDING.all(tx, {"where_job_id": job_id, "rejected_at": now})
    return [freelancer_id for (freelancer_id,) in rows]


def withdraw(tx: Connection, *, bid_id: str, freelancer_id: str, now: int) -> None:
    """Withdraw the freelancer's own bid. Raises NotFound, and Conflict when the bid is no longer pending."""
    bid = tx.execute(_OWN_BID, {"bid_id": bid_id, "freelancer_id": freelancer_id}).one_or_none()
    if bid is None:
        raise NotFound
    if bid.status != "pending":
        raise Conflict("Only a pending bid can be withdrawn.", status=bid.status)
    events.update_bid_count(tx, job_id=bid.job_id, owner_name=bid.name, change=-1, now=now)
    if tx.execute(_WITHDRAW, {"bid_id": bid_id}).rowcount == 0:
        raise Conflict("Only a pending bid can be withdrawn.")


def _insert(tx: Connection, job_id: str, freelancer_id: str, message: str, price: int, now: int) -> str:
    """Insert a pending bid and return its id."""
    bid_id = new_id()
    row = {
        "id": bid_id,
        "job_id": job_id,
        "freelancer_id": freelancer_id,
        "message": message,
        "price": price,
        "status": "pending",
        "created_at": now,
    }
    tx.execute(_INSERT, row)
    return bid_id


def _require_biddable(job: Row[*tuple[Any, ...]] | None, freelancer: Person) -> Row[*tuple[Any, ...]]:
    if job is None or job.status == "deleted":
        raise NotFound
    if job.owner_id == freelancer.id:
        raise Forbidden("You cannot bid on your own job.")
    if job.status != "open":
        raise Conflict("This job no longer accepts bids.", status=job.status)
    if job.own_bid_id is not None:
        raise _second_bid_error()
    if job.bid_count >= MAX_BIDS:
        raise Conflict(f"This job has {MAX_BIDS:,} bids and can take no more.", status=job.status)
    return job


def _second_bid_error() -> Conflict:
    return Conflict("You already have a pending bid on this job. Withdraw it to place another.", status="pending")
