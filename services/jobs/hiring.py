"""The hire: one transaction that gives a job to one bid, rejects the others, and tells everyone who should know."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, bindparam, select, update

from services.database.statements import IntegrityError, Statement
from services.errors import BidNotFound, BidNotPending, GigNotFound, GigNotOpen, NotGigOwner
from services.jobs import bidding, events, transitions
from services.notifications import inbox
from services.notifications.draft import NotificationDraft
from services.payments import amounts, wallet
from services.schemas import Schema
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
    .where(_b.id == bindparam("which"))
)
# First of all: whoever changes this row has the job, and everybody else waits here, having locked nothing. What is held
# becomes the price by its difference to this budget, and to no other.
_ASSIGN = Statement(
    update(jobs)
    .where(_j.id == bindparam("which"), _j.status == "open", _j.budget == bindparam("old_budget"))
    .values(status="assigned", hired_bid_id=bindparam("bid"), hired_at=bindparam("at"), updated_at=bindparam("at"))
    .values(untold=0, held=bindparam("price"), due_at=None)
    .returning(*events.COLUMNS)
)
_WIN = Statement(
    update(bids)
    .where(_b.id == bindparam("which"), _b.status == "pending")
    .values(status="hired", hired_at=bindparam("at"))
)
MESSAGE: Final = "Hired successfully"


class Hired(Schema, frozen=True):
    """The published answer to a hire."""

    message: Literal["Hired successfully"]
    gig_id: str
    bid_id: str
    freelancer_id: str
    hired_at: str


@dataclass(frozen=True, slots=True)
class HireResult:
    """What a hire did: its answer, and what a log line says beside it."""

    answer: Hired
    title: str
    owner_name: str
    freelancer_name: str
    rejected: int


def hire(tx: Connection, *, bid_id: str, owner_id: str, now: int) -> HireResult:
    """Give a job to the freelancer who made this bid, reject the other pending bids, tell them and everybody.

    What is held for the job becomes the bid's price. Raises, in this order: BidNotFound, GigNotFound, NotGigOwner,
    GigNotOpen, BidNotPending, BooksFrozen, InsufficientFunds; and Conflict: the budget has changed just now.
    """
    bid = _hireable(_BID.one_or_none(tx, {"which": bid_id}), owner_id)
    wallet.require_funds(tx, user_id=owner_id, amount=bid.price - bid.budget)
    job = _assign(tx, bid, bid_id, now)
    wallet.change_hold(tx, owner_id=owner_id, job_id=bid.job_id, old=bid.budget, new=bid.price, now=now)
    losers = bidding.reject_pending(tx, job_id=bid.job_id, now=now)
    mail = [(bid.freelancer_id, _to_winner(bid, bid_id, now))]
    if losers:
        sorry = _to_losers(bid)
        mail += [(freelancer_id, sorry) for freelancer_id in losers]
    # Inboxes are locked in the order of their users, whoever locks them.
    inbox.deliver(tx, items=sorted(mail, key=lambda one: one[0]), now=now)
    events.updated(tx, events.to_schema(job, bid.owner_name), now=now)
    answer = Hired(
        message=MESSAGE, gig_id=bid.job_id, bid_id=bid_id, freelancer_id=bid.freelancer_id, hired_at=to_rfc3339(now)
    )
    return HireResult(answer, bid.title, bid.owner_name, bid.freelancer_name, len(losers))


def _hireable(bid: Any, owner_id: str) -> Any:
    """The published order of the checks."""
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
    """The job, assigned to the bid, and the bid, hired. Raises GigNotOpen, BidNotPending and Conflict: too late."""
    try:
        asked = {"which": bid.job_id, "old_budget": bid.budget, "bid": bid_id, "price": bid.price, "at": now}
        job = _ASSIGN.one_or_none(tx, asked)
        won = job is not None and _WIN.execute_many(tx, [{"which": bid_id, "at": now}])
    except IntegrityError as error:
        # The constraints know of a hired bid that the rows before them did not.
        raise GigNotOpen("assigned", None) from error
    if job is None:
        raise transitions.conflict_error(tx, job_id=bid.job_id)
    if not won:
        raise BidNotPending("withdrawn")
    return job


def _to_winner(bid: Any, bid_id: str, now: int) -> NotificationDraft:
    when, price = to_rfc3339(now), amounts.format_amount(bid.price, bid.currency)
    return NotificationDraft(
        type="hired",
        category="hire",
        priority="urgent",
        title=f"You have been hired for {bid.title}!",
        body=f"{bid.owner_name} hired you for {price} (budget {amounts.format_amount(bid.budget, bid.currency)}), "
        f"{when[:10]} {when[11:16]} UTC.",
        data={
            "jobId": bid.job_id,
            "bidId": bid_id,
            "title": bid.title,
            "client": {"id": bid.owner_id, "name": bid.owner_name},
            "budget": bid.budget,
            "price": bid.price,
            "currency": bid.currency,
            "hiredAt": when,
        },
        url=events.job_url(bid.job_id),
        icon="🎉",
        invalidates=events.keys_of_work(bid.job_id),
    )


def _to_losers(bid: Any) -> NotificationDraft:
    return NotificationDraft(
        type="bid_rejected",
        category="bid",
        title=f"Not hired: {bid.title}",
        body=f"{bid.owner_name} hired somebody else for this job.",
        data={"jobId": bid.job_id, "title": bid.title},
        url=events.job_url(bid.job_id),
        invalidates=["my-jobs"],
    )
