"""Status changes: the row, the money, events and notifications of each transition."""

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

FIELDS = ("type", "category", "priority", "icon", "title", "url", "invalidates")


def main_fields(notification: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(notification[name] for name in FIELDS)


def test_accept_starts_the_work_and_notifies_the_owner(tx: Connection, pending_events: list[PendingEvent]) -> None:
    posted = create_job(tx, "assigned")
    pending_events.clear()
    assert change_status(tx, posted.job, posted.ann, "in_progress", now=NOW + 1).job.status == "in_progress"
    (notification,) = notifications_for(pending_events, posted.owner)
    url, keys = f"/jobs/{posted.job.id}", [f"job/{posted.job.id}", "my-jobs", "stats"]
    assert main_fields(notification) == ("job_accepted", "job", "high", "🎉", "Job accepted: Fix it", url, keys)
    assert notification["data"]["freelancer"] == {"id": posted.ann.id, "name": "Ann"}
    ((type, event),) = job_channel_events(pending_events)
    assert (type, event["status"], event["url"], event["invalidates"]) == ("job_accepted", "in_progress", url, keys)
    assert tx.execute(select(table_jobs.c.accepted_at, table_jobs.c.held, table_jobs.c.due_at)).one() == (
        NOW + 1,
        4_000,
        None,
    )
    assert notifications_for(pending_events, posted.ann) == notifications_for(pending_events, posted.bob) == []


def test_submit_starts_the_review_and_notifies_the_owner(tx: Connection, pending_events: list[PendingEvent]) -> None:
    posted = create_job(tx, "in_progress")
    pending_events.clear()
    assert change_status(tx, posted.job, posted.ann, "submitted").job.status == "submitted"
    (notification,) = notifications_for(pending_events, posted.owner)
    url = f"/jobs/{posted.job.id}"
    keys = [f"job/{posted.job.id}"]
    assert main_fields(notification) == ("job_submitted", "job", "high", "📦", "Work submitted: Fix it", url, keys)
    ((type, event),) = job_channel_events(pending_events)
    assert (type, event["status"], event["invalidates"]) == ("job_updated", "submitted", ["jobs", *keys])
    assert tx.execute(select(table_jobs.c.due_at)).scalar_one() == NOW + 7 * DAY_MS
    assert notifications_for(pending_events, posted.ann) == notifications_for(pending_events, posted.bob) == []


@pytest.mark.parametrize("note", ["Please, the\nother colour.", None], ids=["note", "no note"])
def test_request_changes_resumes_the_work_and_sends_the_note(
    tx: Connection, pending_events: list[PendingEvent], note: str | None
) -> None:
    posted = create_job(tx, "submitted")
    pending_events.clear()
    assert (
        change_status(tx, posted.job, posted.owner, "in_progress", role="client", note=note).job.status == "in_progress"
    )
    (notification,) = notifications_for(pending_events, posted.ann)
    title = "Changes requested: Fix it"
    assert main_fields(notification) == (
        *("changes_requested", "job", "high", "📦", title),
        *(f"/jobs/{posted.job.id}", [f"job/{posted.job.id}"]),
    )
    assert notification["data"]["note"] == note
    assert notification["body"] == ("Olga asks for changes." if note is None else f"Olga asks for changes: {note}")
    assert [(type, event["status"]) for type, event in job_channel_events(pending_events)] == [
        ("job_updated", "in_progress")
    ]
    assert notifications_for(pending_events, posted.owner) == notifications_for(pending_events, posted.bob) == []
    # The deadline of the review is set again by the next submission.
    assert tx.execute(select(table_jobs.c.due_at, table_jobs.c.accepted_at)).one() == (None, NOW)


def test_note_is_rejected_without_a_request_for_changes(tx: Connection) -> None:
    posted = create_job(tx, "submitted")
    with pytest.raises(InvalidField) as raised:
        change_status(tx, posted.job, posted.owner, "completed", note="Thanks")
    assert raised.value.details["pointer"] == "/note"
    assert listing.get_job(tx, job_id=posted.job.id).status == "submitted"


def test_longest_note_of_four_byte_characters_is_sent(tx: Connection, pending_events: list[PendingEvent]) -> None:
    owner, ann = person(tx, "🎉" * 80, "client", FUNDS), person(tx)
    job = posting.post(tx, owner=owner, title="🎉" * 120, description="D", budget=10, currency="USD", now=NOW)
    hiring.hire(tx, bid_id=bid(tx, job, ann, 10), owner_id=owner.id, now=NOW)
    change_status(tx, job, ann, "in_progress")
    change_status(tx, job, ann, "submitted")
    change_status(tx, job, owner, "in_progress", note="🎉" * 1_000)
    assert notifications_for(pending_events, ann)[-1]["data"]["note"] == "🎉" * 1_000
    change_status(tx, job, ann, "cancelled")
    assert notifications_for(pending_events, owner)[-1]["type"] == "job_refunded"


def test_complete_pays_the_freelancer_and_notifies_both(tx: Connection, pending_events: list[PendingEvent]) -> None:
    posted = create_job(tx, "submitted")
    assert balances(tx, posted.owner, posted.ann) == [(FUNDS - 4_000, 4_000), (0, 0)]
    pending_events.clear()
    assert change_status(tx, posted.job, posted.owner, "completed").job.status == "completed"
    assert balances(tx, posted.owner, posted.ann) == [(FUNDS - 4_000, 0), (4_000, 0)]
    check_ledger(tx)
    url, keys = f"/jobs/{posted.job.id}", [f"job/{posted.job.id}", "my-jobs", "stats", "wallet"]
    (completed,), (paid,) = (
        notifications_for(pending_events, posted.owner),
        notifications_for(pending_events, posted.ann),
    )
    assert main_fields(completed) == ("job_completed", "job", "high", "🎊", "Job Completed!", url, keys)
    assert main_fields(paid) == ("payment_released", "payment", "high", "💰", "Payment Released!", url, keys)
    assert (paid["data"]["amount"], paid["data"]["currency"]) == (4_000, "USD")
    assert "40.00 USD" in paid["body"]
    ((type, event),) = job_channel_events(pending_events)
    assert (type, event["status"], event["invalidates"]) == ("job_completed", "completed", keys)
    assert notifications_for(pending_events, posted.bob) == []


def test_submit_completes_the_job_when_there_is_no_review_time(
    tx: Connection, pending_events: list[PendingEvent]
) -> None:
    posted = create_job(tx, "in_progress")
    pending_events.clear()
    result = change_status(tx, posted.job, posted.ann, "submitted", deadlines=Deadlines(review_ms=0, delivery_ms=0))
    assert result.job.status == "completed"
    assert [type for type, _ in job_channel_events(pending_events)] == ["job_updated", "job_completed"]
    assert [notification["type"] for notification in notifications_for(pending_events, posted.owner)] == [
        "job_submitted",
        "job_completed",
    ]
    assert [notification["type"] for notification in notifications_for(pending_events, posted.ann)] == [
        "payment_released"
    ]
    assert balances(tx, posted.owner, posted.ann) == [(FUNDS - 4_000, 0), (4_000, 0)]


def test_cancelling_an_open_job_refunds_it_and_notifies_bidders_once(
    tx: Connection, pending_events: list[PendingEvent]
) -> None:
    posted = create_job(tx)
    eve = person(tx, "Eve")
    bidding.withdraw(tx, bid_id=bid(tx, posted.job, eve), freelancer_id=eve.id, now=NOW)
    pending_events.clear()
    assert change_status(tx, posted.job, posted.owner, "cancelled").job.status == "cancelled"
    assert balances(tx, posted.owner) == [(FUNDS, 0)]
    check_ledger(tx)
    assert bid_statuses(tx, posted.job) == {posted.ann.id: "rejected", posted.bob.id: "rejected", eve.id: "withdrawn"}
    url, keys = f"/jobs/{posted.job.id}", [f"job/{posted.job.id}", "my-jobs", "stats", "wallet"]
    (refund,) = notifications_for(pending_events, posted.owner)
    assert main_fields(refund) == ("job_refunded", "payment", "high", "🔄", "Refunded: Fix it", url, keys)
    assert refund["data"]["amount"] == 5_000
    for loser in (posted.ann, posted.bob):
        (notification,) = notifications_for(pending_events, loser)
        assert main_fields(notification) == ("job_cancelled", "job", "high", "🔄", "Job cancelled: Fix it", url, keys)
    assert notifications_for(pending_events, eve) == []
    ((type, event),) = job_channel_events(pending_events)
    assert (type, event["status"], event["invalidates"]) == ("job_refunded", "cancelled", keys)


@pytest.mark.parametrize("status", ["assigned", "in_progress", "submitted"])
def test_hired_freelancer_can_cancel_without_notifying_old_bidders(
    tx: Connection, pending_events: list[PendingEvent], status: str
) -> None:
    posted = create_job(tx, status)
    pending_events.clear()
    assert change_status(tx, posted.job, posted.ann, "cancelled").job.hired_bid_id is not None
    assert [type for type, _ in job_channel_events(pending_events)] == ["job_refunded"]
    assert [notification["type"] for notification in notifications_for(pending_events, posted.owner)] == [
        "job_refunded"
    ]
    assert [notification["type"] for notification in notifications_for(pending_events, posted.ann)] == ["job_cancelled"]
    assert notifications_for(pending_events, posted.bob) == []
    assert balances(tx, posted.owner, posted.ann) == [(FUNDS, 0), (0, 0)]
    check_ledger(tx)


def test_owner_can_cancel_work_only_after_the_delivery_time(tx: Connection) -> None:
    posted = create_job(tx, "in_progress")
    last = NOW + DEADLINES.delivery_ms
    with pytest.raises(Conflict) as raised:
        change_status(tx, posted.job, posted.owner, "cancelled", now=last - 1)
    assert raised.value.details == {"currentStatus": "in_progress"}
    assert "2023-12-14T22:13:20.000Z" in raised.value.message
    # A request for changes does not restart the delivery time.
    change_status(tx, posted.job, posted.ann, "submitted", now=last - 1)
    change_status(tx, posted.job, posted.owner, "in_progress", now=last - 1)
    assert change_status(tx, posted.job, posted.owner, "cancelled", now=last).job.status == "cancelled"
    assert balances(tx, posted.owner) == [(FUNDS, 0)]


def test_instant_accept_is_a_hire_at_the_budget_and_an_acceptance(
    tx: Connection, pending_events: list[PendingEvent]
) -> None:
    posted = create_job(tx, instant_accept=True, expires_at=NOW + DAY_MS)
    pending_events.clear()
    accepted = change_status(tx, posted.job, posted.ann, "in_progress").job
    assert (accepted.status, accepted.hired_at is not None, accepted.bid_count) == ("in_progress", True, 2)
    assert bid_statuses(tx, posted.job) == {posted.ann.id: "hired", posted.bob.id: "rejected"}
    assert balances(tx, posted.owner) == [(FUNDS - 5_000, 5_000)]
    assert [(type, event["status"]) for type, event in job_channel_events(pending_events)] == [
        ("job_updated", "assigned"),
        ("job_accepted", "in_progress"),
    ]
    assert [notification["type"] for notification in notifications_for(pending_events, posted.owner)] == [
        "job_accepted"
    ]
    assert [
        (notification["type"], notification["data"]["price"])
        for notification in notifications_for(pending_events, posted.ann)
    ] == [("hired", 5_000)]
    assert [notification["type"] for notification in notifications_for(pending_events, posted.bob)] == ["bid_rejected"]
    assert tx.execute(select(table_jobs.c.due_at, table_jobs.c.accepted_at)).one() == (None, NOW)
    with pytest.raises(GigNotOpen) as raised:
        change_status(tx, posted.job, posted.bob, "in_progress")
    assert raised.value.details == {"currentStatus": "in_progress", "hiredBidId": accepted.hired_bid_id}
    change_status(tx, posted.job, posted.ann, "submitted")
    change_status(tx, posted.job, posted.owner, "completed")
    assert balances(tx, posted.owner, posted.ann) == [(FUNDS - 5_000, 0), (5_000, 0)]
    check_ledger(tx)


def test_instant_accept_adds_a_bid_when_the_freelancer_has_none(tx: Connection) -> None:
    posted = create_job(tx, instant_accept=True)
    eve = person(tx, "Eve")
    assert change_status(tx, posted.job, eve, "in_progress").job.bid_count == 3
    assert bid_statuses(tx, posted.job) == {posted.ann.id: "rejected", posted.bob.id: "rejected", eve.id: "hired"}


def test_instant_accept_raises_conflict_when_the_job_forbids_it(tx: Connection) -> None:
    posted = create_job(tx)
    with pytest.raises(Conflict) as raised:
        change_status(tx, posted.job, posted.ann, "in_progress")
    assert raised.value.details == {"currentStatus": "open"}


def test_delete_hides_the_job_refunds_it_and_publishes_the_event(
    tx: Connection, pending_events: list[PendingEvent]
) -> None:
    posted = create_job(tx)
    pending_events.clear()
    closing.delete(tx, job_id=posted.job.id, owner_id=posted.owner.id, now=NOW)
    ((type, event),) = job_channel_events(pending_events)
    keys = [f"job/{posted.job.id}", "my-jobs", "stats", "wallet"]
    assert (type, event["id"], event["status"], event["invalidates"]) == ("job_deleted", posted.job.id, "deleted", keys)
    assert [notification["type"] for notification in notifications_for(pending_events, posted.owner)] == [
        "job_refunded"
    ]
    assert [notification["title"] for notification in notifications_for(pending_events, posted.ann)] == [
        "Job deleted: Fix it"
    ]
    assert balances(tx, posted.owner) == [(FUNDS, 0)]
    check_ledger(tx)
    for read in (
        lambda: listing.get_job(tx, job_id=posted.job.id),
        lambda: change_status(tx, posted.job, posted.owner, "cancelled"),
        lambda: bid(tx, posted.job, person(tx)),
        lambda: closing.delete(tx, job_id=posted.job.id, owner_id=posted.owner.id, now=NOW),
    ):
        with pytest.raises(NotFound):
            read()
    assert listing.list_jobs(tx).items == []


def test_hire_raises_gig_not_found_when_the_job_is_deleted(tx: Connection) -> None:
    posted = create_job(tx)
    bid_id = bid(tx, posted.job, person(tx))
    closing.delete(tx, job_id=posted.job.id, owner_id=posted.owner.id, now=NOW)
    with pytest.raises(GigNotFound):
        hiring.hire(tx, bid_id=bid_id, owner_id=posted.owner.id, now=NOW)


@pytest.mark.parametrize("status", ["assigned", "in_progress", "submitted", "completed"])
def test_delete_is_for_the_owner_of_an_open_job(tx: Connection, status: str) -> None:
    posted = create_job(tx, status)
    with pytest.raises(Conflict) as raised:
        closing.delete(tx, job_id=posted.job.id, owner_id=posted.owner.id, now=NOW)
    assert raised.value.details == {"currentStatus": status}
    with pytest.raises(Forbidden):
        closing.delete(tx, job_id=posted.job.id, owner_id=posted.ann.id, now=NOW)


@pytest.mark.parametrize("target", ["open", "assigned", "expired"])
def test_statuses_that_cannot_be_requested_raise_conflict(
    tx: Connection, pending_events: list[PendingEvent], target: JobStatus
) -> None:
    posted = create_job(tx)
    pending_events.clear()
    for user in (posted.owner, posted.ann):
        with pytest.raises(Conflict):
            change_status(tx, posted.job, user, target)
    assert pending_events == []
    assert listing.get_job(tx, job_id=posted.job.id) == posted.job.__class__(**{**_fields(posted.job), "bid_count": 2})


def _fields(job: Any) -> dict[str, Any]:
    return {name: getattr(job, name) for name in job.__struct_fields__}


@pytest.mark.parametrize("closing_status", ["cancelled", "deleted", "expired", "in_progress"])
def test_transition_event_includes_unpublished_bid_changes(
    tx: Connection, pending_events: list[PendingEvent], closing_status: str
) -> None:
    posted = create_job(tx, instant_accept=True, expires_at=NOW + 9)
    assert job_events.find_unpublished(tx, now=NOW + SECOND_MS, limit=9) == [posted.job.id]
    if closing_status == "deleted":
        closing.delete(tx, job_id=posted.job.id, owner_id=posted.owner.id, now=NOW)
    elif closing_status == "expired":
        deadlines.process_due(tx, found=[posted.job.id], now=NOW + 9)
    else:
        change_status(
            tx,
            posted.job,
            posted.ann if closing_status == "in_progress" else posted.owner,
            "cancelled" if closing_status == "cancelled" else "in_progress",
        )
    pending_events.clear()
    assert job_events.find_unpublished(tx, now=NOW + DAY_MS, limit=9) == []
    job_events.publish_pending(tx, found=[posted.job.id], now=NOW + DAY_MS)
    assert pending_events == []


def test_transitions_raise_conflict_for_an_outdated_state(tx: Connection, pending_events: list[PendingEvent]) -> None:
    posted = create_job(tx, "submitted")
    stale = transitions.load_state(tx, job_id=posted.job.id)
    change_status(tx, posted.job, posted.owner, "completed")
    pending_events.clear()
    calls: list[Callable[[], object]] = [
        lambda: closing.complete(tx, stale, now=NOW),
        lambda: closing.close_with_refund(tx, stale, "cancelled", now=NOW),
        lambda: status_change.request_changes(tx, stale, note=None, now=NOW),
        lambda: status_change.submit(tx, stale, review_ms=1, now=NOW),
    ]
    for call in calls:
        with pytest.raises(Conflict) as raised:
            call()
        assert raised.value.details == {"currentStatus": "completed"}
    assert pending_events == []
    assert balances(tx, posted.owner, posted.ann) == [(FUNDS - 4_000, 0), (4_000, 0)]
    check_ledger(tx)


@pytest.mark.parametrize("budget", [9_000, 1_000], ids=["higher", "lower"])
@pytest.mark.parametrize("closing_status", ["cancelled", "deleted", "in_progress"])
def test_closing_raises_conflict_when_the_budget_changed_concurrently(
    tx: Connection, pending_events: list[PendingEvent], closing_status: str, budget: int
) -> None:
    posted = create_job(tx, instant_accept=True)
    calls: dict[str, Callable[[], object]] = {
        "cancelled": lambda: change_status(tx, posted.job, posted.owner, "cancelled"),
        "deleted": lambda: closing.delete(tx, job_id=posted.job.id, owner_id=posted.owner.id, now=NOW),
        "in_progress": lambda: change_status(tx, posted.job, person(tx), "in_progress"),
    }
    run_before(tx, "UPDATE jobs", lambda: edit_budget(tx, posted, budget))
    with pytest.raises(Conflict) as raised:
        calls[closing_status]()
    assert raised.value.details == {"currentStatus": "open"}
    assert balances(tx, posted.owner) == [(FUNDS - budget, budget)]
    check_ledger(tx)
    calls[closing_status]()
    check_ledger(tx)


def test_instant_accept_raises_gig_not_open_when_a_hire_was_faster(tx: Connection) -> None:
    posted = create_job(tx, instant_accept=True)
    eve_bid = bid(tx, posted.job, person(tx, "Eve"))
    run_before(tx, "UPDATE jobs", lambda: hiring.hire(tx, bid_id=eve_bid, owner_id=posted.owner.id, now=NOW))
    with pytest.raises(GigNotOpen) as raised:
        change_status(tx, posted.job, posted.bob, "in_progress")
    assert raised.value.details == {"currentStatus": "assigned", "hiredBidId": eve_bid}
    assert listing.get_job(tx, job_id=posted.job.id).bid_count == 3


@pytest.mark.parametrize("budget", [9_000, 1_000], ids=["higher", "lower"])
def test_expiry_skips_a_job_when_its_budget_changed_concurrently(tx: Connection, budget: int) -> None:
    posted = create_job(tx, expires_at=NOW + 9)
    run_before(tx, "UPDATE jobs", lambda: edit_budget(tx, posted, budget))
    assert deadlines.process_due(tx, found=[posted.job.id], now=NOW + 9) == []
    assert balances(tx, posted.owner) == [(FUNDS - budget, budget)]
    (result,) = deadlines.process_due(tx, found=[posted.job.id], now=NOW + 9)
    assert (result.job.status, balances(tx, posted.owner)) == ("expired", [(FUNDS, 0)])
    check_ledger(tx)


def edit_budget(tx: Connection, posted: PostedJob, budget: int) -> None:
    editing.edit(tx, job_id=posted.job.id, owner_id=posted.owner.id, edit=JobEdit(budget=budget), now=NOW)


def test_change_status_raises_not_found_for_an_unknown_job(tx: Connection) -> None:
    owner = person(tx, role="client", funds=FUNDS)
    job = post(tx, owner)
    with pytest.raises(DomainError) as raised:
        change_status(tx, type(job)(**{**_fields(job), "id": "unknown"}), owner, "cancelled")
    assert isinstance(raised.value, NotFound)
