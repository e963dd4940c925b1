"""Placing bids and withdrawing them: what it writes, whom it tells, and everything it refuses."""

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
from services.tables import bids as rows
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


def withdraw(tx: Connection, made: Bid, who: Person | None = None, now: int = NOW) -> None:
    bidding.withdraw(tx, bid_id=made.id, freelancer_id=(who or made.freelancer).id, now=now)


def test_a_bid_is_pending_counted_and_listed_as_it_was_answered(tx: Connection) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    job = post(tx, olga)
    made = bidding.place(tx, job_id=job.id, freelancer=ann, message="I can\nby May", price=50_000, now=NOW + 1)
    assert msgspec.to_builtins(made) == {
        "id": made.id,
        "gigId": job.id,
        "freelancer": {"id": ann.id, "name": "Ann"},
        "message": "I can\nby May",
        "price": 50_000,
        "status": "pending",
        "hiredAt": None,
        "rejectedAt": None,
        "createdAt": "2023-11-14T22:13:20.001Z",
    }
    assert bids.list_for_job(tx, job_id=job.id, reader_id=olga.id).items == [made]
    assert listing.get_job(tx, job_id=job.id).bid_count == 1


def test_the_owner_and_nobody_else_gets_the_published_notification(tx: Connection, told: list[PendingEvent]) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    job = post(tx, olga, title="Fix it", currency="USD")
    bid(tx, job, bob)
    made = bid(tx, job, ann, price=50_000)
    event = notifications_for(told, olga)[-1]
    assert event | {"id": "", "createdAt": ""} == {
        "id": "",
        "type": "bid_received",
        "category": "bid",
        "priority": "normal",
        "title": "New bid on Fix it",
        "body": "Ann offers to do it for 500.00 USD.",
        "data": {
            "jobId": job.id,
            "bidId": made.id,
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
    assert (len(notifications_for(told, olga)), notifications_for(told, ann), notifications_for(told, bob)) == (
        2,
        [],
        [],
    )


def test_a_bid_on_a_job_that_is_not_there_is_not_found(tx: Connection) -> None:
    _, ann = people(tx, "Olga", "Ann")
    expect_error(NotFound, bidding.place, tx, job_id="nobody's", freelancer=ann, message="m", price=1, now=NOW)


def test_nobody_bids_on_their_own_job(tx: Connection) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    job = post(tx, olga)
    expect_error(Forbidden, bid, tx, job, olga)
    hiring.hire(tx, bid_id=bid(tx, job, ann).id, owner_id=olga.id, now=NOW)
    # Whose job it is comes before what has become of it.
    expect_error(Forbidden, bid, tx, job, olga)


def test_a_job_that_is_not_open_takes_no_bids(tx: Connection) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    job = post(tx, olga)
    hiring.hire(tx, bid_id=bid(tx, job, ann).id, owner_id=olga.id, now=NOW)
    assert expect_error(Conflict, bid, tx, job, bob).details == {"currentStatus": "assigned"}
    assert expect_error(Conflict, bid, tx, job, ann).details == {"currentStatus": "assigned"}


def test_a_freelancer_has_one_open_bid_a_job_and_may_bid_again_after_withdrawing(tx: Connection) -> None:
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


def test_a_withdrawn_bid_is_no_longer_counted_and_no_inbox_hears_of_it(
    tx: Connection, told: list[PendingEvent]
) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    job = post(tx, olga)
    hers = bid(tx, job, ann)
    bid(tx, job, bob)
    withdraw(tx, hers)
    assert listing.get_job(tx, job_id=job.id).bid_count == 1
    assert [event["type"] for event in notifications_for(told, olga)] == ["bid_received"] * 2
    assert (notifications_for(told, ann), notifications_for(told, bob)) == ([], [])


def test_only_ones_own_bids_can_be_withdrawn(tx: Connection) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    made = bid(tx, post(tx, olga), ann)
    expect_error(NotFound, withdraw, tx, made, bob)
    expect_error(NotFound, withdraw, tx, made, olga)
    expect_error(NotFound, bidding.withdraw, tx, bid_id="nobody's", freelancer_id=ann.id, now=NOW)


def test_a_bid_that_is_no_longer_pending_cannot_be_withdrawn(tx: Connection) -> None:
    olga, ann, bob, cat = people(tx, "Olga", "Ann", "Bob", "Cat")
    job = post(tx, olga)
    hers, his, cats = bid(tx, job, ann), bid(tx, job, bob), bid(tx, job, cat)
    withdraw(tx, cats)
    assert expect_error(Conflict, withdraw, tx, cats).details == {"currentStatus": "withdrawn"}
    hiring.hire(tx, bid_id=hers.id, owner_id=olga.id, now=NOW)
    assert expect_error(Conflict, withdraw, tx, hers).details == {"currentStatus": "hired"}
    assert expect_error(Conflict, withdraw, tx, his).details == {"currentStatus": "rejected"}
    assert listing.get_job(tx, job_id=job.id).bid_count == 2


def test_what_is_refused_writes_and_tells_nothing(tx: Connection, told: list[PendingEvent]) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    job, closed = post(tx, olga), post(tx, olga)
    made = bid(tx, job, ann)
    hired = bid(tx, closed, ann)
    hiring.hire(tx, bid_id=hired.id, owner_id=olga.id, now=NOW)
    changes, heard_before = select(func.total_changes()), len(told)
    before = tx.execute(changes).scalar_one()
    expect_error(Forbidden, bid, tx, job, olga)
    expect_error(Conflict, bid, tx, job, ann)
    expect_error(Conflict, bid, tx, closed, bob)
    expect_error(NotFound, withdraw, tx, made, bob)
    expect_error(Conflict, withdraw, tx, hired)
    assert (tx.execute(changes).scalar_one(), len(told)) == (before, heard_before)


def test_a_job_takes_a_thousand_bids_and_the_hire_tells_everyone_of_them_once(
    tx: Connection, told: list[PendingEvent]
) -> None:
    olga, *freelancers = people(tx, "Olga", *(f"F{n}" for n in range(bidding.MAX_BIDS + 1)))
    job = post(tx, olga)
    made = [bid(tx, job, who) for who in freelancers[:-1]]
    full = expect_error(Conflict, bid, tx, job, freelancers[-1])
    assert (full.message, full.details) == (
        "This job has 1,000 bids and can take no more.",
        {"currentStatus": "open"},
    )
    done = hiring.hire(tx, bid_id=made[500].id, owner_id=olga.id, now=NOW)
    assert done.rejected == 999
    got = {who.id: [event["type"] for event in mail_of] for who, mail_of in _inboxes(told, freelancers).items()}
    losers = {who.id: ["bid_rejected"] for who in freelancers[:-1]}
    assert got == losers | {freelancers[500].id: ["hired"], freelancers[-1].id: []}


def test_one_withdrawn_bid_makes_room_for_another(tx: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bidding, "MAX_BIDS", 1)
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    job = post(tx, olga)
    hers = bid(tx, job, ann)
    expect_error(Conflict, bid, tx, job, bob)
    withdraw(tx, hers)
    assert bid(tx, job, bob).status == "pending"


def test_a_job_hired_between_the_look_and_the_bid_takes_it_no_more(tx: Connection) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    job = post(tx, olga)
    hers = bid(tx, job, ann)
    run_before(tx, "UPDATE jobs", lambda: hiring.hire(tx, bid_id=hers.id, owner_id=olga.id, now=NOW))
    expect_error(Conflict, bid, tx, job, bob)
    assert bids.list_for_job(tx, job_id=job.id, reader_id=bob.id).items == []


def test_a_second_bid_between_the_look_and_the_bid_is_refused_by_the_store(tx: Connection) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    job = post(tx, olga)
    run_before(tx, "INSERT INTO bids", lambda: bid(tx, job, ann))
    assert expect_error(Conflict, bid, tx, job, ann).details == {"currentStatus": "pending"}
    assert tx.execute(select(func.count()).select_from(rows)).scalar_one() == 1


def test_a_bid_hired_between_the_look_and_its_withdrawal_stays_hired(tx: Connection) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    job = post(tx, olga)
    hers = bid(tx, job, ann)
    run_before(tx, "UPDATE jobs", lambda: hiring.hire(tx, bid_id=hers.id, owner_id=olga.id, now=NOW))
    expect_error(Conflict, withdraw, tx, hers)
    assert bids.list_for_job(tx, job_id=job.id, reader_id=ann.id).items[0].status == "hired"


def test_a_bid_withdrawn_twice_at_once_is_withdrawn_once(tx: Connection) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    job = post(tx, olga)
    hers = bid(tx, job, ann)
    bid(tx, job, bob)
    run_before(tx, "UPDATE jobs", lambda: withdraw(tx, hers))
    expect_error(Conflict, withdraw, tx, hers)


async def test_nobody_hears_of_a_bid_that_was_taken_back(database: Database, batches: list[Batch]) -> None:
    def begin(tx: Connection) -> tuple[Any, ...]:
        olga, ann = people(tx, "Olga", "Ann")
        return olga, ann, post(tx, olga)

    olga, ann, job = await database.write(begin)
    before = len(batches)

    def bid_and_fail(tx: Connection) -> None:
        bid(tx, job, ann)
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(bid_and_fail)
    assert batches[before:] == []
    assert (await database.read(listing.get_job, job_id=job.id)).bid_count == 0
    await database.write(bid, job, ann)
    heard_of = [event.channel for batch in batches[before:] for event in batch.events]
    assert sorted(heard_of) == ["jobs", f"user:{olga.id}"]


def _inboxes(told: list[PendingEvent], users: list[Person]) -> dict[Person, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for draft in told:
        if draft.channel not in found:
            found[draft.channel] = [
                data for kind, data in channel_events(told, draft.channel) if kind == "notification"
            ]
    return {user: found.get(f"user:{user.id}", []) for user in users}
