"""Placing a bid and withdrawing it: the bid, the job's count of them, and what the owner and everybody hear."""

from typing import Any, Final

from sqlalchemy import Connection, Row, and_, bindparam, insert, literal_column, select, update
from sqlalchemy.exc import IntegrityError

from services.database.statements import Statement
from services.errors import Conflict, Forbidden, NotFound
from services.ids import new_id
from services.jobs import events, transitions
from services.jobs.schemas import Bid
from services.notifications import inbox
from services.payments import amounts
from services.schemas import Person
from services.tables import bids, jobs, users
from services.times import to_rfc3339

# Those who are not hired are all told in the transaction of the hire, which everybody else waits for.
MAX_BIDS: Final = 1_000
# What a bid says that was made by taking a job at once.
AT_ONCE: Final = "Accepted at the budget."

_b, _j = bids.c, jobs.c
# As text: SQLite plans anew at every run where a bound value is compared with what a partial index is about.
_IS_PENDING = _b.status == literal_column("'pending'")

# The job, its owner's name, and the bid that this freelancer may have open on it already.
_JOB = (
    select(_j.owner_id, _j.title, _j.currency, _j.status, _j.bid_count, users.c.name, _b.id.label("own_bid_id"))
    .join(users, users.c.id == _j.owner_id)
    .outerjoin(bids, and_(_b.job_id == _j.id, _b.freelancer_id == bindparam("who"), _IS_PENDING))
    .where(_j.id == bindparam("which"))
)
_PLACE = insert(bids)
_OWN_BID = (
    select(_b.job_id, _b.status, users.c.name)
    .join(jobs, _j.id == _b.job_id)
    .join(users, users.c.id == _j.owner_id)
    .where(_b.id == bindparam("which"), _b.freelancer_id == bindparam("who"), _j.status != "deleted")
)
_REJECT_PENDING = Statement(
    update(bids)
    .where(_b.job_id == bindparam("job"), _IS_PENDING)
    .values(status="rejected", rejected_at=bindparam("at"))
    .returning(_b.freelancer_id)
)
_WITHDRAW_OWN = (
    update(bids)
    .where(_b.job_id == bindparam("job"), _b.freelancer_id == bindparam("who"), _IS_PENDING)
    .values(status="withdrawn")
)
_COUNT_OFFER = (
    update(jobs)
    .where(_j.id == bindparam("which"), _j.status == "open", _j.budget == bindparam("price"))
    .values(bid_count=_j.bid_count + bindparam("by"))
)
_WITHDRAW = update(bids).where(_b.id == bindparam("which"), _IS_PENDING).values(status="withdrawn")


def place(tx: Connection, *, job_id: str, freelancer: Person, message: str, price: int, now: int) -> Bid:
    """Bid on an open job and tell its owner. `price` is in minor units of the job's currency.

    Raises NotFound, Forbidden (one's own job), and Conflict: the job is not open, has an open bid of this
    freelancer's already, or has as many bids as it can take.
    """
    job = _biddable(tx.execute(_JOB, {"which": job_id, "who": freelancer.id}).one_or_none(), freelancer)
    events.count_bids(tx, job_id=job_id, owner_name=job.name, by=1, now=now)
    try:
        bid_id = _add(tx, job_id, freelancer.id, message, price, now)
    except IntegrityError as error:
        raise _second() from error
    _tell_owner(tx, job, job_id, bid_id, freelancer, price, now)
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
    """A pending bid at the job's budget, in place of one they may have; its id. Nobody is told: a hire comes next.

    Raises GigNotOpen, and Conflict where the budget is another: somebody was faster.
    """
    if not tx.execute(_COUNT_OFFER, {"which": job_id, "price": budget, "by": 1}).rowcount:
        raise transitions.conflict_error(tx, job_id=job_id)
    if tx.execute(_WITHDRAW_OWN, {"job": job_id, "who": freelancer_id}).rowcount:
        tx.execute(_COUNT_OFFER, {"which": job_id, "price": budget, "by": -1})
    return _add(tx, job_id, freelancer_id, AT_ONCE, budget, now)


def reject_pending(tx: Connection, *, job_id: str, now: int) -> list[str]:
    """Reject the bids that are still pending; who made them. They are to be told by whoever calls."""
    return [freelancer_id for (freelancer_id,) in _REJECT_PENDING.all(tx, {"job": job_id, "at": now})]


def withdraw(tx: Connection, *, bid_id: str, freelancer_id: str, now: int) -> None:
    """Take one's own bid back. Raises NotFound, and Conflict when it is not pending any more."""
    bid = tx.execute(_OWN_BID, {"which": bid_id, "who": freelancer_id}).one_or_none()
    if bid is None:
        raise NotFound
    if bid.status != "pending":
        raise Conflict("Only a pending bid can be withdrawn.", status=bid.status)
    events.count_bids(tx, job_id=bid.job_id, owner_name=bid.name, by=-1, now=now)
    if tx.execute(_WITHDRAW, {"which": bid_id}).rowcount == 0:
        raise Conflict("Only a pending bid can be withdrawn.")


def _add(tx: Connection, job_id: str, freelancer_id: str, message: str, price: int, now: int) -> str:
    """A new pending bid; its id."""
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
    tx.execute(_PLACE, row)
    return bid_id


def _biddable(job: Row[*tuple[Any, ...]] | None, freelancer: Person) -> Row[*tuple[Any, ...]]:
    if job is None or job.status == "deleted":
        raise NotFound
    if job.owner_id == freelancer.id:
        raise Forbidden("You cannot bid on your own job.")
    if job.status != "open":
        raise Conflict("This job takes no more bids.", status=job.status)
    if job.own_bid_id is not None:
        raise _second()
    if job.bid_count >= MAX_BIDS:
        raise Conflict(f"This job has {MAX_BIDS:,} bids and can take no more.", status=job.status)
    return job


def _second() -> Conflict:
    return Conflict("You have an open bid on this job already; withdraw it to place another.", status="pending")


def _tell_owner(
    tx: Connection, job: Row[*tuple[Any, ...]], job_id: str, bid_id: str, freelancer: Person, price: int, now: int
) -> None:
    inbox.deliver_fields(
        tx,
        user_id=job.owner_id,
        type="bid_received",
        category="bid",
        title=f"New bid on {job.title}",
        body=f"{freelancer.name} offers to do it for {amounts.format_amount(price, job.currency)}.",
        data={
            "jobId": job_id,
            "bidId": bid_id,
            "title": job.title,
            "freelancer": {"id": freelancer.id, "name": freelancer.name},
            "price": price,
            "currency": job.currency,
        },
        url=events.job_url(job_id),
        icon="📝",
        invalidates=[events.cache_key(job_id)],
        now=now,
    )
