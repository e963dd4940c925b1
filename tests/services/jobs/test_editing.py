"""Posting with an expiry and editing: what stays, what moves, how the hold follows, and what everybody hears."""

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


def change(tx: Connection, job: Job, who: Person, now: int = NOW, **changes: Any) -> Job:
    return editing.edit(tx, job_id=job.id, owner_id=who.id, edit=JobEdit(**changes), now=now)


def kinds(tx: Connection) -> list[tuple[str, int]]:
    return [(row.kind, row.amount) for row in tx.execute(select(transfers).order_by(transfers.c.seq)) if row.job_id]


def test_a_job_is_posted_with_its_expiry_and_may_be_had_at_once(tx: Connection) -> None:
    owner = person(tx, "Olga", "client", FUNDS)
    job = post(tx, owner, expires_at=NOW + 1, instant_accept=True)
    assert (job.expires_at, job.instant_accept) == (to_rfc3339(NOW + 1), True)
    assert tx.execute(select(table_jobs.c.due_at)).scalar_one() == NOW + 1
    plain = post(tx, owner)
    assert (plain.expires_at, plain.instant_accept) == (None, False)


@pytest.mark.parametrize("expires_at", [NOW, NOW - 1, 0, -1])
def test_a_job_cannot_be_over_before_it_begins(tx: Connection, expires_at: int) -> None:
    owner = person(tx, "Olga", "client", FUNDS)
    with pytest.raises(InvalidField) as refused:
        post(tx, owner, expires_at=expires_at)
    assert refused.value.details == {"pointer": "/expiresAt", "reason": "range"}
    job = post(tx, owner)
    with pytest.raises(InvalidField):
        change(tx, job, owner, expires_at=expires_at)
    assert balances(tx, owner) == [(FUNDS - 5_000, 5_000)]


def test_an_edit_changes_what_it_names_and_nothing_else(tx: Connection, told: list[PendingEvent]) -> None:
    g = create_job(tx, category="web", skills=["a", "b"], expires_at=NOW + 9)
    told.clear()
    edited = change(tx, g.job, g.owner, NOW + 2_000, title="Mend it", skills=["b", "b", "c"])
    expected = {name: getattr(g.job, name) for name in Job.__struct_fields__} | {
        "title": "Mend it",
        "skills": ["b", "c"],
        "bid_count": 2,
        "updated_at": to_rfc3339(NOW + 2_000),
    }
    assert {name: getattr(edited, name) for name in Job.__struct_fields__} == expected
    assert edited == listing.get_job(tx, job_id=g.job.id)
    ((kind, event),) = job_channel_events(told)
    assert (kind, event["title"], event["invalidates"]) == ("job_updated", "Mend it", ["jobs", f"job/{g.job.id}"])
    assert notifications_for(told, g.ann) == notifications_for(told, g.owner) == []
    assert tx.execute(select(table_jobs.c.due_at)).scalar_one() == NOW + 9


def test_null_takes_category_and_expiry_away(tx: Connection) -> None:
    g = create_job(tx, category="web", expires_at=NOW + 9)
    edited = change(tx, g.job, g.owner, category=None, expires_at=None)
    assert (edited.category, edited.expires_at) == (None, None)
    assert tx.execute(select(table_jobs.c.due_at)).scalar_one() is None


@pytest.mark.parametrize(("budget", "moved"), [(7_000, ("hold", 2_000)), (1_000, ("release", 4_000)), (5_000, None)])
def test_the_hold_follows_the_budget(tx: Connection, budget: int, moved: tuple[str, int] | None) -> None:
    g = create_job(tx)
    assert change(tx, g.job, g.owner, budget=budget).budget == budget
    assert balances(tx, g.owner) == [(FUNDS - budget, budget)]
    assert kinds(tx) == [("hold", 5_000), *([] if moved is None else [moved])]
    assert set(bid_statuses(tx, g.job).values()) == {"pending"}
    check_ledger(tx)


def test_a_budget_that_the_wallet_cannot_hold_is_refused_and_moves_nothing(
    tx: Connection, told: list[PendingEvent]
) -> None:
    g = create_job(tx)
    told.clear()
    with pytest.raises(InsufficientFunds) as refused:
        change(tx, g.job, g.owner, budget=FUNDS + 1, title="Other")
    assert refused.value.details == {"available": FUNDS - 5_000}
    assert (listing.get_job(tx, job_id=g.job.id).title, told) == ("Fix it", [])
    assert change(tx, g.job, g.owner, budget=FUNDS).budget == FUNDS
    check_ledger(tx)


def test_an_edit_of_nothing_tells_nobody(tx: Connection, told: list[PendingEvent]) -> None:
    g = create_job(tx)
    told.clear()
    assert change(tx, g.job, g.owner, NOW + DAY_MS).bid_count == 2
    assert told == []


@pytest.mark.parametrize("status", ["assigned", "in_progress", "submitted", "completed"])
def test_only_an_open_job_can_be_changed(tx: Connection, told: list[PendingEvent], status: str) -> None:
    g = create_job(tx, status)
    told.clear()
    for changes in ({"title": "Other"}, {}, {"budget": 1}):
        with pytest.raises(Conflict) as refused:
            change(tx, g.job, g.owner, **changes)
        assert refused.value.details == {"currentStatus": status}
    assert told == []


@pytest.mark.parametrize("changes", [{"budget": 7_000}, {"title": "Other"}])
def test_a_budget_changed_between_the_look_and_the_edit_is_a_conflict_and_moves_no_money(
    tx: Connection, changes: dict[str, Any]
) -> None:
    g = create_job(tx)
    run_before(tx, "UPDATE jobs", lambda: change(tx, g.job, g.owner, budget=9_000))
    with pytest.raises(Conflict) as refused:
        change(tx, g.job, g.owner, **changes)
    assert refused.value.details == {"currentStatus": "open"}
    assert (listing.get_job(tx, job_id=g.job.id).title, balances(tx, g.owner)) == ("Fix it", [(FUNDS - 9_000, 9_000)])
    check_ledger(tx)


@pytest.mark.parametrize("changes", [{"budget": 7_000}, {"title": "Other"}])
def test_a_job_cancelled_between_the_look_and_the_edit_is_a_conflict_and_holds_nothing(
    tx: Connection, changes: dict[str, Any]
) -> None:
    g = create_job(tx)
    run_before(tx, "UPDATE jobs", lambda: change_status(tx, g.job, g.owner, "cancelled"))
    with pytest.raises(Conflict) as refused:
        change(tx, g.job, g.owner, **changes)
    assert refused.value.details == {"currentStatus": "cancelled"}
    assert (listing.get_job(tx, job_id=g.job.id).title, balances(tx, g.owner)) == ("Fix it", [(FUNDS, 0)])
    check_ledger(tx)


def test_only_its_owner_can_change_a_job_and_an_unknown_one_is_not_found(tx: Connection) -> None:
    g = create_job(tx)
    with pytest.raises(Forbidden):
        change(tx, g.job, g.ann, title="Mine")
    with pytest.raises(NotFound):
        editing.edit(tx, job_id="nothing", owner_id=g.owner.id, edit=JobEdit(title="T"), now=NOW)


def test_many_edits_of_a_job_are_told_once_a_second_and_the_last_one_always(
    tx: Connection, told: list[PendingEvent]
) -> None:
    owner = person(tx, "Olga", "client", FUNDS)
    job = post(tx, owner)
    told.clear()
    for n in range(5):
        change(tx, job, owner, NOW + n, title=f"T{n}")
    bidding.place(tx, job_id=job.id, freelancer=person(tx), message="Me", price=1, now=NOW + 5)
    assert [event["title"] for _, event in job_channel_events(told)] == ["T0"]
    assert job_events.find_unpublished(tx, now=NOW + SECOND_MS - 1, limit=9) == []
    found = job_events.find_unpublished(tx, now=NOW + SECOND_MS, limit=9)
    job_events.publish_pending(tx, found=found, now=NOW + SECOND_MS)
    assert [(event["title"], event["bidCount"]) for _, event in job_channel_events(told)][1:] == [("T4", 1)]
