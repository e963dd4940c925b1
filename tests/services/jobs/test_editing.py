"""Editing jobs and posting with an expiry: changed fields, the held amount, events and errors."""

from typing import Any

import pytest
from sqlalchemy import Connection, select

from services.database.outbox import PendingEvent
from services.errors import Conflict, Forbidden, InsufficientFunds, InvalidField, NotFound
from services.jobs import bidding, editing, listing
from services.jobs import events as job_events
from services.jobs.editing import JobEdit
from services.jobs.schemas import Job
from services.schemas import Person
from services.tables import jobs as table_jobs
from services.tables import transfers
from services.times import DAY_MS, SECOND_MS, to_rfc3339
from tests.services.jobs.job_factory import (
    FUNDS,
    NOW,
    balances,
    bid_statuses,
    change_status,
    check_ledger,
    create_job,
    job_channel_events,
    notifications_for,
    person,
    post,
)
from tests.services.jobs.marketplace import run_before


def edit(tx: Connection, job: Job, user: Person, now: int = NOW, **changes: Any) -> Job:
    return editing.edit(tx, job_id=job.id, owner_id=user.id, edit=JobEdit(**changes), now=now)


def job_transfers(tx: Connection) -> list[tuple[str, int]]:
    return [(row.kind, row.amount) for row in tx.execute(select(transfers).order_by(transfers.c.seq)) if row.job_id]


def test_post_stores_the_expiry_and_instant_accept(tx: Connection) -> None:
    owner = person(tx, "Olga", "client", FUNDS)
    job = post(tx, owner, expires_at=NOW + 1, instant_accept=True)
    assert (job.expires_at, job.instant_accept) == (to_rfc3339(NOW + 1), True)
    assert tx.execute(select(table_jobs.c.due_at)).scalar_one() == NOW + 1
    plain = post(tx, owner)
    assert (plain.expires_at, plain.instant_accept) == (None, False)


@pytest.mark.parametrize("expires_at", [NOW, NOW - 1, 0, -1], ids=["now", "past", "zero", "negative"])
def test_expiry_must_be_in_the_future(tx: Connection, expires_at: int) -> None:
    owner = person(tx, "Olga", "client", FUNDS)
    with pytest.raises(InvalidField) as raised:
        post(tx, owner, expires_at=expires_at)
    assert raised.value.details == {"pointer": "/expiresAt", "reason": "range"}
    job = post(tx, owner)
    with pytest.raises(InvalidField):
        edit(tx, job, owner, expires_at=expires_at)
    assert balances(tx, owner) == [(FUNDS - 5_000, 5_000)]


def test_edit_changes_only_the_named_fields(tx: Connection, pending_events: list[PendingEvent]) -> None:
    posted = create_job(tx, category="web", skills=["a", "b"], expires_at=NOW + 9)
    pending_events.clear()
    edited = edit(tx, posted.job, posted.owner, NOW + 2_000, title="Mend it", skills=["b", "b", "c"])
    expected = {name: getattr(posted.job, name) for name in Job.__struct_fields__} | {
        "title": "Mend it",
        "skills": ["b", "c"],
        "bid_count": 2,
        "updated_at": to_rfc3339(NOW + 2_000),
    }
    assert {name: getattr(edited, name) for name in Job.__struct_fields__} == expected
    assert edited == listing.get_job(tx, job_id=posted.job.id)
    ((type, event),) = job_channel_events(pending_events)
    assert (type, event["title"], event["invalidates"]) == ("job_updated", "Mend it", ["jobs", f"job/{posted.job.id}"])
    assert notifications_for(pending_events, posted.ann) == notifications_for(pending_events, posted.owner) == []
    assert tx.execute(select(table_jobs.c.due_at)).scalar_one() == NOW + 9


def test_edit_removes_category_and_expiry_with_null(tx: Connection) -> None:
    posted = create_job(tx, category="web", expires_at=NOW + 9)
    edited = edit(tx, posted.job, posted.owner, category=None, expires_at=None)
    assert (edited.category, edited.expires_at) == (None, None)
    assert tx.execute(select(table_jobs.c.due_at)).scalar_one() is None


@pytest.mark.parametrize(
    ("budget", "transfer"),
    [(7_000, ("hold", 2_000)), (1_000, ("release", 4_000)), (5_000, None)],
    ids=["higher", "lower", "same"],
)
def test_held_amount_follows_the_budget(tx: Connection, budget: int, transfer: tuple[str, int] | None) -> None:
    posted = create_job(tx)
    assert edit(tx, posted.job, posted.owner, budget=budget).budget == budget
    assert balances(tx, posted.owner) == [(FUNDS - budget, budget)]
    assert job_transfers(tx) == [("hold", 5_000), *([] if transfer is None else [transfer])]
    assert set(bid_statuses(tx, posted.job).values()) == {"pending"}
    check_ledger(tx)


def test_edit_raises_insufficient_funds_and_changes_nothing(tx: Connection, pending_events: list[PendingEvent]) -> None:
    posted = create_job(tx)
    pending_events.clear()
    with pytest.raises(InsufficientFunds) as raised:
        edit(tx, posted.job, posted.owner, budget=FUNDS + 1, title="Other")
    assert raised.value.details == {"available": FUNDS - 5_000}
    assert (listing.get_job(tx, job_id=posted.job.id).title, pending_events) == ("Fix it", [])
    assert edit(tx, posted.job, posted.owner, budget=FUNDS).budget == FUNDS
    check_ledger(tx)


def test_edit_without_changes_publishes_nothing(tx: Connection, pending_events: list[PendingEvent]) -> None:
    posted = create_job(tx)
    pending_events.clear()
    assert edit(tx, posted.job, posted.owner, NOW + DAY_MS).bid_count == 2
    assert pending_events == []


@pytest.mark.parametrize("status", ["assigned", "in_progress", "submitted", "completed"])
def test_edit_raises_conflict_when_the_job_is_not_open(
    tx: Connection, pending_events: list[PendingEvent], status: str
) -> None:
    posted = create_job(tx, status)
    pending_events.clear()
    for changes in ({"title": "Other"}, {}, {"budget": 1}):
        with pytest.raises(Conflict) as raised:
            edit(tx, posted.job, posted.owner, **changes)
        assert raised.value.details == {"currentStatus": status}
    assert pending_events == []


@pytest.mark.parametrize("changes", [{"budget": 7_000}, {"title": "Other"}], ids=["budget", "title"])
def test_edit_raises_conflict_when_a_concurrent_edit_was_faster(tx: Connection, changes: dict[str, Any]) -> None:
    posted = create_job(tx)
    run_before(tx, "UPDATE jobs", lambda: edit(tx, posted.job, posted.owner, budget=9_000))
    with pytest.raises(Conflict) as raised:
        edit(tx, posted.job, posted.owner, **changes)
    assert raised.value.details == {"currentStatus": "open"}
    assert (listing.get_job(tx, job_id=posted.job.id).title, balances(tx, posted.owner)) == (
        "Fix it",
        [(FUNDS - 9_000, 9_000)],
    )
    check_ledger(tx)


@pytest.mark.parametrize("changes", [{"budget": 7_000}, {"title": "Other"}], ids=["budget", "title"])
def test_edit_raises_conflict_when_a_cancellation_was_faster(tx: Connection, changes: dict[str, Any]) -> None:
    posted = create_job(tx)
    run_before(tx, "UPDATE jobs", lambda: change_status(tx, posted.job, posted.owner, "cancelled"))
    with pytest.raises(Conflict) as raised:
        edit(tx, posted.job, posted.owner, **changes)
    assert raised.value.details == {"currentStatus": "cancelled"}
    assert (listing.get_job(tx, job_id=posted.job.id).title, balances(tx, posted.owner)) == ("Fix it", [(FUNDS, 0)])
    check_ledger(tx)


def test_edit_is_for_the_owner_of_an_existing_job(tx: Connection) -> None:
    posted = create_job(tx)
    with pytest.raises(Forbidden):
        edit(tx, posted.job, posted.ann, title="Mine")
    with pytest.raises(NotFound):
        editing.edit(tx, job_id="unknown", owner_id=posted.owner.id, edit=JobEdit(title="T"), now=NOW)


def test_edits_are_published_once_per_second_and_the_last_one_always(
    tx: Connection, pending_events: list[PendingEvent]
) -> None:
    owner = person(tx, "Olga", "client", FUNDS)
    job = post(tx, owner)
    pending_events.clear()
    for n in range(5):
        edit(tx, job, owner, NOW + n, title=f"T{n}")
    bidding.place(tx, job_id=job.id, freelancer=person(tx), message="Me", price=1, now=NOW + 5)
    assert [event["title"] for _, event in job_channel_events(pending_events)] == ["T0"]
    assert job_events.find_unpublished(tx, now=NOW + SECOND_MS - 1, limit=9) == []
    found = job_events.find_unpublished(tx, now=NOW + SECOND_MS, limit=9)
    job_events.publish_pending(tx, found=found, now=NOW + SECOND_MS)
    assert [(event["title"], event["bidCount"]) for _, event in job_channel_events(pending_events)][1:] == [("T4", 1)]
