"""Bids and the hire."""

from operator import attrgetter

from api.http.bodies import Amount, Body, EmptyBody, PageQuery, Text5000
from api.operations.call import Call
from services.errors import InvalidField
from services.jobs import bidding, bids, hiring
from services.jobs.hiring import Hired, HireResult
from services.jobs.schemas import Bid
from services.pagination import Page
from services.schemas import Person


class NewBid(Body, frozen=True):
    """A bid to place. `price` is in minor units of the job's currency."""

    message: Text5000
    price: Amount


class OwnBids(PageQuery, frozen=True, kw_only=True):
    """A page of your own bids. `mine` must be true: no route lists the bids of all users."""

    mine: bool


async def create(call: Call[NewBid, None]) -> Bid | bytes:
    """Place a bid on an open job and notify its owner."""
    return await call.write_idempotent(
        bidding.place,
        job_id=call.path("id"),
        freelancer=Person(id=call.user.id, name=call.user.name),
        message=call.body.message,
        price=call.body.price,
    )


async def list_for_job(call: Call[None, PageQuery]) -> Page[Bid]:
    """List a job's bids: all of them for its owner, otherwise your own."""
    return await call.read(
        bids.list_for_job,
        job_id=call.path("id"),
        reader_id=call.user.id,
        limit=call.query.limit,
        after=call.query.after,
    )


async def list_own(call: Call[None, OwnBids]) -> Page[Bid]:
    """List your bids on all jobs."""
    if not call.query.mine:
        raise InvalidField("mine", "range", "Only your own bids can be listed here: mine=true.")
    return await call.read(
        bids.list_for_freelancer, freelancer_id=call.user.id, limit=call.query.limit, after=call.query.after
    )


async def withdraw(call: Call[None, None]) -> None:
    """Withdraw your pending bid."""
    await call.write(bidding.withdraw, bid_id=call.path("id"), freelancer_id=call.user.id)


async def hire(call: Call[EmptyBody | None, None]) -> Hired | bytes:
    """Hire the freelancer of a bid; the other bidders are notified."""
    started = call.hub.monotonic()
    response, result = await call.write_with_response(
        hiring.hire, attrgetter("response"), bid_id=call.path("bidId"), owner_id=call.user.id
    )
    # None for a repeated idempotency key: the first request has made and logged the hire.
    if result is not None:
        _log(call, result, call.hub.monotonic() - started)
    return response


def _log(call: Call[EmptyBody | None, None], result: HireResult, seconds: float) -> None:
    """Log the hire, its duration and whether the hired freelancer has an open stream."""
    hired = result.response
    call.log.info(
        "job_hired",
        client=call.user.id,
        client_name=result.owner_name,
        freelancer=hired.freelancer_id,
        freelancer_name=result.freelancer_name,
        job=hired.gig_id,
        title=result.title,
        bid=hired.bid_id,
        rejected=result.rejected,
        milliseconds=round(seconds * 1_000, 1),
        winner="online" if call.hub.manager.is_online(hired.freelancer_id) else "offline",
    )
