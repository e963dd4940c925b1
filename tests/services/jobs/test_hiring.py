"""The hire: one winner, everybody told once, every refusal in the published order, and nothing of one that failed."""

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


def hire(tx: Connection, made: Bid, owner: Person, now: int = AT) -> hiring.HireResult:
    return hiring.hire(tx, bid_id=made.id, owner_id=owner.id, now=now)


def statuses(tx: Connection, job: Job, owner: Person) -> dict[str, str]:
    """Bid by bid, the newest first."""
    return {item.id: item.status for item in bids.list_for_job(tx, job_id=job.id, reader_id=owner.id).items}


def scene(tx: Connection) -> tuple[Person, Job, list[Bid]]:
    """An open job with three bids, the first by Ann."""
    olga, *freelancers = people(tx, "Olga", "Ann", "Bob", "Cat")
    job = post(tx, olga, title="Fix it", budget=BUDGET)
    return olga, job, [bid(tx, job, who, price=50_000) for who in freelancers]


# What a hire does -----------------------------------------------------------------------------


def test_a_hire_answers_as_published(tx: Connection) -> None:
    olga, job, (hers, _, _) = scene(tx)
    done = hire(tx, hers, olga)
    assert msgspec.to_builtins(done.response) == {
        "message": "Hired successfully",
        "gigId": job.id,
        "bidId": hers.id,
        "freelancerId": hers.freelancer.id,
        "hiredAt": STAMP,
    }
    assert (done.title, done.owner_name, done.freelancer_name, done.rejected) == ("Fix it", "Olga", "Ann", 2)


def test_job_winner_and_losers_change_together(tx: Connection) -> None:
    olga, job, (hers, his, cats) = scene(tx)
    hire(tx, hers, olga)
    shown = listing.get_job(tx, job_id=job.id)
    assert (shown.status, shown.hired_bid_id, shown.hired_at, shown.updated_at) == ("assigned", hers.id, STAMP, STAMP)
    assert shown.bid_count == 3
    listed = bids.list_for_job(tx, job_id=job.id, reader_id=olga.id).items
    assert [(item.id, item.status, item.hired_at, item.rejected_at) for item in listed] == [
        (cats.id, "rejected", None, STAMP),
        (his.id, "rejected", None, STAMP),
        (hers.id, "hired", STAMP, None),
    ]


def test_other_jobs_and_their_bids_stay_as_they_are(tx: Connection) -> None:
    olga, _, (hers, *_) = scene(tx)
    other = post(tx, olga)
    there = bid(tx, other, hers.freelancer)
    hire(tx, hers, olga)
    assert statuses(tx, other, olga) == {there.id: "pending"}
    assert listing.get_job(tx, job_id=other.id).status == "open"


def test_the_winner_gets_the_published_notification(tx: Connection, told: list[PendingEvent]) -> None:
    olga, job, (hers, *_) = scene(tx)
    hire(tx, hers, olga)
    (event,) = notifications_for(told, hers.freelancer)
    assert event | {"id": ""} == {
        "id": "",
        "type": "hired",
        "category": "hire",
        "priority": "urgent",
        "title": "You have been hired for Fix it!",
        "body": "Olga hired you for 500.00 USD (budget 600.00 USD), 2023-11-14 22:14 UTC.",
        "data": {
            "jobId": job.id,
            "bidId": hers.id,
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


def test_each_loser_gets_the_published_notification_once(tx: Connection, told: list[PendingEvent]) -> None:
    olga, job, (hers, his, cats) = scene(tx)
    hire(tx, hers, olga)
    for loser in (his.freelancer, cats.freelancer):
        (event,) = notifications_for(told, loser)
        kept = ("type", "category", "priority", "title", "body", "data", "url", "icon", "unread", "invalidates")
        assert {name: event[name] for name in kept} == {
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


def test_everybody_hears_of_a_hire_once_and_the_owners_inbox_nothing(tx: Connection, told: list[PendingEvent]) -> None:
    olga, job, (hers, *_) = scene(tx)
    before = len(told)
    hire(tx, hers, olga)
    assert channel_events(told[before:], "jobs") == [
        (
            "job_updated",
            msgspec.to_builtins(listing.get_job(tx, job_id=job.id))
            | {"url": f"/jobs/{job.id}", "invalidates": ["jobs", f"job/{job.id}"]},
        )
    ]
    assert notifications_for(told[before:], olga) == []


def test_who_had_withdrawn_hears_nothing_and_who_bid_again_hears_once(tx: Connection, told: list[PendingEvent]) -> None:
    olga, job, (hers, his, cats) = scene(tx)
    for gone in (his, cats):
        bidding.withdraw(tx, bid_id=gone.id, freelancer_id=gone.freelancer.id, now=NOW)
    again = bid(tx, job, cats.freelancer)
    hire(tx, hers, olga)
    assert statuses(tx, job, olga) == {
        again.id: "rejected",
        cats.id: "withdrawn",
        his.id: "withdrawn",
        hers.id: "hired",
    }
    assert notifications_for(told, his.freelancer) == []
    assert [event["type"] for event in notifications_for(told, cats.freelancer)] == ["bid_rejected"]


def test_the_only_bidder_can_be_hired(tx: Connection, told: list[PendingEvent]) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    hers = bid(tx, post(tx, olga), ann)
    assert hire(tx, hers, olga).rejected == 0
    assert [event["type"] for event in notifications_for(told, ann)] == ["hired"]


# What it refuses, and in which order ----------------------------------------------------------


def lose_the_job(tx: Connection, job: Job) -> None:
    """What the foreign keys forbid: they look only at COMMIT, and the test's end is none."""
    tx.execute(text("PRAGMA defer_foreign_keys=ON"))
    tx.execute(text("DELETE FROM jobs WHERE id = :job"), {"job": job.id})


def end(tx: Connection, job: Job, status: str) -> None:
    tx.execute(text("UPDATE jobs SET status = :status, held = 0 WHERE id = :job"), {"job": job.id, "status": status})


def test_a_bid_that_is_not_there_comes_first(tx: Connection) -> None:
    olga, _, _ = scene(tx)
    error = expect_error(BidNotFound, hiring.hire, tx, bid_id="nobody's", owner_id=olga.id, now=AT)
    assert (error.code, error.message) == ("BID_NOT_FOUND", "Bid not found")


def test_a_job_that_is_not_there_comes_before_whose_it_was(tx: Connection) -> None:
    _, job, (hers, his, _) = scene(tx)
    lose_the_job(tx, job)
    error = expect_error(GigNotFound, hire, tx, hers, his.freelancer)
    assert (error.code, error.message) == ("GIG_NOT_FOUND", "Gig not found")


def test_whose_job_it_is_comes_before_what_became_of_it(tx: Connection) -> None:
    olga, _, (hers, his, _) = scene(tx)
    for hired in (False, True):
        if hired:
            hire(tx, hers, olga)
        for stranger in (his.freelancer, hers.freelancer):
            error = expect_error(NotGigOwner, hire, tx, his, stranger)
            assert (error.code, error.message) == ("UNAUTHORIZED", "Only gig owner can hire")


def test_a_job_that_is_taken_comes_before_what_became_of_the_bid(tx: Connection) -> None:
    olga, _, (hers, his, cats) = scene(tx)
    bidding.withdraw(tx, bid_id=cats.id, freelancer_id=cats.freelancer.id, now=NOW)
    hire(tx, hers, olga)
    for made in (hers, his, cats):
        error = expect_error(GigNotOpen, hire, tx, made, olga)
        assert (error.code, error.details) == ("GIG_NOT_OPEN", {"currentStatus": "assigned", "hiredBidId": hers.id})
        assert error.message == (
            "Gig is no longer open (status: assigned). Someone else may have already hired a freelancer."
        )


@pytest.mark.parametrize("status", ["expired", "cancelled"])
def test_a_job_that_ended_without_a_hire_hires_nobody(tx: Connection, status: str) -> None:
    olga, job, (hers, *_) = scene(tx)
    end(tx, job, status)
    error = expect_error(GigNotOpen, hire, tx, hers, olga)
    assert error.details == {"currentStatus": status, "hiredBidId": None}


def test_a_bid_that_was_withdrawn_is_not_pending(tx: Connection) -> None:
    olga, _, (hers, *_) = scene(tx)
    bidding.withdraw(tx, bid_id=hers.id, freelancer_id=hers.freelancer.id, now=NOW)
    error = expect_error(BidNotPending, hire, tx, hers, olga)
    assert (error.code, error.message) == ("BID_NOT_PENDING", "Bid is no longer pending")
    assert error.details == {"currentStatus": "withdrawn"}


def test_what_is_refused_writes_and_tells_nothing(tx: Connection, told: list[PendingEvent]) -> None:
    olga, _, (hers, his, cats) = scene(tx)
    bidding.withdraw(tx, bid_id=cats.id, freelancer_id=cats.freelancer.id, now=NOW)
    changes = select(func.total_changes())
    before, heard_before = tx.execute(changes).scalar_one(), len(told)
    expect_error(BidNotFound, hiring.hire, tx, bid_id="nobody's", owner_id=olga.id, now=AT)
    expect_error(NotGigOwner, hire, tx, hers, his.freelancer)
    expect_error(BidNotPending, hire, tx, cats, olga)
    assert (tx.execute(changes).scalar_one(), len(told)) == (before, heard_before)
    hire(tx, hers, olga)
    before, heard_before = tx.execute(changes).scalar_one(), len(told)
    expect_error(GigNotOpen, hire, tx, his, olga)
    assert (tx.execute(changes).scalar_one(), len(told)) == (before, heard_before)


# Who is faster --------------------------------------------------------------------------------


def test_a_job_taken_between_the_look_and_the_hire_is_not_open_and_names_its_winner(tx: Connection) -> None:
    olga, _, (hers, his, _) = scene(tx)
    run_before(tx, "UPDATE jobs", lambda: hire(tx, his, olga))
    error = expect_error(GigNotOpen, hire, tx, hers, olga)
    assert error.details == {"currentStatus": "assigned", "hiredBidId": his.id}


@pytest.mark.parametrize("budget", [BUDGET + 5_000, BUDGET - 5_000])
def test_a_budget_changed_between_the_look_and_the_hire_is_a_conflict_and_moves_no_money(
    tx: Connection, budget: int
) -> None:
    olga, job, (hers, *_) = scene(tx)
    edit = partial(editing.edit, tx, job_id=job.id, owner_id=olga.id, edit=JobEdit(budget=budget), now=NOW)
    run_before(tx, "UPDATE jobs", edit)
    assert expect_error(Conflict, hire, tx, hers, olga).details == {"currentStatus": "open"}
    assert wallet.get_wallet(tx, user_id=olga.id, currency="USD").held == budget
    check_ledger(tx)
    hire(tx, hers, olga)
    assert wallet.get_wallet(tx, user_id=olga.id, currency="USD").held == hers.price
    check_ledger(tx)


def test_a_bid_withdrawn_between_the_look_and_the_hire_is_not_pending(tx: Connection) -> None:
    olga, _, (hers, *_) = scene(tx)
    run_before(
        tx, "UPDATE jobs", lambda: bidding.withdraw(tx, bid_id=hers.id, freelancer_id=hers.freelancer.id, now=NOW)
    )
    error = expect_error(BidNotPending, hire, tx, hers, olga)
    assert error.details == {"currentStatus": "withdrawn"}


def test_a_hired_bid_that_its_job_does_not_know_of_keeps_others_from_being_hired(tx: Connection) -> None:
    olga, _, (hers, his, _) = scene(tx)
    # Foreign keys forbid it; here they look only at COMMIT, and the test's end is none.
    tx.execute(text("PRAGMA defer_foreign_keys=ON"))
    tx.execute(text("UPDATE bids SET status = 'hired', hired_at = 1 WHERE id = :bid"), {"bid": his.id})
    assert expect_error(GigNotOpen, hire, tx, hers, olga).details == {"currentStatus": "assigned", "hiredBidId": None}


def test_inboxes_are_taken_in_the_order_of_their_users_whoever_wins(tx: Connection, told: list[PendingEvent]) -> None:
    olga, _, made = scene(tx)
    before = len(told)
    hire(tx, made[-1], olga)
    taken = [draft.channel for draft in told[before:] if draft.type == "notification"]
    assert taken == [f"user:{one.freelancer.id}" for one in made] == sorted(taken)


# Nothing of what was taken back ---------------------------------------------------------------


def told_of(events: list[Event]) -> list[tuple[str, str]]:
    """Channel and type of each; of notifications the notification's type."""
    return [
        (event.channel, msgspec.json.decode(event.data)["type"] if event.type == "notification" else event.type)
        for event in events
    ]


async def test_nobody_hears_of_a_hire_that_was_taken_back(
    database: Database, batches: list[Batch], together: Together
) -> None:
    olga, job, (hers, his, cats) = await database.write(scene)
    before = len(batches)

    def hire_and_fail(tx: Connection) -> None:
        hire(tx, his, olga)
        raise LookupError

    answers = await together(hire_and_fail, lambda tx: hire(tx, hers, olga), hire_and_fail)
    assert isinstance(answers[0], LookupError)
    assert answers[1].response.bid_id == hers.id
    assert isinstance(answers[2], GigNotOpen)
    told = told_of([event for batch in batches[before:] for event in batch.events])
    assert sorted(told) == sorted(
        [
            ("jobs", "job_updated"),
            (f"user:{hers.freelancer.id}", "hired"),
            (f"user:{his.freelancer.id}", "bid_rejected"),
            (f"user:{cats.freelancer.id}", "bid_rejected"),
        ]
    )
    shown = await database.read(listing.get_job, job_id=job.id)
    assert (shown.status, shown.hired_bid_id) == ("assigned", hers.id)


async def test_a_hire_that_lost_its_bid_half_way_leaves_the_job_open(database: Database, batches: list[Batch]) -> None:
    olga, job, (hers, *_) = await database.write(scene)
    before = len(batches)

    def hire_what_is_withdrawn(tx: Connection) -> Any:
        run_before(
            tx, "UPDATE jobs", lambda: bidding.withdraw(tx, bid_id=hers.id, freelancer_id=hers.freelancer.id, now=NOW)
        )
        return hire(tx, hers, olga)

    with pytest.raises(BidNotPending):
        await database.write(hire_what_is_withdrawn)
    assert batches[before:] == []
    assert (await database.read(listing.get_job, job_id=job.id)).status == "open"
    assert (await database.read(statuses, job, olga))[hers.id] == "pending"


async def test_of_hires_in_one_batch_the_first_wins_and_is_told_once(
    database: Database, batches: list[Batch], together: Together
) -> None:
    olga, _, made = await database.write(scene)
    before = len(batches)
    answers = await together(*(lambda tx, one=one: hire(tx, one, olga) for one in made * 10))
    assert answers[0].response.bid_id == made[0].id
    assert [error.details for error in answers[1:]] == [{"currentStatus": "assigned", "hiredBidId": made[0].id}] * 29
    told = told_of([event for batch in batches[before:] for event in batch.events])
    assert sorted(kind for _, kind in told) == ["bid_rejected", "bid_rejected", "hired", "job_updated"]
