"""Comments: recipients of the notification, its content, pages and errors."""

import msgspec
import pytest
from sqlalchemy import Connection, insert, text

from services.database.outbox import PendingEvent
from services.errors import InvalidField, NotFound
from services.ids import new_id
from services.jobs import closing, comments
from services.jobs.schemas import Job
from services.schemas import Person
from services.tables import comments as comments_table
from services.tables import users
from tests.services.database.query_plans import plan
from tests.services.jobs.job_factory import NOW, create_job, notifications_for, person


def comment_on(tx: Connection, job: Job, author: Person, text: str = "Hello") -> str:
    return comments.create(tx, job_id=job.id, author=author, text=text, now=NOW).id


def recipients(events: list[PendingEvent], comment_id: str) -> list[str]:
    """Return the ids of the users who are notified of the comment, in the order of the events."""
    user_ids = []
    for event in events:
        data = msgspec.json.decode(event.data)
        if event.type == "notification" and data["data"].get("commentId") == comment_id:
            user_ids.append(event.channel.removeprefix("user:"))
    return user_ids


def test_comment_notifies_owner_and_earlier_authors_once(tx: Connection, pending_events: list[PendingEvent]) -> None:
    posted = create_job(tx)
    cleo = person(tx, "Cleo", "client")
    assert recipients(pending_events, comment_on(tx, posted.job, posted.ann)) == [posted.owner.id]
    assert sorted(recipients(pending_events, comment_on(tx, posted.job, posted.ann))) == [posted.owner.id]
    assert sorted(recipients(pending_events, comment_on(tx, posted.job, posted.owner))) == [posted.ann.id]
    assert sorted(recipients(pending_events, comment_on(tx, posted.job, cleo))) == sorted(
        [posted.owner.id, posted.ann.id]
    )
    assert sorted(recipients(pending_events, comment_on(tx, posted.job, posted.bob))) == sorted(
        [posted.owner.id, posted.ann.id, cleo.id]
    )
    assert sorted(recipients(pending_events, comment_on(tx, posted.job, posted.owner))) == sorted(
        [posted.ann.id, posted.bob.id, cleo.id]
    )


def test_notification_of_a_comment_is_as_published(tx: Connection, pending_events: list[PendingEvent]) -> None:
    posted = create_job(tx)
    comment = comment_on(tx, posted.job, posted.ann, "x" * 2_000)
    (notification,) = (sent for sent in notifications_for(pending_events, posted.owner) if sent["type"] == "comment")
    assert (notification["category"], notification["priority"], notification["icon"]) == ("comment", "normal", "💬")
    assert notification["invalidates"] == [f"job/{posted.job.id}"]
    assert notification["url"] == f"/jobs/{posted.job.id}"
    assert notification["data"] == {
        "jobId": posted.job.id,
        "commentId": comment,
        "title": posted.job.title,
        "author": {"id": posted.ann.id, "name": "Ann"},
    }
    assert notification["body"] == f"Ann: {'x' * 199}…"


def test_first_comment_of_the_owner_sends_no_notification(tx: Connection, pending_events: list[PendingEvent]) -> None:
    posted = create_job(tx)
    before = len(pending_events)
    comment_on(tx, posted.job, posted.owner)
    assert pending_events[before:] == []


def test_comment_notifies_the_100_newest_of_10000_authors(tx: Connection, pending_events: list[PendingEvent]) -> None:
    posted = create_job(tx)
    authors = [{"id": new_id(), "name": str(n), "role": "client", "created_at": NOW} for n in range(10_000)]
    tx.execute(insert(users), authors)
    # The comment ids sort against the order of creation, as if the clock had been set back repeatedly.
    ids = sorted((new_id() for _ in authors), reverse=True)
    comment_rows = [
        {"id": comment_id, "job_id": posted.job.id, "author_id": author["id"], "text": "Me", "created_at": NOW}
        for comment_id, author in zip(ids, authors, strict=True)
    ]
    tx.execute(insert(comments_table), comment_rows)
    notified = recipients(pending_events, comment_on(tx, posted.job, posted.ann))
    assert sorted(notified) == sorted(
        [posted.owner.id, *(str(author["id"]) for author in authors[-comments.MAX_NOTIFIED :])]
    )
    assert notified == sorted(notified)
    assert plan(tx, comments._NEWEST_AUTHORS) == [
        "SEARCH comments USING COVERING INDEX ix_comments_job_id_seq_author_id (job_id=?)"
    ]


def test_authors_are_not_notified_when_1000_comments_followed_theirs(
    tx: Connection, pending_events: list[PendingEvent]
) -> None:
    posted = create_job(tx)
    comment_on(tx, posted.job, posted.bob)
    row = {"job_id": posted.job.id, "author_id": posted.ann.id, "text": "Me", "created_at": NOW}
    tx.execute(insert(comments_table), [{"id": new_id(), **row} for _ in range(999)])
    assert sorted(recipients(pending_events, comment_on(tx, posted.job, posted.ann))) == sorted(
        [posted.owner.id, posted.bob.id]
    )
    assert recipients(pending_events, comment_on(tx, posted.job, posted.ann)) == [posted.owner.id]


def test_pages_are_newest_first_without_repeats_or_gaps(tx: Connection) -> None:
    posted, other = create_job(tx), create_job(tx)
    ids = [comment_on(tx, posted.job, posted.ann, str(number)) for number in range(7)]
    comment_on(tx, other.job, posted.ann)
    listed: list[str] = []
    after = None
    while True:
        page = comments.list_comments(tx, job_id=posted.job.id, limit=3, after=after)
        listed += [comment.id for comment in page.items]
        comment_on(tx, posted.job, posted.bob, "meanwhile")
        if page.next is None:
            break
        after = page.next
    assert listed == ids[::-1]
    first = comments.list_comments(tx, job_id=other.job.id).items[0]
    assert (first.job_id, first.author, first.text) == (other.job.id, posted.ann, "Hello")
    with pytest.raises(InvalidField):
        comments.list_comments(tx, job_id=posted.job.id, after="x")


def test_comments_are_in_creation_order_when_the_clock_was_set_back(
    tx: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    posted = create_job(tx)
    # Ids that sort against the order of creation, as after restarts with the clock set back.
    ids = [new_id() for _ in range(3)]
    monkeypatch.setattr(comments, "new_id", iter(ids[::-1]).__next__)
    created = [comment_on(tx, posted.job, posted.ann) for _ in ids]
    assert created == ids[::-1]
    first = comments.list_comments(tx, job_id=posted.job.id, limit=2)
    second = comments.list_comments(tx, job_id=posted.job.id, limit=2, after=first.next)
    assert [comment.id for comment in (*first.items, *second.items)] == created[::-1]
    assert second.next is None


def test_completed_jobs_accept_comments_and_deleted_jobs_do_not(tx: Connection) -> None:
    completed, deleted = create_job(tx, "completed"), create_job(tx)
    comment_on(tx, completed.job, completed.owner)
    comment_on(tx, deleted.job, deleted.ann)
    closing.delete(tx, job_id=deleted.job.id, owner_id=deleted.owner.id, now=NOW)
    for job_id in (deleted.job.id, "unknown"):
        with pytest.raises(NotFound):
            comments.create(tx, job_id=job_id, author=deleted.ann, text="Hello", now=NOW)
        with pytest.raises(NotFound):
            comments.list_comments(tx, job_id=job_id)
    assert tx.execute(text("SELECT count(*) FROM comments")).scalar_one() == 2
