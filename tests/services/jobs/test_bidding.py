"""Placing and withdrawing bids: bids_table, events, notifications and errors."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, func, select

from services.database.database import Database
from services.database.outbox import PendingEvent
from services.database.units import Batch
from services.errors import Conflict, Forbidden, NotFound
from services.jobs import bidding, bids, hiring, listing
from services.jobs.schemas import Bid
from services.schemas import Person
from services.tables import bids as bids_table
from tests.services.jobs.marketplace import (
    NOW,
    bid,
    channel_events,
    expect_error,
    notifications_for,
    people,
    post,
    run_before,
)


def withdraw(tx: Connection, placed: Bid, freelancer: Person | None = None, now: int = NOW) -> None:
    bidding.withdraw(tx, bid_id=placed.id, freelancer_id=(freelancer or placed.freelancer).id, now=now)


def test_placed_bid_is_pending_counted_and_listed_like_the_response(tx: Connection) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    job = post(tx, olga)
    placed = bidding.place(tx, job_id=job.id, freelancer=ann, message="I can\nby May", price=50_000, now=NOW + 1)
    assert msgspec.to_builtins(placed) == {
        "id": placed.id,
        "gigId": job.id,
        "freelancer": {"id": ann.id, "name": "Ann"},
        "message": "I can\nby May",
        "price": 50_000,
        "status": "pending",
        "hiredAt": None,
        "rejectedAt": None,
        "createdAt": "2023-11-14T22:13:20.001Z",
    }
    assert bids.list_for_job(tx, job_id=job.id, reader_id=olga.id).items == [placed]
    assert listing.get_job(tx, job_id=job.id).bid_count == 1


def test_placing_notifies_only_the_owner_with_the_published_text(
    tx: Connection, pending_events: list[PendingEvent]
) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    job = post(tx, olga, title="Fix it", currency="USD")
    bid(tx, job, bob)
    placed = bid(tx, job, ann, price=50_000)
    event = notifications_for(pending_events, olga)[-1]
    assert event | {"id": "", "createdAt": ""} == {
        "id": "",
        "type": "bid_received",
        "category": "bid",
        "priority": "normal",
        "title": "New bid on Fix it",
        "body": "Ann offers to do it for 500.00 USD.",
        "data": {
            "jobId": job.id,
            "bidId": placed.id,
            "title": "Fix it",
            "freelancer": {"id": ann.id, "name": "Ann"},
            "price": 50_000,
            "currency": "USD",
        },
        "url": f"/jobs/{job.id}",
        "icon": "📝",
        "actions": [],
        "collapseKey": None,
        "count": 1,
        "createdAt": "",
        "expiresAt": None,
        "seenAt": None,
        "readAt": None,
        "archivedAt": None,
        "unread": 2,
        "unseen": 2,
        "invalidates": [f"job/{job.id}"],
    }
    assert (
        len(notifications_for(pending_events, olga)),
        notifications_for(pending_events, ann),
        notifications_for(pending_events, bob),
    ) == (
        2,
        [],
        [],
    )


def test_placing_raises_not_found_for_an_unknown_job(tx: Connection) -> None:
    _, ann = people(tx, "Olga", "Ann")
    expect_error(NotFound, bidding.place, tx, job_id="unknown", freelancer=ann, message="m", price=1, now=NOW)


def test_placing_raises_forbidden_for_the_own_job(tx: Connection) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    job = post(tx, olga)
    expect_error(Forbidden, bid, tx, job, olga)
    hiring.hire(tx, bid_id=bid(tx, job, ann).id, owner_id=olga.id, now=NOW)
    # The check of the owner comes before the check of the status.
    expect_error(Forbidden, bid, tx, job, olga)


def test_placing_raises_conflict_when_the_job_is_not_open(tx: Connection) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    job = post(tx, olga)
    hiring.hire(tx, bid_id=bid(tx, job, ann).id, owner_id=olga.id, now=NOW)
    assert expect_error(Conflict, bid, tx, job, bob).details == {"currentStatus": "assigned"}
    assert expect_error(Conflict, bid, tx, job, ann).details == {"currentStatus": "assigned"}


def test_freelancer_has_one_pending_bid_per_job_until_withdrawal(tx: Connection) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    job, other = post(tx, olga), post(tx, olga)
    first = bid(tx, job, ann)
    assert expect_error(Conflict, bid, tx, job, ann, price=1).details == {"currentStatus": "pending"}
    bid(tx, other, ann)
    withdraw(tx, first)
    again = bid(tx, job, ann, price=1)
    assert [(item.id, item.status) for item in bids.list_for_job(tx, job_id=job.id, reader_id=ann.id).items] == [
        (again.id, "pending"),
        (first.id, "withdrawn"),
    ]


def test_withdrawn_bid_is_not_counted_and_sends_no_notification(
    tx: Connection, pending_events: list[PendingEvent]
) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    job = post(tx, olga)
    ann_bid = bid(tx, job, ann)
    bid(tx, job, bob)
    withdraw(tx, ann_bid)
    assert listing.get_job(tx, job_id=job.id).bid_count == 1
    assert [event["type"] for event in notifications_for(pending_events, olga)] == ["bid_received"] * 2
    assert (notifications_for(pending_events, ann), notifications_for(pending_events, bob)) == ([], [])


def test_withdrawing_raises_not_found_for_bids_of_others(tx: Connection) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    placed = bid(tx, post(tx, olga), ann)
    expect_error(NotFound, withdraw, tx, placed, bob)
    expect_error(NotFound, withdraw, tx, placed, olga)
    expect_error(NotFound, bidding.withdraw, tx, bid_id="unknown", freelancer_id=ann.id, now=NOW)


def test_withdrawing_raises_conflict_when_the_bid_is_not_pending(tx: Connection) -> None:
    olga, ann, bob, cat = people(tx, "Olga", "Ann", "Bob", "Cat")
    job = post(tx, olga)
    ann_bid, bob_bid, cat_bid = bid(tx, job, ann), bid(tx, job, bob), bid(tx, job, cat)
    withdraw(tx, cat_bid)
    assert expect_error(Conflict, withdraw, tx, cat_bid).details == {"currentStatus": "withdrawn"}
    hiring.hire(tx, bid_id=ann_bid.id, owner_id=olga.id, now=NOW)
    assert expect_error(Conflict, withdraw, tx, ann_bid).details == {"currentStatus": "hired"}
    assert expect_error(Conflict, withdraw, tx, bob_bid).details == {"currentStatus": "rejected"}
    assert listing.get_job(tx, job_id=job.id).bid_count == 2


def test_rejected_calls_write_and_publish_nothing(tx: Connection, pending_events: list[PendingEvent]) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    job, closed = post(tx, olga), post(tx, olga)
    placed = bid(tx, job, ann)
    hired = bid(tx, closed, ann)
    hiring.hire(tx, bid_id=hired.id, owner_id=olga.id, now=NOW)
    changes, events_before = select(func.total_changes()), len(pending_events)
    before = tx.execute(changes).scalar_one()
    expect_error(Forbidden, bid, tx, job, olga)
    expect_error(Conflict, bid, tx, job, ann)
    expect_error(Conflict, bid, tx, closed, bob)
    expect_error(NotFound, withdraw, tx, placed, bob)
    expect_error(Conflict, withdraw, tx, hired)
    assert (tx.execute(changes).scalar_one(), len(pending_events)) == (before, events_before)


def test_job_accepts_1000_bids_and_the_hire_notifies_each_bidder_once(
    tx: Connection, pending_events: list[PendingEvent]
) -> None:
    olga, *freelancers = people(tx, "Olga", *(f"F{n}" for n in range(bidding.MAX_BIDS + 1)))
    job = post(tx, olga)
    placed = [bid(tx, job, freelancer) for freelancer in freelancers[:-1]]
    error = expect_error(Conflict, bid, tx, job, freelancers[-1])
    assert (error.message, error.details) == (
        "This job has 1,000 bids and can take no more.",
        {"currentStatus": "open"},
    )
    result = hiring.hire(tx, bid_id=placed[500].id, owner_id=olga.id, now=NOW)
    assert result.rejected == 999
    received = {
        user.id: [event["type"] for event in inbox] for user, inbox in _inboxes(pending_events, freelancers).items()
    }
    rejected = {freelancer.id: ["bid_rejected"] for freelancer in freelancers[:-1]}
    assert received == rejected | {freelancers[500].id: ["hired"], freelancers[-1].id: []}


def test_withdrawn_bid_frees_a_place_when_the_limit_is_reached(tx: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bidding, "MAX_BIDS", 1)
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    job = post(tx, olga)
    ann_bid = bid(tx, job, ann)
    expect_error(Conflict, bid, tx, job, bob)
    withdraw(tx, ann_bid)
    assert bid(tx, job, bob).status == "pending"


def test_placing_raises_conflict_when_a_hire_was_faster(tx: Connection) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    job = post(tx, olga)
    ann_bid = bid(tx, job, ann)
    run_before(tx, "UPDATE jobs", lambda: hiring.hire(tx, bid_id=ann_bid.id, owner_id=olga.id, now=NOW))
    expect_error(Conflict, bid, tx, job, bob)
    assert bids.list_for_job(tx, job_id=job.id, reader_id=bob.id).items == []


def test_store_rejects_a_second_pending_bid_placed_concurrently(tx: Connection) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    job = post(tx, olga)
    run_before(tx, "INSERT INTO bids", lambda: bid(tx, job, ann))
    assert expect_error(Conflict, bid, tx, job, ann).details == {"currentStatus": "pending"}
    assert tx.execute(select(func.count()).select_from(bids_table)).scalar_one() == 1


def test_withdrawing_raises_conflict_when_a_hire_was_faster(tx: Connection) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    job = post(tx, olga)
    ann_bid = bid(tx, job, ann)
    run_before(tx, "UPDATE jobs", lambda: hiring.hire(tx, bid_id=ann_bid.id, owner_id=olga.id, now=NOW))
    expect_error(Conflict, withdraw, tx, ann_bid)
    assert bids.list_for_job(tx, job_id=job.id, reader_id=ann.id).items[0].status == "hired"


def test_concurrent_withdrawals_withdraw_a_bid_once(tx: Connection) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    job = post(tx, olga)
    ann_bid = bid(tx, job, ann)
    bid(tx, job, bob)
    run_before(tx, "UPDATE jobs", lambda: withdraw(tx, ann_bid))
    expect_error(Conflict, withdraw, tx, ann_bid)


async def test_rolled_back_bid_publishes_nothing(database: Database, batches: list[Batch]) -> None:
    def prepare(tx: Connection) -> tuple[Any, ...]:
        olga, ann = people(tx, "Olga", "Ann")
        return olga, ann, post(tx, olga)

    olga, ann, job = await database.write(prepare)
    before = len(batches)

    def bid_and_fail(tx: Connection) -> None:
        bid(tx, job, ann)
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(bid_and_fail)
    assert batches[before:] == []
    assert (await database.read(listing.get_job, job_id=job.id)).bid_count == 0
    await database.write(bid, job, ann)
    channels = [event.channel for batch in batches[before:] for event in batch.events]
    assert sorted(channels) == ["jobs", f"user:{olga.id}"]


def _inboxes(events: list[PendingEvent], users: list[Person]) -> dict[Person, list[dict[str, Any]]]:
    by_channel: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        if event.channel not in by_channel:
            by_channel[event.channel] = [
                data for type, data in channel_events(events, event.channel) if type == "notification"
            ]
    return {user: by_channel.get(f"user:{user.id}", []) for user in users}
