"""Comments tell the owner and those who commented before, each once, and no more than a transaction can bear."""

import msgspec
import pytest
from sqlalchemy import Connection, insert, text

from services.database.outbox import PendingEvent
from services.errors import InvalidField, NotFound
from services.ids import new_id
from services.jobs import closing, comments
from services.jobs.schemas import Job
from services.schemas import Person
from services.tables import comments as rows
from services.tables import users
from tests.services.database.query_plans import plan
from tests.services.jobs.job_factory import NOW, create_job, notifications_for, person


def say(tx: Connection, job: Job, who: Person, words: str = "Hello") -> str:
    return comments.create(tx, job_id=job.id, author=who, text=words, now=NOW).id


def told_of(told: list[PendingEvent], comment: str) -> list[str]:
    """Whose inboxes heard of this comment."""
    found = []
    for draft in told:
        data = msgspec.json.decode(draft.data)
        if draft.type == "notification" and data["data"].get("commentId") == comment:
            found.append(draft.channel.removeprefix("user:"))
    return found


def test_the_owner_and_earlier_commenters_are_told_once_and_the_author_never(
    tx: Connection, told: list[PendingEvent]
) -> None:
    g = create_job(tx)
    cleo = person(tx, "Cleo", "client")
    assert told_of(told, say(tx, g.job, g.ann)) == [g.owner.id]
    assert sorted(told_of(told, say(tx, g.job, g.ann))) == [g.owner.id]
    assert sorted(told_of(told, say(tx, g.job, g.owner))) == [g.ann.id]
    assert sorted(told_of(told, say(tx, g.job, cleo))) == sorted([g.owner.id, g.ann.id])
    assert sorted(told_of(told, say(tx, g.job, g.bob))) == sorted([g.owner.id, g.ann.id, cleo.id])
    assert sorted(told_of(told, say(tx, g.job, g.owner))) == sorted([g.ann.id, g.bob.id, cleo.id])


def test_what_is_told_is_the_contracts(tx: Connection, told: list[PendingEvent]) -> None:
    g = create_job(tx)
    comment = say(tx, g.job, g.ann, "x" * 2_000)
    (letter,) = (one for one in notifications_for(told, g.owner) if one["type"] == "comment")
    assert (letter["category"], letter["priority"], letter["icon"]) == ("comment", "normal", "💬")
    assert letter["invalidates"] == [f"job/{g.job.id}"]
    assert letter["url"] == f"/jobs/{g.job.id}"
    assert letter["data"] == {
        "jobId": g.job.id, "commentId": comment, "title": g.job.title, "author": {"id": g.ann.id, "name": "Ann"},
    }  # fmt: skip
    assert letter["body"] == f"Ann: {'x' * 199}…"


def test_nobody_is_told_when_the_owner_speaks_first(tx: Connection, told: list[PendingEvent]) -> None:
    g = create_job(tx)
    before = len(told)
    say(tx, g.job, g.owner)
    assert told[before:] == []


def test_of_ten_thousand_commenters_the_latest_hundred_are_told(tx: Connection, told: list[PendingEvent]) -> None:
    g = create_job(tx)
    people = [{"id": new_id(), "name": str(n), "role": "client", "created_at": NOW} for n in range(10_000)]
    tx.execute(insert(users), people)
    # Their ids sort the other way round, as if the clock had been set back again and again.
    ids = sorted((new_id() for _ in people), reverse=True)
    said = [
        {"id": key, "job_id": g.job.id, "author_id": who["id"], "text": "Me", "created_at": NOW}
        for key, who in zip(ids, people, strict=True)
    ]
    tx.execute(insert(rows), said)
    heard = told_of(told, say(tx, g.job, g.ann))
    assert sorted(heard) == sorted([g.owner.id, *(str(who["id"]) for who in people[-comments.MAX_NOTIFIED :])])
    assert heard == sorted(heard)
    assert plan(tx, comments._NEWEST_AUTHORS) == [
        "SEARCH comments USING COVERING INDEX ix_comments_job_id_seq_author_id (job_id=?)"
    ]


def test_who_has_said_nothing_in_a_thousand_comments_is_not_told(tx: Connection, told: list[PendingEvent]) -> None:
    g = create_job(tx)
    say(tx, g.job, g.bob)
    row = {"job_id": g.job.id, "author_id": g.ann.id, "text": "Me", "created_at": NOW}
    tx.execute(insert(rows), [{"id": new_id(), **row} for _ in range(999)])
    assert sorted(told_of(told, say(tx, g.job, g.ann))) == sorted([g.owner.id, g.bob.id])
    assert told_of(told, say(tx, g.job, g.ann)) == [g.owner.id]


def test_pages_of_comments_are_newest_first_and_neither_repeat_nor_miss(tx: Connection) -> None:
    g, other = create_job(tx), create_job(tx)
    ids = [say(tx, g.job, g.ann, str(number)) for number in range(7)]
    say(tx, other.job, g.ann)
    seen: list[str] = []
    after = None
    while True:
        page = comments.list_comments(tx, job_id=g.job.id, limit=3, after=after)
        seen += [comment.id for comment in page.items]
        say(tx, g.job, g.bob, "meanwhile")
        if page.next is None:
            break
        after = page.next
    assert seen == ids[::-1]
    first = comments.list_comments(tx, job_id=other.job.id).items[0]
    assert (first.job_id, first.author, first.text) == (other.job.id, g.ann, "Hello")
    with pytest.raises(InvalidField):
        comments.list_comments(tx, job_id=g.job.id, after="x")


def test_comments_come_in_the_order_in_which_they_were_made_whatever_the_clock_said(
    tx: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    g = create_job(tx)
    # What ids are where each comment comes after a restart with the clock set back.
    ids = [new_id() for _ in range(3)]
    monkeypatch.setattr(comments, "new_id", iter(ids[::-1]).__next__)
    made = [say(tx, g.job, g.ann) for _ in ids]
    assert made == ids[::-1]
    first = comments.list_comments(tx, job_id=g.job.id, limit=2)
    second = comments.list_comments(tx, job_id=g.job.id, limit=2, after=first.next)
    assert [comment.id for comment in (*first.items, *second.items)] == made[::-1]
    assert second.next is None


def test_jobs_that_are_over_can_be_talked_about_and_deleted_ones_cannot(tx: Connection) -> None:
    done, gone = create_job(tx, "completed"), create_job(tx)
    say(tx, done.job, done.owner)
    say(tx, gone.job, gone.ann)
    closing.delete(tx, job_id=gone.job.id, owner_id=gone.owner.id, now=NOW)
    for job_id in (gone.job.id, "nothing"):
        with pytest.raises(NotFound):
            comments.create(tx, job_id=job_id, author=gone.ann, text="Hello", now=NOW)
        with pytest.raises(NotFound):
            comments.list_comments(tx, job_id=job_id)
    assert tx.execute(text("SELECT count(*) FROM comments")).scalar_one() == 2
