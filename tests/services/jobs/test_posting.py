"""Jobs: what posting one writes and tells, and how they are read and listed."""

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


def test_a_posted_job_is_open_and_reads_as_it_was_answered(tx: Connection) -> None:
    (olga,) = people(tx, "Olga")
    job = post(tx, olga, title="Fix it", category="Web", skills=["sql", "css", "sql"])
    assert (job.owner, job.status, job.bid_count, job.hired_bid_id, job.hired_at) == (olga, "open", 0, None, None)
    assert (job.title, job.category, job.skills) == ("Fix it", "Web", ["sql", "css"])
    assert job.created_at == job.updated_at == "2023-11-14T22:13:20.000Z"
    assert listing.get_job(tx, job_id=job.id) == job


def test_everybody_hears_of_a_new_job(tx: Connection, told: list[PendingEvent]) -> None:
    (olga,) = people(tx, "Olga")
    job = post(tx, olga)
    shown = msgspec.to_builtins(job) | {"url": f"/jobs/{job.id}", "invalidates": ["jobs", "stats"]}
    assert channel_events(told, "jobs") == [("job_created", shown)]
    assert told[-1].subject == job.id


def test_nobodys_inbox_hears_of_a_new_job(tx: Connection, told: list[PendingEvent]) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    post(tx, olga)
    assert [draft for draft in told if draft.type == "notification"] == []
    assert channel_events(told, f"user:{ann.id}") == []


def test_a_job_that_is_not_there_is_not_found(tx: Connection) -> None:
    with pytest.raises(NotFound):
        listing.get_job(tx, job_id="nobody's")


def test_every_narrowing_of_the_list_and_all_of_them_together(tx: Connection) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    oleg = people(tx, "Oleg")[0]
    web, art = post(tx, olga, category="Web"), post(tx, olga, category="Art")
    his, plain = post(tx, oleg, category="Web"), post(tx, oleg)
    hired = post(tx, olga, category="Web")
    hiring.hire(tx, bid_id=bid(tx, hired, ann).id, owner_id=olga.id, now=NOW)
    everything = [hired.id, plain.id, his.id, art.id, web.id]
    assert ids(listing.list_jobs(tx).items) == everything
    assert ids(listing.list_jobs(tx, job_filter=JobFilter(status="open")).items) == everything[1:]
    assert ids(listing.list_jobs(tx, job_filter=JobFilter(status="assigned")).items) == [hired.id]
    assert ids(listing.list_jobs(tx, job_filter=JobFilter(status="completed")).items) == []
    assert ids(listing.list_jobs(tx, job_filter=JobFilter(category="Web")).items) == [hired.id, his.id, web.id]
    assert ids(listing.list_jobs(tx, job_filter=JobFilter(owner_id=olga.id)).items) == [hired.id, art.id, web.id]
    assert ids(listing.list_jobs(tx, job_filter=JobFilter(status="open", category="Web")).items) == [his.id, web.id]
    assert ids(listing.list_jobs(tx, job_filter=JobFilter(status="open", owner_id=olga.id)).items) == [art.id, web.id]
    assert ids(listing.list_jobs(tx, job_filter=JobFilter(category="Web", owner_id=olga.id)).items) == [
        hired.id,
        web.id,
    ]
    assert ids(listing.list_jobs(tx, job_filter=JobFilter(status="open", category="Web", owner_id=olga.id)).items) == [
        web.id
    ]


def test_pages_follow_one_another_while_jobs_are_posted(tx: Connection) -> None:
    (olga,) = people(tx, "Olga")
    posted = [post(tx, olga).id for _ in range(5)]
    first = listing.list_jobs(tx, limit=2)
    post(tx, olga)
    second = listing.list_jobs(tx, limit=2, after=first.next)
    third = listing.list_jobs(tx, limit=2, after=second.next)
    assert ids(first.items) + ids(second.items) + ids(third.items) == posted[::-1]
    assert third.next is None


def test_a_full_last_page_says_that_nothing_follows(tx: Connection) -> None:
    (olga,) = people(tx, "Olga")
    for _ in range(2):
        post(tx, olga)
    assert listing.list_jobs(tx, limit=2).next is None


def test_a_mark_of_no_list_is_refused(tx: Connection) -> None:
    with pytest.raises(InvalidField):
        listing.list_jobs(tx, after="nonsense")


def test_a_list_shows_a_job_as_reading_it_does(tx: Connection) -> None:
    olga, ann = people(tx, "Olga", "Ann")
    job = post(tx, olga)
    hiring.hire(tx, bid_id=bid(tx, job, ann).id, owner_id=olga.id, now=NOW)
    assert listing.list_jobs(tx).items == [listing.get_job(tx, job_id=job.id)]
