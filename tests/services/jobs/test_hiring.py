"""The hire: its changes, events and notifications, the order of its errors, races and rollback."""

from functools import partial
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, func, select, text

from realtime.event import Event
from services.database.database import Database
from services.database.outbox import PendingEvent
from services.database.units import Batch
from services.errors import BidNotFound, BidNotPending, Conflict, GigNotFound, GigNotOpen, NotGigOwner
from services.jobs import bidding, bids, editing, hiring, listing
from services.jobs.editing import JobEdit
from services.jobs.schemas import Bid, Job
from services.payments import wallet
from services.schemas import Person
from tests.services.conftest import Together
from tests.services.jobs.job_factory import check_ledger
from tests.services.jobs.marketplace import (
    BUDGET,
    NOW,
    bid,
    channel_events,
    expect_error,
    notifications_for,
    people,
    post,
    run_before,
)

AT = NOW + 61_234
STAMP = "2023-11-14T22:14:21.234Z"


def hire(tx: Connection, placed: Bid, owner: Person, now: int = AT) -> hiring.HireResult:
    return hiring.hire(tx, bid_id=placed.id, owner_id=owner.id, now=now)


def statuses(tx: Connection, job: Job, owner: Person) -> dict[str, str]:
    """Return the status of each bid, newest first."""
    return {item.id: item.status for item in bids.list_for_job(tx, job_id=job.id, reader_id=owner.id).items}


def scene(tx: Connection) -> tuple[Person, Job, list[Bid]]:
    """Create an open job of Olga with bids by Ann, Bob and Cat."""
    olga, *freelancers = people(tx, "Olga", "Ann", "Bob", "Cat")
    job = post(tx, olga, title="Fix it", budget=BUDGET)
    return olga, job, [bid(tx, job, freelancer, price=50_000) for freelancer in freelancers]


# Changes, events and notifications


def test_hire_returns_the_published_response(tx: Connection) -> None:
    olga, job, (ann_bid, _, _) = scene(tx)
    result = hire(tx, ann_bid, olga)
    assert msgspec.to_builtins(result.response) == {
        "message": "Hired successfully",
        "gigId": job.id,
        "bidId": ann_bid.id,
        "freelancerId": ann_bid.freelancer.id,
        "hiredAt": STAMP,
    }
    assert (result.title, result.owner_name, result.freelancer_name, result.rejected) == ("Fix it", "Olga", "Ann", 2)


def test_hire_changes_job_hired_bid_and_rejected_bids_together(tx: Connection) -> None:
    olga, job, (ann_bid, bob_bid, cat_bid) = scene(tx)
    hire(tx, ann_bid, olga)
    hired_job = listing.get_job(tx, job_id=job.id)
    assert (hired_job.status, hired_job.hired_bid_id, hired_job.hired_at, hired_job.updated_at) == (
        "assigned",
        ann_bid.id,
        STAMP,
        STAMP,
    )
    assert hired_job.bid_count == 3
    listed = bids.list_for_job(tx, job_id=job.id, reader_id=olga.id).items
    assert [(item.id, item.status, item.hired_at, item.rejected_at) for item in listed] == [
        (cat_bid.id, "rejected", None, STAMP),
        (bob_bid.id, "rejected", None, STAMP),
        (ann_bid.id, "hired", STAMP, None),
    ]


def test_hire_leaves_other_jobs_and_their_bids_unchanged(tx: Connection) -> None:
    olga, _, (ann_bid, *_) = scene(tx)
    other = post(tx, olga)
    other_bid = bid(tx, other, ann_bid.freelancer)
    hire(tx, ann_bid, olga)
    assert statuses(tx, other, olga) == {other_bid.id: "pending"}
    assert listing.get_job(tx, job_id=other.id).status == "open"


def test_hired_freelancer_gets_the_published_notification(tx: Connection, pending_events: list[PendingEvent]) -> None:
    olga, job, (ann_bid, *_) = scene(tx)
    hire(tx, ann_bid, olga)
    (event,) = notifications_for(pending_events, ann_bid.freelancer)
    assert event | {"id": ""} == {
        "id": "",
        "type": "hired",
        "category": "hire",
        "priority": "urgent",
        "title": "You have been hired for Fix it!",
        "body": "Olga hired you for 500.00 USD (budget 600.00 USD), 2023-11-14 22:14 UTC.",
        "data": {
            "jobId": job.id,
            "bidId": ann_bid.id,
            "title": "Fix it",
            "client": {"id": olga.id, "name": "Olga"},
            "budget": 60_000,
            "price": 50_000,
            "currency": "USD",
            "hiredAt": STAMP,
        },
        "url": f"/jobs/{job.id}",
        "icon": "🎉",
        "actions": [],
        "collapseKey": None,
        "count": 1,
        "createdAt": STAMP,
        "expiresAt": None,
        "seenAt": None,
        "readAt": None,
        "archivedAt": None,
        "unread": 1,
        "unseen": 1,
        "invalidates": [f"job/{job.id}", "my-jobs", "stats"],
    }


def test_rejected_bidders_get_the_published_notification_once(
    tx: Connection, pending_events: list[PendingEvent]
) -> None:
    olga, job, (ann_bid, bob_bid, cat_bid) = scene(tx)
    hire(tx, ann_bid, olga)
    for loser in (bob_bid.freelancer, cat_bid.freelancer):
        (event,) = notifications_for(pending_events, loser)
        fields = ("type", "category", "priority", "title", "body", "data", "url", "icon", "unread", "invalidates")
        assert {name: event[name] for name in fields} == {
            "type": "bid_rejected",
            "category": "bid",
            "priority": "normal",
            "title": "Not hired: Fix it",
            "body": "Olga hired somebody else for this job.",
            "data": {"jobId": job.id, "title": "Fix it"},
            "url": f"/jobs/{job.id}",
            "icon": None,
            "unread": 1,
            "invalidates": ["my-jobs"],
        }


def test_hire_publishes_one_job_event_and_notifies_no_owner(tx: Connection, pending_events: list[PendingEvent]) -> None:
    olga, job, (ann_bid, *_) = scene(tx)
    before = len(pending_events)
    hire(tx, ann_bid, olga)
    assert channel_events(pending_events[before:], "jobs") == [
        (
            "job_updated",
            msgspec.to_builtins(listing.get_job(tx, job_id=job.id))
            | {"url": f"/jobs/{job.id}", "invalidates": ["jobs", f"job/{job.id}"]},
        )
    ]
    assert notifications_for(pending_events[before:], olga) == []


def test_hire_notifies_only_bidders_with_a_pending_bid_once(tx: Connection, pending_events: list[PendingEvent]) -> None:
    olga, job, (ann_bid, bob_bid, cat_bid) = scene(tx)
    for withdrawn in (bob_bid, cat_bid):
        bidding.withdraw(tx, bid_id=withdrawn.id, freelancer_id=withdrawn.freelancer.id, now=NOW)
    again = bid(tx, job, cat_bid.freelancer)
    hire(tx, ann_bid, olga)
    assert statuses(tx, job, olga) == {
        again.id: "rejected",
        cat_bid.id: "withdrawn",
        bob_bid.id: "withdrawn",
        ann_bid.id: "hired",
    }
    assert notifications_for(pending_events, bob_bid.freelancer) == []
    assert [event["type"] for event in notifications_for(pending_events, cat_bid.freelancer)] == ["bid_rejected"]


def test_hire_succeeds_for_the_only_bid(tx: Connection, pending_events: list[PendingEvent]) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    ann_bid = bid(tx, post(tx, olga), ann)
    assert hire(tx, ann_bid, olga).rejected == 0
    assert [event["type"] for event in notifications_for(pending_events, ann)] == ["hired"]


# Errors and their order


def delete_row(tx: Connection, job: Job) -> None:
    """Delete a job that its bids reference: deferred foreign keys are checked at COMMIT, which never happens here."""
    tx.execute(text("PRAGMA defer_foreign_keys=ON"))
    tx.execute(text("DELETE FROM jobs WHERE id = :job"), {"job": job.id})


def close(tx: Connection, job: Job, status: str) -> None:
    tx.execute(text("UPDATE jobs SET status = :status, held = 0 WHERE id = :job"), {"job": job.id, "status": status})


def test_bid_not_found_is_checked_first(tx: Connection) -> None:
    olga, _, _ = scene(tx)
    error = expect_error(BidNotFound, hiring.hire, tx, bid_id="unknown", owner_id=olga.id, now=AT)
    assert (error.code, error.message) == ("BID_NOT_FOUND", "Bid not found")


def test_gig_not_found_is_checked_before_the_owner(tx: Connection) -> None:
    _, job, (ann_bid, bob_bid, _) = scene(tx)
    delete_row(tx, job)
    error = expect_error(GigNotFound, hire, tx, ann_bid, bob_bid.freelancer)
    assert (error.code, error.message) == ("GIG_NOT_FOUND", "Gig not found")


def test_owner_is_checked_before_the_job_status(tx: Connection) -> None:
    olga, _, (ann_bid, bob_bid, _) = scene(tx)
    for hired in (False, True):
        if hired:
            hire(tx, ann_bid, olga)
        for other_user in (bob_bid.freelancer, ann_bid.freelancer):
            error = expect_error(NotGigOwner, hire, tx, bob_bid, other_user)
            assert (error.code, error.message) == ("UNAUTHORIZED", "Only gig owner can hire")


def test_job_status_is_checked_before_the_bid_status(tx: Connection) -> None:
    olga, _, (ann_bid, bob_bid, cat_bid) = scene(tx)
    bidding.withdraw(tx, bid_id=cat_bid.id, freelancer_id=cat_bid.freelancer.id, now=NOW)
    hire(tx, ann_bid, olga)
    for placed in (ann_bid, bob_bid, cat_bid):
        error = expect_error(GigNotOpen, hire, tx, placed, olga)
        assert (error.code, error.details) == ("GIG_NOT_OPEN", {"currentStatus": "assigned", "hiredBidId": ann_bid.id})
        assert error.message == (
            "Gig is no longer open (status: assigned). Someone else may have already hired a freelancer."
        )


@pytest.mark.parametrize("status", ["expired", "cancelled"])
def test_hire_raises_gig_not_open_when_the_job_was_closed(tx: Connection, status: str) -> None:
    olga, job, (ann_bid, *_) = scene(tx)
    close(tx, job, status)
    error = expect_error(GigNotOpen, hire, tx, ann_bid, olga)
    assert error.details == {"currentStatus": status, "hiredBidId": None}


def test_hire_raises_bid_not_pending_when_the_bid_was_withdrawn(tx: Connection) -> None:
    olga, _, (ann_bid, *_) = scene(tx)
    bidding.withdraw(tx, bid_id=ann_bid.id, freelancer_id=ann_bid.freelancer.id, now=NOW)
    error = expect_error(BidNotPending, hire, tx, ann_bid, olga)
    assert (error.code, error.message) == ("BID_NOT_PENDING", "Bid is no longer pending")
    assert error.details == {"currentStatus": "withdrawn"}


def test_rejected_hires_write_and_publish_nothing(tx: Connection, pending_events: list[PendingEvent]) -> None:
    olga, _, (ann_bid, bob_bid, cat_bid) = scene(tx)
    bidding.withdraw(tx, bid_id=cat_bid.id, freelancer_id=cat_bid.freelancer.id, now=NOW)
    changes = select(func.total_changes())
    before, events_before = tx.execute(changes).scalar_one(), len(pending_events)
    expect_error(BidNotFound, hiring.hire, tx, bid_id="unknown", owner_id=olga.id, now=AT)
    expect_error(NotGigOwner, hire, tx, ann_bid, bob_bid.freelancer)
    expect_error(BidNotPending, hire, tx, cat_bid, olga)
    assert (tx.execute(changes).scalar_one(), len(pending_events)) == (before, events_before)
    hire(tx, ann_bid, olga)
    before, events_before = tx.execute(changes).scalar_one(), len(pending_events)
    expect_error(GigNotOpen, hire, tx, bob_bid, olga)
    assert (tx.execute(changes).scalar_one(), len(pending_events)) == (before, events_before)


# Races


def test_hire_raises_gig_not_open_when_another_hire_was_faster(tx: Connection) -> None:
    olga, _, (ann_bid, bob_bid, _) = scene(tx)
    run_before(tx, "UPDATE jobs", lambda: hire(tx, bob_bid, olga))
    error = expect_error(GigNotOpen, hire, tx, ann_bid, olga)
    assert error.details == {"currentStatus": "assigned", "hiredBidId": bob_bid.id}


@pytest.mark.parametrize("budget", [BUDGET + 5_000, BUDGET - 5_000], ids=["higher", "lower"])
def test_hire_raises_conflict_when_the_budget_was_changed_concurrently(tx: Connection, budget: int) -> None:
    olga, job, (ann_bid, *_) = scene(tx)
    edit = partial(editing.edit, tx, job_id=job.id, owner_id=olga.id, edit=JobEdit(budget=budget), now=NOW)
    run_before(tx, "UPDATE jobs", edit)
    assert expect_error(Conflict, hire, tx, ann_bid, olga).details == {"currentStatus": "open"}
    assert wallet.get_wallet(tx, user_id=olga.id, currency="USD").held == budget
    check_ledger(tx)
    hire(tx, ann_bid, olga)
    assert wallet.get_wallet(tx, user_id=olga.id, currency="USD").held == ann_bid.price
    check_ledger(tx)


def test_hire_raises_bid_not_pending_when_a_withdrawal_was_faster(tx: Connection) -> None:
    olga, _, (ann_bid, *_) = scene(tx)
    run_before(
        tx, "UPDATE jobs", lambda: bidding.withdraw(tx, bid_id=ann_bid.id, freelancer_id=ann_bid.freelancer.id, now=NOW)
    )
    error = expect_error(BidNotPending, hire, tx, ann_bid, olga)
    assert error.details == {"currentStatus": "withdrawn"}


def test_hire_raises_gig_not_open_when_an_unlinked_bid_is_hired(tx: Connection) -> None:
    olga, _, (ann_bid, bob_bid, _) = scene(tx)
    # Foreign keys forbid this state, but deferred they are checked at COMMIT, which never happens here.
    tx.execute(text("PRAGMA defer_foreign_keys=ON"))
    tx.execute(text("UPDATE bids SET status = 'hired', hired_at = 1 WHERE id = :bid"), {"bid": bob_bid.id})
    assert expect_error(GigNotOpen, hire, tx, ann_bid, olga).details == {
        "currentStatus": "assigned",
        "hiredBidId": None,
    }


def test_hire_locks_inboxes_in_the_order_of_user_ids(tx: Connection, pending_events: list[PendingEvent]) -> None:
    olga, _, bids_placed = scene(tx)
    before = len(pending_events)
    hire(tx, bids_placed[-1], olga)
    channels = [event.channel for event in pending_events[before:] if event.type == "notification"]
    assert channels == [f"user:{placed.freelancer.id}" for placed in bids_placed] == sorted(channels)


# Rollback


def summary(events: list[Event]) -> list[tuple[str, str]]:
    """Return the channel and type of each event; the type of a notification is that of its draft."""
    return [
        (event.channel, msgspec.json.decode(event.data)["type"] if event.type == "notification" else event.type)
        for event in events
    ]


async def test_rolled_back_hires_publish_nothing(database: Database, batches: list[Batch], together: Together) -> None:
    olga, job, (ann_bid, bob_bid, cat_bid) = await database.write(scene)
    before = len(batches)

    def hire_and_fail(tx: Connection) -> None:
        hire(tx, bob_bid, olga)
        raise LookupError

    results = await together(hire_and_fail, lambda tx: hire(tx, ann_bid, olga), hire_and_fail)
    assert isinstance(results[0], LookupError)
    assert results[1].response.bid_id == ann_bid.id
    assert isinstance(results[2], GigNotOpen)
    published = summary([event for batch in batches[before:] for event in batch.events])
    assert sorted(published) == sorted(
        [
            ("jobs", "job_updated"),
            (f"user:{ann_bid.freelancer.id}", "hired"),
            (f"user:{bob_bid.freelancer.id}", "bid_rejected"),
            (f"user:{cat_bid.freelancer.id}", "bid_rejected"),
        ]
    )
    hired_job = await database.read(listing.get_job, job_id=job.id)
    assert (hired_job.status, hired_job.hired_bid_id) == ("assigned", ann_bid.id)


async def test_failed_hire_leaves_the_job_open(database: Database, batches: list[Batch]) -> None:
    olga, job, (ann_bid, *_) = await database.write(scene)
    before = len(batches)

    def hire_withdrawn_bid(tx: Connection) -> Any:
        run_before(
            tx,
            "UPDATE jobs",
            lambda: bidding.withdraw(tx, bid_id=ann_bid.id, freelancer_id=ann_bid.freelancer.id, now=NOW),
        )
        return hire(tx, ann_bid, olga)

    with pytest.raises(BidNotPending):
        await database.write(hire_withdrawn_bid)
    assert batches[before:] == []
    assert (await database.read(listing.get_job, job_id=job.id)).status == "open"
    assert (await database.read(statuses, job, olga))[ann_bid.id] == "pending"


async def test_first_hire_of_a_batch_succeeds_and_is_published_once(
    database: Database, batches: list[Batch], together: Together
) -> None:
    olga, _, bids_placed = await database.write(scene)
    before = len(batches)
    results = await together(*(lambda tx, placed=placed: hire(tx, placed, olga) for placed in bids_placed * 10))
    assert results[0].response.bid_id == bids_placed[0].id
    assert [error.details for error in results[1:]] == [
        {"currentStatus": "assigned", "hiredBidId": bids_placed[0].id}
    ] * 29
    published = summary([event for batch in batches[before:] for event in batch.events])
    assert sorted(type for _, type in published) == ["bid_rejected", "bid_rejected", "hired", "job_updated"]
