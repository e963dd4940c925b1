"""Bids over HTTP: freelancers place and withdraw them, a job's owner reads and hires one."""

from sqlalchemy import Connection

from api.http.bodies import Amount, Body, EmptyBody, PageQuery, Text5000
from api.operations.call import Call
from services.errors import InvalidField
from services.jobs import bidding, bids, hiring
from services.jobs.hiring import Hired, HireResult
from services.jobs.schemas import Bid
from services.pagination import Page
from services.schemas import Person


class NewBid(Body, frozen=True):
    """An offer on a job; `price` is in minor units of the job's currency."""

    message: Text5000
    price: Amount


class OwnBids(PageQuery, frozen=True, kw_only=True):
    """Which page of one's own bids; there is no list of everybody's."""

    mine: bool


async def place(call: Call[NewBid, None]) -> Bid | bytes:
    """Bid on an open job; its owner hears of it."""
    return await call.write_idempotent(
        bidding.place,
        job_id=call.path("id"),
        freelancer=Person(id=call.user.id, name=call.user.name),
        message=call.body.message,
        price=call.body.price,
    )


async def page_of_job(call: Call[None, PageQuery]) -> Page[Bid]:
    """List a job's bids: all for its owner, for others their own."""
    return await call.read(
        bids.list_for_job,
        job_id=call.path("id"),
        reader_id=call.user.id,
        limit=call.query.limit,
        after=call.query.after,
    )


async def page_of_mine(call: Call[None, OwnBids]) -> Page[Bid]:
    """List one's own bids on all jobs."""
    if not call.query.mine:
        raise InvalidField("mine", "range", "Only your own bids can be listed here: mine=true.")
    return await call.read(
        bids.list_for_freelancer, freelancer_id=call.user.id, limit=call.query.limit, after=call.query.after
    )


async def withdraw(call: Call[None, None]) -> None:
    """Withdraw one's own pending bid."""
    await call.write(bidding.withdraw, bid_id=call.path("id"), freelancer_id=call.user.id)


async def hire(call: Call[EmptyBody | None, None]) -> Hired | bytes:
    """Hire the freelancer who made this bid; all others who bid on the job are told that it is gone."""
    began, made = call.hub.monotonic(), list[HireResult]()
    answer = await call.write_idempotent(_hire, bid_id=call.path("bidId"), owner_id=call.user.id, made=made)
    # Empty when the key was answered before: nobody was hired just now.
    for one in made:
        _log(call, one, call.hub.monotonic() - began)
    return answer


def _hire(tx: Connection, *, bid_id: str, owner_id: str, made: list[HireResult], now: int) -> Hired:
    """The unit, and for the log what it did: should it run again, that is replaced."""
    made[:] = [hiring.hire(tx, bid_id=bid_id, owner_id=owner_id, now=now)]
    return made[0].answer


def _log(call: Call[EmptyBody | None, None], made: HireResult, seconds: float) -> None:
    """Who hired whom for what, how long it took, and whether the winner saw it or will on coming back."""
    winner = made.answer.freelancer_id
    call.log.info(
        "hired",
        client=call.user.id,
        client_name=made.owner_name,
        freelancer=winner,
        freelancer_name=made.freelancer_name,
        job=made.answer.gig_id,
        title=made.title,
        bid=made.answer.bid_id,
        rejected=made.rejected,
        milliseconds=round(seconds * 1_000, 1),
        winner="online" if call.hub.manager.is_online(winner) else "will see it on return",
    )
