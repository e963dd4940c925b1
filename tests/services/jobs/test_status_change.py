"""A job's moves: its row, the money, and who is told what, each in one transaction."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, select

from services.database.outbox import PendingEvent
from services.errors import Conflict, DomainError, Forbidden, GigNotFound, GigNotOpen, InvalidField, NotFound
from services.jobs import bidding, closing, deadlines, editing, hiring, listing, posting, status_change, transitions
from services.jobs import events as job_events
from services.jobs.editing import JobEdit
from services.jobs.lifecycle import Deadlines
from services.jobs.schemas import JobStatus
from services.tables import jobs as table_jobs
from services.times import DAY_MS, SECOND_MS
from tests.services.jobs.job_factory import (
    DEADLINES,
    FUNDS,
    NOW,
    PostedJob,
    balances,
    bid,
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

LOOKS = ("type", "category", "priority", "icon", "title", "url", "invalidates")


def looks(letter: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(letter[name] for name in LOOKS)


def test_accepting_begins_the_work_and_tells_the_owner_and_everybody(tx: Connection, told: list[PendingEvent]) -> None:
    g = create_job(tx, "assigned")
    told.clear()
    assert change_status(tx, g.job, g.ann, "in_progress", now=NOW + 1).job.status == "in_progress"
    (letter,) = notifications_for(told, g.owner)
    url, keys = f"/jobs/{g.job.id}", [f"job/{g.job.id}", "my-jobs", "stats"]
    assert looks(letter) == ("job_accepted", "job", "high", "🎉", "Job accepted: Fix it", url, keys)
    assert letter["data"]["freelancer"] == {"id": g.ann.id, "name": "Ann"}
    ((kind, event),) = job_channel_events(told)
    assert (kind, event["status"], event["url"], event["invalidates"]) == ("job_accepted", "in_progress", url, keys)
    assert tx.execute(select(table_jobs.c.accepted_at, table_jobs.c.held, table_jobs.c.due_at)).one() == (
        NOW + 1,
        4_000,
        None,
    )
    assert notifications_for(told, g.ann) == notifications_for(told, g.bob) == []


def test_submitting_begins_the_review_and_tells_the_owner(tx: Connection, told: list[PendingEvent]) -> None:
    g = create_job(tx, "in_progress")
    told.clear()
    assert change_status(tx, g.job, g.ann, "submitted").job.status == "submitted"
    (letter,) = notifications_for(told, g.owner)
    url = f"/jobs/{g.job.id}"
    keys = [f"job/{g.job.id}"]
    assert looks(letter) == ("job_submitted", "job", "high", "📦", "Work submitted: Fix it", url, keys)
    ((kind, event),) = job_channel_events(told)
    assert (kind, event["status"], event["invalidates"]) == ("job_updated", "submitted", ["jobs", *keys])
    assert tx.execute(select(table_jobs.c.due_at)).scalar_one() == NOW + 7 * DAY_MS
    assert notifications_for(told, g.ann) == notifications_for(told, g.bob) == []


@pytest.mark.parametrize("note", ["Please, the\nother colour.", None])
def test_asking_for_changes_goes_back_to_work_and_gives_the_freelancer_the_note(
    tx: Connection, told: list[PendingEvent], note: str | None
) -> None:
    g = create_job(tx, "submitted")
    told.clear()
    assert change_status(tx, g.job, g.owner, "in_progress", role="client", note=note).job.status == "in_progress"
    (letter,) = notifications_for(told, g.ann)
    title = "Changes requested: Fix it"
    assert looks(letter) == (
        *("changes_requested", "job", "high", "📦", title),
        *(f"/jobs/{g.job.id}", [f"job/{g.job.id}"]),
    )
    assert letter["data"]["note"] == note
    assert letter["body"] == ("Olga asks for changes." if note is None else f"Olga asks for changes: {note}")
    assert [(kind, event["status"]) for kind, event in job_channel_events(told)] == [("job_updated", "in_progress")]
    assert notifications_for(told, g.owner) == notifications_for(told, g.bob) == []
    # The review begins anew with the next submission, and not before.
    assert tx.execute(select(table_jobs.c.due_at, table_jobs.c.accepted_at)).one() == (None, NOW)


def test_a_note_belongs_to_asking_for_changes_alone(tx: Connection) -> None:
    g = create_job(tx, "submitted")
    with pytest.raises(InvalidField) as refused:
        change_status(tx, g.job, g.owner, "completed", note="Thanks")
    assert refused.value.details["pointer"] == "/note"
    assert listing.get_job(tx, job_id=g.job.id).status == "submitted"


def test_the_longest_note_in_the_largest_characters_fits(tx: Connection, told: list[PendingEvent]) -> None:
    owner, ann = person(tx, "🎉" * 80, "client", FUNDS), person(tx)
    job = posting.post(tx, owner=owner, title="🎉" * 120, description="D", budget=10, currency="USD", now=NOW)
    hiring.hire(tx, bid_id=bid(tx, job, ann, 10), owner_id=owner.id, now=NOW)
    change_status(tx, job, ann, "in_progress")
    change_status(tx, job, ann, "submitted")
    change_status(tx, job, owner, "in_progress", note="🎉" * 1_000)
    assert notifications_for(told, ann)[-1]["data"]["note"] == "🎉" * 1_000
    change_status(tx, job, ann, "cancelled")
    assert notifications_for(told, owner)[-1]["type"] == "job_refunded"


def test_completing_pays_the_freelancer_and_tells_both(tx: Connection, told: list[PendingEvent]) -> None:
    g = create_job(tx, "submitted")
    assert balances(tx, g.owner, g.ann) == [(FUNDS - 4_000, 4_000), (0, 0)]
    told.clear()
    assert change_status(tx, g.job, g.owner, "completed").job.status == "completed"
    assert balances(tx, g.owner, g.ann) == [(FUNDS - 4_000, 0), (4_000, 0)]
    check_ledger(tx)
    url, keys = f"/jobs/{g.job.id}", [f"job/{g.job.id}", "my-jobs", "stats", "wallet"]
    (done,), (paid,) = notifications_for(told, g.owner), notifications_for(told, g.ann)
    assert looks(done) == ("job_completed", "job", "high", "🎊", "Job Completed!", url, keys)
    assert looks(paid) == ("payment_released", "payment", "high", "💰", "Payment Released!", url, keys)
    assert (paid["data"]["amount"], paid["data"]["currency"]) == (4_000, "USD")
    assert "40.00 USD" in paid["body"]
    ((kind, event),) = job_channel_events(told)
    assert (kind, event["status"], event["invalidates"]) == ("job_completed", "completed", keys)
    assert notifications_for(told, g.bob) == []


def test_without_time_for_a_review_a_submitted_job_is_completed_in_the_same_transaction(
    tx: Connection, told: list[PendingEvent]
) -> None:
    g = create_job(tx, "in_progress")
    told.clear()
    moved = change_status(tx, g.job, g.ann, "submitted", deadlines=Deadlines(review_ms=0, delivery_ms=0))
    assert moved.job.status == "completed"
    assert [kind for kind, _ in job_channel_events(told)] == ["job_updated", "job_completed"]
    assert [letter["type"] for letter in notifications_for(told, g.owner)] == ["job_submitted", "job_completed"]
    assert [letter["type"] for letter in notifications_for(told, g.ann)] == ["payment_released"]
    assert balances(tx, g.owner, g.ann) == [(FUNDS - 4_000, 0), (4_000, 0)]


def test_an_open_job_that_is_cancelled_is_refunded_and_each_pending_bidder_is_told_once(
    tx: Connection, told: list[PendingEvent]
) -> None:
    g = create_job(tx)
    gone = person(tx, "Eve")
    bidding.withdraw(tx, bid_id=bid(tx, g.job, gone), freelancer_id=gone.id, now=NOW)
    told.clear()
    assert change_status(tx, g.job, g.owner, "cancelled").job.status == "cancelled"
    assert balances(tx, g.owner) == [(FUNDS, 0)]
    check_ledger(tx)
    assert bid_statuses(tx, g.job) == {g.ann.id: "rejected", g.bob.id: "rejected", gone.id: "withdrawn"}
    url, keys = f"/jobs/{g.job.id}", [f"job/{g.job.id}", "my-jobs", "stats", "wallet"]
    (refund,) = notifications_for(told, g.owner)
    assert looks(refund) == ("job_refunded", "payment", "high", "🔄", "Refunded: Fix it", url, keys)
    assert refund["data"]["amount"] == 5_000
    for loser in (g.ann, g.bob):
        (sorry,) = notifications_for(told, loser)
        assert looks(sorry) == ("job_cancelled", "job", "high", "🔄", "Job cancelled: Fix it", url, keys)
    assert notifications_for(told, gone) == []
    ((kind, event),) = job_channel_events(told)
    assert (kind, event["status"], event["invalidates"]) == ("job_refunded", "cancelled", keys)


@pytest.mark.parametrize("status", ["assigned", "in_progress", "submitted"])
def test_a_hired_freelancer_can_cancel_and_nobody_who_lost_long_ago_hears_of_it(
    tx: Connection, told: list[PendingEvent], status: str
) -> None:
    g = create_job(tx, status)
    told.clear()
    assert change_status(tx, g.job, g.ann, "cancelled").job.hired_bid_id is not None
    assert [kind for kind, _ in job_channel_events(told)] == ["job_refunded"]
    assert [letter["type"] for letter in notifications_for(told, g.owner)] == ["job_refunded"]
    assert [letter["type"] for letter in notifications_for(told, g.ann)] == ["job_cancelled"]
    assert notifications_for(told, g.bob) == []
    assert balances(tx, g.owner, g.ann) == [(FUNDS, 0), (0, 0)]
    check_ledger(tx)


def test_the_owner_of_a_job_in_progress_cancels_only_when_the_time_to_deliver_is_over(tx: Connection) -> None:
    g = create_job(tx, "in_progress")
    last = NOW + DEADLINES.delivery_ms
    with pytest.raises(Conflict) as refused:
        change_status(tx, g.job, g.owner, "cancelled", now=last - 1)
    assert refused.value.details == {"currentStatus": "in_progress"}
    assert "2023-12-14T22:13:20.000Z" in refused.value.message
    # Asking for changes does not begin it anew.
    change_status(tx, g.job, g.ann, "submitted", now=last - 1)
    change_status(tx, g.job, g.owner, "in_progress", now=last - 1)
    assert change_status(tx, g.job, g.owner, "cancelled", now=last).job.status == "cancelled"
    assert balances(tx, g.owner) == [(FUNDS, 0)]


def test_taking_a_job_at_once_is_a_hire_at_the_budget_and_then_the_acceptance(
    tx: Connection, told: list[PendingEvent]
) -> None:
    g = create_job(tx, instant_accept=True, expires_at=NOW + DAY_MS)
    told.clear()
    taken = change_status(tx, g.job, g.ann, "in_progress").job
    assert (taken.status, taken.hired_at is not None, taken.bid_count) == ("in_progress", True, 2)
    assert bid_statuses(tx, g.job) == {g.ann.id: "hired", g.bob.id: "rejected"}
    assert balances(tx, g.owner) == [(FUNDS - 5_000, 5_000)]
    assert [(kind, event["status"]) for kind, event in job_channel_events(told)] == [
        ("job_updated", "assigned"),
        ("job_accepted", "in_progress"),
    ]
    assert [letter["type"] for letter in notifications_for(told, g.owner)] == ["job_accepted"]
    assert [(letter["type"], letter["data"]["price"]) for letter in notifications_for(told, g.ann)] == [
        ("hired", 5_000)
    ]
    assert [letter["type"] for letter in notifications_for(told, g.bob)] == ["bid_rejected"]
    assert tx.execute(select(table_jobs.c.due_at, table_jobs.c.accepted_at)).one() == (None, NOW)
    with pytest.raises(GigNotOpen) as late:
        change_status(tx, g.job, g.bob, "in_progress")
    assert late.value.details == {"currentStatus": "in_progress", "hiredBidId": taken.hired_bid_id}
    change_status(tx, g.job, g.ann, "submitted")
    change_status(tx, g.job, g.owner, "completed")
    assert balances(tx, g.owner, g.ann) == [(FUNDS - 5_000, 0), (5_000, 0)]
    check_ledger(tx)


def test_who_never_bid_can_take_a_job_at_once_and_is_counted(tx: Connection) -> None:
    g = create_job(tx, instant_accept=True)
    eve = person(tx, "Eve")
    assert change_status(tx, g.job, eve, "in_progress").job.bid_count == 3
    assert bid_statuses(tx, g.job) == {g.ann.id: "rejected", g.bob.id: "rejected", eve.id: "hired"}


def test_a_job_that_is_not_to_be_had_at_once_is_not_taken(tx: Connection) -> None:
    g = create_job(tx)
    with pytest.raises(Conflict) as refused:
        change_status(tx, g.job, g.ann, "in_progress")
    assert refused.value.details == {"currentStatus": "open"}


def test_a_deleted_job_is_gone_refunded_and_told(tx: Connection, told: list[PendingEvent]) -> None:
    g = create_job(tx)
    told.clear()
    closing.delete(tx, job_id=g.job.id, owner_id=g.owner.id, now=NOW)
    ((kind, event),) = job_channel_events(told)
    keys = [f"job/{g.job.id}", "my-jobs", "stats", "wallet"]
    assert (kind, event["id"], event["status"], event["invalidates"]) == ("job_deleted", g.job.id, "deleted", keys)
    assert [letter["type"] for letter in notifications_for(told, g.owner)] == ["job_refunded"]
    assert [letter["title"] for letter in notifications_for(told, g.ann)] == ["Job deleted: Fix it"]
    assert balances(tx, g.owner) == [(FUNDS, 0)]
    check_ledger(tx)
    for read in (
        lambda: listing.get_job(tx, job_id=g.job.id),
        lambda: change_status(tx, g.job, g.owner, "cancelled"),
        lambda: bid(tx, g.job, person(tx)),
        lambda: closing.delete(tx, job_id=g.job.id, owner_id=g.owner.id, now=NOW),
    ):
        with pytest.raises(NotFound):
            read()
    assert listing.list_jobs(tx).items == []


def test_a_hire_of_a_bid_on_a_deleted_job_finds_no_gig(tx: Connection) -> None:
    g = create_job(tx)
    late = bid(tx, g.job, person(tx))
    closing.delete(tx, job_id=g.job.id, owner_id=g.owner.id, now=NOW)
    with pytest.raises(GigNotFound):
        hiring.hire(tx, bid_id=late, owner_id=g.owner.id, now=NOW)


@pytest.mark.parametrize("status", ["assigned", "in_progress", "submitted", "completed"])
def test_only_an_open_job_can_be_deleted_and_only_by_its_owner(tx: Connection, status: str) -> None:
    g = create_job(tx, status)
    with pytest.raises(Conflict) as refused:
        closing.delete(tx, job_id=g.job.id, owner_id=g.owner.id, now=NOW)
    assert refused.value.details == {"currentStatus": status}
    with pytest.raises(Forbidden):
        closing.delete(tx, job_id=g.job.id, owner_id=g.ann.id, now=NOW)


@pytest.mark.parametrize("target", ["open", "assigned", "expired"])
def test_a_state_that_nobody_names_is_refused_and_changes_nothing(
    tx: Connection, told: list[PendingEvent], target: JobStatus
) -> None:
    g = create_job(tx)
    told.clear()
    for who in (g.owner, g.ann):
        with pytest.raises(Conflict):
            change_status(tx, g.job, who, target)
    assert told == []
    assert listing.get_job(tx, job_id=g.job.id) == g.job.__class__(**{**_fields(g.job), "bid_count": 2})


def _fields(job: Any) -> dict[str, Any]:
    return {name: getattr(job, name) for name in job.__struct_fields__}


@pytest.mark.parametrize("end", ["cancelled", "deleted", "expired", "in_progress"])
def test_bids_that_were_still_to_be_told_are_told_with_the_move_and_not_after_it(
    tx: Connection, told: list[PendingEvent], end: str
) -> None:
    g = create_job(tx, instant_accept=True, expires_at=NOW + 9)
    assert job_events.find_unpublished(tx, now=NOW + SECOND_MS, limit=9) == [g.job.id]
    if end == "deleted":
        closing.delete(tx, job_id=g.job.id, owner_id=g.owner.id, now=NOW)
    elif end == "expired":
        deadlines.process_due(tx, found=[g.job.id], now=NOW + 9)
    else:
        change_status(
            tx, g.job, g.ann if end == "in_progress" else g.owner, "cancelled" if end == "cancelled" else "in_progress"
        )
    told.clear()
    assert job_events.find_unpublished(tx, now=NOW + DAY_MS, limit=9) == []
    job_events.publish_pending(tx, found=[g.job.id], now=NOW + DAY_MS)
    assert told == []


def test_who_read_the_job_too_early_moves_nothing(tx: Connection, told: list[PendingEvent]) -> None:
    g = create_job(tx, "submitted")
    stale = transitions.load_state(tx, job_id=g.job.id)
    change_status(tx, g.job, g.owner, "completed")
    told.clear()
    late: list[Callable[[], object]] = [
        lambda: closing.complete(tx, stale, now=NOW),
        lambda: closing.close_with_refund(tx, stale, "cancelled", now=NOW),
        lambda: status_change.request_changes(tx, stale, note=None, now=NOW),
        lambda: status_change.submit(tx, stale, review_ms=1, now=NOW),
    ]
    for act in late:
        with pytest.raises(Conflict) as refused:
            act()
        assert refused.value.details == {"currentStatus": "completed"}
    assert told == []
    assert balances(tx, g.owner, g.ann) == [(FUNDS - 4_000, 0), (4_000, 0)]
    check_ledger(tx)


@pytest.mark.parametrize("budget", [9_000, 1_000])
@pytest.mark.parametrize("end", ["cancelled", "deleted", "in_progress"])
def test_a_budget_changed_between_the_look_and_the_end_is_a_conflict_and_moves_no_money(
    tx: Connection, told: list[PendingEvent], end: str, budget: int
) -> None:
    g = create_job(tx, instant_accept=True)
    acts: dict[str, Callable[[], object]] = {
        "cancelled": lambda: change_status(tx, g.job, g.owner, "cancelled"),
        "deleted": lambda: closing.delete(tx, job_id=g.job.id, owner_id=g.owner.id, now=NOW),
        "in_progress": lambda: change_status(tx, g.job, person(tx), "in_progress"),
    }
    run_before(tx, "UPDATE jobs", lambda: edit(tx, g, budget))
    with pytest.raises(Conflict) as refused:
        acts[end]()
    assert refused.value.details == {"currentStatus": "open"}
    assert balances(tx, g.owner) == [(FUNDS - budget, budget)]
    check_ledger(tx)
    acts[end]()
    check_ledger(tx)


def test_a_job_hired_for_between_the_look_and_the_taking_is_not_open_and_names_its_winner(tx: Connection) -> None:
    g = create_job(tx, instant_accept=True)
    hers = bid(tx, g.job, person(tx, "Eve"))
    run_before(tx, "UPDATE jobs", lambda: hiring.hire(tx, bid_id=hers, owner_id=g.owner.id, now=NOW))
    with pytest.raises(GigNotOpen) as refused:
        change_status(tx, g.job, g.bob, "in_progress")
    assert refused.value.details == {"currentStatus": "assigned", "hiredBidId": hers}
    assert listing.get_job(tx, job_id=g.job.id).bid_count == 3


@pytest.mark.parametrize("budget", [9_000, 1_000])
def test_a_budget_changed_between_the_look_and_the_expiry_leaves_the_job_to_the_next_look(
    tx: Connection, budget: int
) -> None:
    g = create_job(tx, expires_at=NOW + 9)
    run_before(tx, "UPDATE jobs", lambda: edit(tx, g, budget))
    assert deadlines.process_due(tx, found=[g.job.id], now=NOW + 9) == []
    assert balances(tx, g.owner) == [(FUNDS - budget, budget)]
    (moved,) = deadlines.process_due(tx, found=[g.job.id], now=NOW + 9)
    assert (moved.job.status, balances(tx, g.owner)) == ("expired", [(FUNDS, 0)])
    check_ledger(tx)


def edit(tx: Connection, g: PostedJob, budget: int) -> None:
    editing.edit(tx, job_id=g.job.id, owner_id=g.owner.id, edit=JobEdit(budget=budget), now=NOW)


def test_an_unknown_job_is_not_found(tx: Connection) -> None:
    owner = person(tx, role="client", funds=FUNDS)
    job = post(tx, owner)
    with pytest.raises(DomainError) as refused:
        change_status(tx, type(job)(**{**_fields(job), "id": "nothing"}), owner, "cancelled")
    assert isinstance(refused.value, NotFound)
