"""Posting jobs: the row, the event, reading and listing."""

import msgspec
import pytest
from sqlalchemy import Connection

from services.database.outbox import PendingEvent
from services.errors import InvalidField, NotFound
from services.jobs import hiring, listing
from services.jobs.schemas import Job
from services.jobs.search_query import JobFilter
from tests.services.jobs.marketplace import NOW, bid, channel_events, people, post


def ids(listed: list[Job]) -> list[str]:
    return [job.id for job in listed]


def test_posted_job_is_open_and_equals_the_response(tx: Connection) -> None:
    (olga,) = people(tx, "Olga")
    job = post(tx, olga, title="Fix it", category="Web", skills=["sql", "css", "sql"])
    assert (job.owner, job.status, job.bid_count, job.hired_bid_id, job.hired_at) == (olga, "open", 0, None, None)
    assert (job.title, job.category, job.skills) == ("Fix it", "Web", ["sql", "css"])
    assert job.created_at == job.updated_at == "2023-11-14T22:13:20.000Z"
    assert listing.get_job(tx, job_id=job.id) == job


def test_posting_publishes_job_created(tx: Connection, pending_events: list[PendingEvent]) -> None:
    (olga,) = people(tx, "Olga")
    job = post(tx, olga)
    expected = msgspec.to_builtins(job) | {"url": f"/jobs/{job.id}", "invalidates": ["jobs", "stats"]}
    assert channel_events(pending_events, "jobs") == [("job_created", expected)]
    assert pending_events[-1].subject == job.id


def test_posting_sends_no_notification(tx: Connection, pending_events: list[PendingEvent]) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    post(tx, olga)
    assert [event for event in pending_events if event.type == "notification"] == []
    assert channel_events(pending_events, f"user:{ann.id}") == []


def test_get_job_raises_not_found_for_an_unknown_id(tx: Connection) -> None:
    with pytest.raises(NotFound):
        listing.get_job(tx, job_id="unknown")


def test_list_applies_each_filter_and_all_combined(tx: Connection) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    oleg = people(tx, "Oleg")[0]
    web, art = post(tx, olga, category="Web"), post(tx, olga, category="Art")
    oleg_job, plain = post(tx, oleg, category="Web"), post(tx, oleg)
    hired = post(tx, olga, category="Web")
    hiring.hire(tx, bid_id=bid(tx, hired, ann).id, owner_id=olga.id, now=NOW)
    all_ids = [hired.id, plain.id, oleg_job.id, art.id, web.id]
    assert ids(listing.list_jobs(tx).items) == all_ids
    assert ids(listing.list_jobs(tx, job_filter=JobFilter(status="open")).items) == all_ids[1:]
    assert ids(listing.list_jobs(tx, job_filter=JobFilter(status="assigned")).items) == [hired.id]
    assert ids(listing.list_jobs(tx, job_filter=JobFilter(status="completed")).items) == []
    assert ids(listing.list_jobs(tx, job_filter=JobFilter(category="Web")).items) == [hired.id, oleg_job.id, web.id]
    assert ids(listing.list_jobs(tx, job_filter=JobFilter(owner_id=olga.id)).items) == [hired.id, art.id, web.id]
    assert ids(listing.list_jobs(tx, job_filter=JobFilter(status="open", category="Web")).items) == [
        oleg_job.id,
        web.id,
    ]
    assert ids(listing.list_jobs(tx, job_filter=JobFilter(status="open", owner_id=olga.id)).items) == [art.id, web.id]
    assert ids(listing.list_jobs(tx, job_filter=JobFilter(category="Web", owner_id=olga.id)).items) == [
        hired.id,
        web.id,
    ]
    assert ids(listing.list_jobs(tx, job_filter=JobFilter(status="open", category="Web", owner_id=olga.id)).items) == [
        web.id
    ]


def test_list_pages_are_consecutive_while_jobs_are_posted(tx: Connection) -> None:
    (olga,) = people(tx, "Olga")
    posted = [post(tx, olga).id for _ in range(5)]
    first = listing.list_jobs(tx, limit=2)
    post(tx, olga)
    second = listing.list_jobs(tx, limit=2, after=first.next)
    third = listing.list_jobs(tx, limit=2, after=second.next)
    assert ids(first.items) + ids(second.items) + ids(third.items) == posted[::-1]
    assert third.next is None


def test_full_last_page_has_no_next_token(tx: Connection) -> None:
    (olga,) = people(tx, "Olga")
    for _ in range(2):
        post(tx, olga)
    assert listing.list_jobs(tx, limit=2).next is None


def test_list_rejects_an_invalid_page_token(tx: Connection) -> None:
    with pytest.raises(InvalidField):
        listing.list_jobs(tx, after="nonsense")


def test_list_item_equals_the_single_job(tx: Connection) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    job = post(tx, olga)
    hiring.hire(tx, bid_id=bid(tx, job, ann).id, owner_id=olga.id, now=NOW)
    assert listing.list_jobs(tx).items == [listing.get_job(tx, job_id=job.id)]
