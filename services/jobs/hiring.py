"""Hires the freelancer of a bid in one transaction."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, bindparam, select, update

from services.database.statements import IntegrityError, Statement
from services.errors import BidNotFound, BidNotPending, GigNotFound, GigNotOpen, NotGigOwner
from services.jobs import bidding, events, notification_drafts, transitions
from services.notifications import inbox
from services.payments import wallet
from services.schemas import Person, Schema
from services.tables import bids, jobs, users
from services.times import to_rfc3339

_b, _j = bids.c, jobs.c
_owners, _freelancers = users.alias("owners"), users.alias("freelancers")

_BID = Statement(
    select(
        _b.freelancer_id,
        _b.price,
        _b.status,
        _j.id.label("job_id"),
        _j.owner_id,
        _j.title,
        _j.budget,
        _j.currency,
        _j.status.label("job_status"),
        _j.hired_bid_id,
        _owners.c.name.label("owner_name"),
        _freelancers.c.name.label("freelancer_name"),
    )
    .outerjoin(jobs, _j.id == _b.job_id)
    .outerjoin(_owners, _owners.c.id == _j.owner_id)
    .outerjoin(_freelancers, _freelancers.c.id == _b.freelancer_id)
    .where(_b.id == bindparam("bid_id"))
)
# The first write of the transaction. Exactly one transaction changes this row; all others wait here without holding a
# lock. The condition on the budget protects the hold, which changes from exactly this budget to the price.
_ASSIGN = Statement(
    update(jobs)
    .where(_j.id == bindparam("job_id"), _j.status == "open", _j.budget == bindparam("old_budget"))
    .values(status="assigned", hired_bid_id=bindparam("bid_id"), hired_at=bindparam("now"), updated_at=bindparam("now"))
    .values(has_unpublished_changes=0, held=bindparam("price"), due_at=None)
    .returning(*events.COLUMNS)
)
_HIRE_BID = Statement(
    update(bids)
    .where(_b.id == bindparam("bid_id"), _b.status == "pending")
    .values(status="hired", hired_at=bindparam("now"))
)
HIRED_MESSAGE: Final = "Hired successfully"


class Hired(Schema, frozen=True):
    """The published response to a hire."""

    message: Literal["Hired successfully"]
    gig_id: str
    bid_id: str
    freelancer_id: str
    hired_at: str


@dataclass(frozen=True, slots=True)
class HireResult:
    """The response to a hire, and the other facts that its log line contains."""

    response: Hired
    title: str
    owner_name: str
    freelancer_name: str
    rejected: int


def hire(tx: Connection, *, bid_id: str, owner_id: str, now: int) -> HireResult:
    """Hire the freelancer of a bid, reject the job's other pending bids, notify all of them and publish the job.

    The held amount becomes the bid's price. Raises, in this order: BidNotFound, GigNotFound, NotGigOwner, GigNotOpen,
    BidNotPending, PaymentsFrozen, InsufficientFunds, and Conflict if the budget has just changed.
    """
    bid = _require_hireable(_BID.one_or_none(tx, {"bid_id": bid_id}), owner_id)
    wallet.require_funds(tx, user_id=owner_id, amount=bid.price - bid.budget)
    job = _assign(tx, bid, bid_id, now)
    wallet.change_hold(tx, owner_id=owner_id, job_id=bid.job_id, old=bid.budget, new=bid.price, now=now)
    rejected_ids = bidding.reject_pending(tx, job_id=bid.job_id, now=now)
    _notify(tx, bid, bid_id, rejected_ids, now)
    events.publish_updated(tx, events.to_schema(job, bid.owner_name), now=now)
    response = Hired(
        message=HIRED_MESSAGE,
        gig_id=bid.job_id,
        bid_id=bid_id,
        freelancer_id=bid.freelancer_id,
        hired_at=to_rfc3339(now),
    )
    return HireResult(response, bid.title, bid.owner_name, bid.freelancer_name, len(rejected_ids))


def _require_hireable(bid: Any, owner_id: str) -> Any:
    """Check the row of `_BID` in the published order of the errors."""
    if bid is None:
        raise BidNotFound
    if bid.job_id is None or bid.job_status == "deleted":
        raise GigNotFound
    if bid.owner_id != owner_id:
        raise NotGigOwner
    if bid.job_status != "open":
        raise GigNotOpen(bid.job_status, bid.hired_bid_id)
    if bid.status != "pending":
        raise BidNotPending(bid.status)
    return bid


def _assign(tx: Connection, bid: Any, bid_id: str, now: int) -> Any:
    """Assign the job and mark the bid hired; return the job's row.

    Raises GigNotOpen, BidNotPending or Conflict if another transaction was faster.
    """
    try:
        parameters = {
            "job_id": bid.job_id,
            "old_budget": bid.budget,
            "bid_id": bid_id,
            "price": bid.price,
            "now": now,
        }
        job = _ASSIGN.one_or_none(tx, parameters)
        hired = job is not None and _HIRE_BID.execute_many(tx, [{"bid_id": bid_id, "now": now}])
    except IntegrityError as error:
        # The constraints found a hired bid that the job's row did not name.
        raise GigNotOpen("assigned", None) from error
    if job is None:
        raise transitions.conflict_error(tx, job_id=bid.job_id)
    if not hired:
        raise BidNotPending("withdrawn")
    return job


def _notify(tx: Connection, bid: Any, bid_id: str, rejected_ids: list[str], now: int) -> None:
    hired = notification_drafts.hired(
        job_id=bid.job_id,
        bid_id=bid_id,
        title=bid.title,
        owner=Person(id=bid.owner_id, name=bid.owner_name),
        budget=bid.budget,
        price=bid.price,
        currency=bid.currency,
        now=now,
    )
    items = [(bid.freelancer_id, hired)]
    if rejected_ids:
        rejected = notification_drafts.bid_rejected(job_id=bid.job_id, title=bid.title, owner_name=bid.owner_name)
        items += [(freelancer_id, rejected) for freelancer_id in rejected_ids]
    # All transactions lock inboxes in the order of user ids.
    inbox.deliver(tx, items=sorted(items, key=lambda item: item[0]), now=now)
