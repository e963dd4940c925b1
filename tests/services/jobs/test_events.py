"""Debounced job events: at most one per second and job for bids and edits, and always the last state."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from services.database.outbox import PendingEvent
from services.jobs import bidding, events, hiring, listing
from services.jobs.events import DEBOUNCE_MS
from services.jobs.schemas import Job
from tests.services.jobs.marketplace import NOW, bid, channel_events, people, post

MAX_FOUND = 100


def updates(events: list[PendingEvent], job: Job) -> list[dict[str, Any]]:
    return [data for type, data in channel_events(events, "jobs") if type == "job_updated" and data["id"] == job.id]


def bid_counts(events: list[PendingEvent], job: Job) -> list[int]:
    return [data["bidCount"] for data in updates(events, job)]


def publish_due(tx: Connection, now: int) -> list[str]:
    """Do what the periodic task does; return the ids of the published jobs."""
    found = list(events.find_unpublished(tx, now=now, limit=MAX_FOUND))
    events.publish_pending(tx, found=found, now=now)
    return found


def test_first_bid_publishes_the_public_job_at_once(tx: Connection, pending_events: list[PendingEvent]) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    job = post(tx, olga)
    bid(tx, job, ann, now=NOW + 5)
    (event,) = updates(pending_events, job)
    assert event == msgspec.to_builtins(listing.get_job(tx, job_id=job.id)) | {
        "url": f"/jobs/{job.id}",
        "invalidates": ["jobs", f"job/{job.id}"],
    }
    assert (event["bidCount"], event["updatedAt"]) == (1, "2023-11-14T22:13:20.005Z")
    assert [event.subject for event in pending_events if event.type == "job_updated"] == [job.id]


def test_changes_within_a_second_are_published_once_at_its_end(
    tx: Connection, pending_events: list[PendingEvent]
) -> None:
    olga, *freelancers = people(tx, "Olga", *"ABCD")
    job = post(tx, olga)
    bids = [bid(tx, job, freelancer, now=NOW + 10 * n) for n, freelancer in enumerate(freelancers)]
    bidding.withdraw(tx, bid_id=bids[0].id, freelancer_id=freelancers[0].id, now=NOW + DEBOUNCE_MS - 1)
    assert bid_counts(pending_events, job) == [1]
    assert publish_due(tx, NOW + DEBOUNCE_MS - 1) == []
    assert publish_due(tx, NOW + DEBOUNCE_MS) == [job.id]
    assert bid_counts(pending_events, job) == [1, 3]
    assert updates(pending_events, job)[-1]["updatedAt"] == "2023-11-14T22:13:20.999Z"
    assert publish_due(tx, NOW + 10 * DEBOUNCE_MS) == []


def test_debounce_time_restarts_with_each_published_event(tx: Connection, pending_events: list[PendingEvent]) -> None:
    olga, *freelancers = people(tx, "Olga", *"ABCD")
    job = post(tx, olga)
    bid(tx, job, freelancers[0], now=NOW)
    bid(tx, job, freelancers[1], now=NOW + 1)
    publish_due(tx, NOW + DEBOUNCE_MS + 200)
    bid(tx, job, freelancers[2], now=NOW + 2 * DEBOUNCE_MS + 199)
    assert bid_counts(pending_events, job) == [1, 2]
    bid(tx, job, freelancers[3], now=NOW + 2 * DEBOUNCE_MS + 200)
    assert bid_counts(pending_events, job) == [1, 2, 4]
    assert publish_due(tx, NOW + 9 * DEBOUNCE_MS) == []


def test_bid_is_published_at_once_when_the_debounce_time_is_over(
    tx: Connection, pending_events: list[PendingEvent]
) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    job = post(tx, olga)
    bid(tx, job, ann, now=NOW)
    bid(tx, job, bob, now=NOW + DEBOUNCE_MS)
    assert bid_counts(pending_events, job) == [1, 2]


def test_debounce_time_is_per_job(tx: Connection, pending_events: list[PendingEvent]) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    first, second = post(tx, olga), post(tx, olga)
    bid(tx, first, ann)
    bid(tx, second, ann)
    assert (bid_counts(pending_events, first), bid_counts(pending_events, second)) == ([1], [1])


def test_withdrawal_is_published_like_a_bid(tx: Connection, pending_events: list[PendingEvent]) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    job = post(tx, olga)
    bids = bid(tx, job, ann)
    bidding.withdraw(tx, bid_id=bids.id, freelancer_id=ann.id, now=NOW + DEBOUNCE_MS)
    assert bid_counts(pending_events, job) == [1, 0]


def test_hire_is_published_at_once_and_nothing_older_follows(
    tx: Connection, pending_events: list[PendingEvent]
) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    job = post(tx, olga)
    ann_bid = bid(tx, job, ann, now=NOW)
    bid(tx, job, bob, now=NOW + 1)
    found = list(events.find_unpublished(tx, now=NOW + DEBOUNCE_MS, limit=MAX_FOUND))
    assert found == [job.id]
    hiring.hire(tx, bid_id=ann_bid.id, owner_id=olga.id, now=NOW + 2)
    assert [(event["status"], event["bidCount"]) for event in updates(pending_events, job)] == [
        ("open", 1),
        ("assigned", 2),
    ]
    # The task may have found the job before the hire, or find it after the hire.
    events.publish_pending(tx, found=found, now=NOW + DEBOUNCE_MS)
    assert publish_due(tx, NOW + DEBOUNCE_MS) == []
    assert len(updates(pending_events, job)) == 2


def test_events_are_published_when_the_clock_was_set_back(tx: Connection, pending_events: list[PendingEvent]) -> None:
    olga, *freelancers = people(tx, "Olga", *"ABC")
    job = post(tx, olga)
    bid(tx, job, freelancers[0], now=NOW)
    bid(tx, job, freelancers[1], now=NOW + 1)
    assert publish_due(tx, NOW - 3_600_000) == [job.id]
    bid(tx, job, freelancers[2], now=NOW - 7_200_000)
    assert bid_counts(pending_events, job) == [1, 2, 3]


def test_step_publishes_at_most_its_limit_and_the_rest_stays_due(
    tx: Connection, pending_events: list[PendingEvent]
) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    posted = [post(tx, olga) for _ in range(3)]
    for job in posted:
        bid(tx, job, ann)
        bid(tx, job, bob)
    first = events.find_unpublished(tx, now=NOW + DEBOUNCE_MS, limit=2)
    assert len(first) == 2
    events.publish_pending(tx, found=first, now=NOW + DEBOUNCE_MS)
    left = publish_due(tx, NOW + DEBOUNCE_MS)
    assert {*first, *left} == {job.id for job in posted}
    assert [bid_counts(pending_events, job) for job in posted] == [[1, 2]] * 3


@pytest.mark.parametrize("found", [[], ["unknown"]], ids=["no jobs", "unknown job"])
def test_publishing_without_changes_appends_no_event(
    tx: Connection, pending_events: list[PendingEvent], found: list[str]
) -> None:
    events.publish_pending(tx, found=found, now=NOW)
    assert channel_events(pending_events, "jobs") == []
