"""What everybody hears of bids that come and go: at most once a second for each job, and the last state always."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from services.database.outbox import PendingEvent
from services.jobs import bidding, events, hiring, listing
from services.jobs.events import DEBOUNCE_MS
from services.jobs.schemas import Job
from tests.services.jobs.marketplace import NOW, bid, channel_events, people, post

MANY = 100


def updates(told: list[PendingEvent], job: Job) -> list[dict[str, Any]]:
    return [data for kind, data in channel_events(told, "jobs") if kind == "job_updated" and data["id"] == job.id]


def counts(told: list[PendingEvent], job: Job) -> list[int]:
    return [data["bidCount"] for data in updates(told, job)]


def tell(tx: Connection, now: int) -> list[str]:
    """What the chore does."""
    found = list(events.find_unpublished(tx, now=now, limit=MANY))
    events.publish_pending(tx, found=found, now=now)
    return found


def test_the_first_bid_is_told_at_once_as_the_public_job(tx: Connection, told: list[PendingEvent]) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    job = post(tx, olga)
    bid(tx, job, ann, now=NOW + 5)
    (event,) = updates(told, job)
    assert event == msgspec.to_builtins(listing.get_job(tx, job_id=job.id)) | {
        "url": f"/jobs/{job.id}",
        "invalidates": ["jobs", f"job/{job.id}"],
    }
    assert (event["bidCount"], event["updatedAt"]) == (1, "2023-11-14T22:13:20.005Z")
    assert [draft.subject for draft in told if draft.type == "job_updated"] == [job.id]


def test_what_follows_within_a_second_is_told_once_at_its_end_as_it_is_then(
    tx: Connection, told: list[PendingEvent]
) -> None:
    olga, *freelancers = people(tx, "Olga", *"ABCD")
    job = post(tx, olga)
    made = [bid(tx, job, who, now=NOW + 10 * n) for n, who in enumerate(freelancers)]
    bidding.withdraw(tx, bid_id=made[0].id, freelancer_id=freelancers[0].id, now=NOW + DEBOUNCE_MS - 1)
    assert counts(told, job) == [1]
    assert tell(tx, NOW + DEBOUNCE_MS - 1) == []
    assert tell(tx, NOW + DEBOUNCE_MS) == [job.id]
    assert counts(told, job) == [1, 3]
    assert updates(told, job)[-1]["updatedAt"] == "2023-11-14T22:13:20.999Z"
    assert tell(tx, NOW + 10 * DEBOUNCE_MS) == []


def test_a_second_begins_anew_with_each_telling(tx: Connection, told: list[PendingEvent]) -> None:
    olga, *freelancers = people(tx, "Olga", *"ABCD")
    job = post(tx, olga)
    bid(tx, job, freelancers[0], now=NOW)
    bid(tx, job, freelancers[1], now=NOW + 1)
    tell(tx, NOW + DEBOUNCE_MS + 200)
    bid(tx, job, freelancers[2], now=NOW + 2 * DEBOUNCE_MS + 199)
    assert counts(told, job) == [1, 2]
    bid(tx, job, freelancers[3], now=NOW + 2 * DEBOUNCE_MS + 200)
    assert counts(told, job) == [1, 2, 4]
    assert tell(tx, NOW + 9 * DEBOUNCE_MS) == []


def test_a_bid_after_a_quiet_second_is_told_at_once(tx: Connection, told: list[PendingEvent]) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    job = post(tx, olga)
    bid(tx, job, ann, now=NOW)
    bid(tx, job, bob, now=NOW + DEBOUNCE_MS)
    assert counts(told, job) == [1, 2]


def test_one_job_does_not_silence_another(tx: Connection, told: list[PendingEvent]) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    first, second = post(tx, olga), post(tx, olga)
    bid(tx, first, ann)
    bid(tx, second, ann)
    assert (counts(told, first), counts(told, second)) == ([1], [1])


def test_a_withdrawal_is_told_like_a_bid(tx: Connection, told: list[PendingEvent]) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    job = post(tx, olga)
    made = bid(tx, job, ann)
    bidding.withdraw(tx, bid_id=made.id, freelancer_id=ann.id, now=NOW + DEBOUNCE_MS)
    assert counts(told, job) == [1, 0]


def test_a_hire_is_told_at_once_and_nothing_older_after_it(tx: Connection, told: list[PendingEvent]) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    job = post(tx, olga)
    hers = bid(tx, job, ann, now=NOW)
    bid(tx, job, bob, now=NOW + 1)
    late = list(events.find_unpublished(tx, now=NOW + DEBOUNCE_MS, limit=MANY))
    assert late == [job.id]
    hiring.hire(tx, bid_id=hers.id, owner_id=olga.id, now=NOW + 2)
    assert [(event["status"], event["bidCount"]) for event in updates(told, job)] == [("open", 1), ("assigned", 2)]
    # A chore that looked before the hire, and one that looks after it.
    events.publish_pending(tx, found=late, now=NOW + DEBOUNCE_MS)
    assert tell(tx, NOW + DEBOUNCE_MS) == []
    assert len(updates(told, job)) == 2


def test_the_clock_set_back_silences_nothing(tx: Connection, told: list[PendingEvent]) -> None:
    olga, *freelancers = people(tx, "Olga", *"ABC")
    job = post(tx, olga)
    bid(tx, job, freelancers[0], now=NOW)
    bid(tx, job, freelancers[1], now=NOW + 1)
    assert tell(tx, NOW - 3_600_000) == [job.id]
    bid(tx, job, freelancers[2], now=NOW - 7_200_000)
    assert counts(told, job) == [1, 2, 3]


def test_few_are_told_in_one_step_and_the_others_stay_due(tx: Connection, told: list[PendingEvent]) -> None:
    olga, ann, bob = people(tx, "Olga", "Ann", "Bob")
    posted = [post(tx, olga) for _ in range(3)]
    for job in posted:
        bid(tx, job, ann)
        bid(tx, job, bob)
    first = events.find_unpublished(tx, now=NOW + DEBOUNCE_MS, limit=2)
    assert len(first) == 2
    events.publish_pending(tx, found=first, now=NOW + DEBOUNCE_MS)
    left = tell(tx, NOW + DEBOUNCE_MS)
    assert {*first, *left} == {job.id for job in posted}
    assert [counts(told, job) for job in posted] == [[1, 2]] * 3


@pytest.mark.parametrize("found", [[], ["nobody's"]])
def test_telling_of_nothing_tells_nothing(tx: Connection, told: list[PendingEvent], found: list[str]) -> None:
    events.publish_pending(tx, found=found, now=NOW)
    assert channel_events(told, "jobs") == []
