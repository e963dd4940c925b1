"""Delivery into inboxes: rows, counts, events and replacement by collapse key."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, func, select

from services.accounts import users
from services.accounts.users import UserRef
from services.database import outbox
from services.database.database import Database
from services.database.units import Batch
from services.errors import DomainError, InvalidField
from services.notifications import changes, inbox, listing, sending
from services.notifications.draft import Action, NotificationDraft
from services.notifications.sending import SendRequest
from services.tables import notifications as table_notifications

NOW = 1_000_000


def create_user(tx: Connection, name: str = "Ann", external_id: str | None = None) -> str:
    return users.create(
        tx, email=None, password_hash=None, name=name, role="client", external_id=external_id, now=NOW
    ).id


def new_draft(title: str = "Hello", **fields: Any) -> NotificationDraft:
    return NotificationDraft(type="note", category="system", title=title, body="Body", **fields)


def decode_events(events: list[outbox.PendingEvent]) -> list[tuple[str, dict[str, Any]]]:
    return [(event.type, msgspec.json.decode(event.data)) for event in events if event.channel != "control"]


def test_inboxes_are_locked_in_user_order(tx: Connection) -> None:
    ann, bob = create_user(tx), create_user(tx, "Bob")
    assert list(inbox._increment_counters(tx, [(bob, new_draft()), (ann, new_draft()), (bob, new_draft())])) == [
        ann,
        bob,
    ]


def test_event_is_the_notification_with_the_counts_after_it(
    tx: Connection, pending_events: list[outbox.PendingEvent]
) -> None:
    ann = create_user(tx)
    inbox.deliver_fields(tx, user_id=ann, type="a", category="job", title="T", body="B", now=NOW)
    notification_id = inbox.deliver_fields(
        tx,
        user_id=ann,
        type="hired",
        category="hire",
        priority="urgent",
        title="You have been hired",
        body="For\nthis",
        data={"jobId": "1"},
        url="/jobs/1",
        icon="🎉",
        invalidates=["jobs"],
        expires_at=NOW + 1,
        now=NOW,
    )
    event_type, event = decode_events(pending_events)[-1]
    page = listing.list_page(tx, user_id=ann)
    item = msgspec.to_builtins(page.items[0])
    assert event_type == "notification"
    assert event == item | {"unread": 2, "unseen": 2, "invalidates": ["jobs"]}
    assert event["id"] == notification_id == pending_events[-1].subject
    assert pending_events[-1].channel == f"user:{ann}"
    assert (page.unread, page.unseen) == (2, 2)
    assert event["expiresAt"] == "1970-01-01T00:16:40.001Z"
    assert (event["count"], event["actions"], event["collapseKey"]) == (1, [], None)


def test_unread_with_same_collapse_key_is_replaced_and_published_in_order(
    tx: Connection, pending_events: list[outbox.PendingEvent]
) -> None:
    ann = create_user(tx)
    inbox.deliver_to_all(tx, user_ids=[ann], draft=new_draft("other"), now=NOW)
    old = inbox.deliver_to_all(tx, user_ids=[ann], draft=new_draft("1 bid", collapse_key="bids"), now=NOW)[0]
    new = inbox.deliver_to_all(tx, user_ids=[ann], draft=new_draft("2 bids", collapse_key="bids"), now=NOW)[0]
    retracted, created = decode_events(pending_events)[-2:]
    assert retracted == (
        "notification_state",
        {"ids": [old], "state": "retracted", "unread": 1, "unseen": 1},
    )
    assert (created[1]["id"], created[1]["count"], created[1]["unread"], created[1]["unseen"]) == (new, 2, 2, 2)
    assert listing.list_page(tx, user_id=ann).items[0].id == new
    events: outbox.PendingEvents = tx.info["outbox"]
    assert old not in {event.subject for _, event in events.to_publish()}


def test_replacing_seen_unread_notification_counts_as_unseen(tx: Connection) -> None:
    ann = create_user(tx)
    first = inbox.deliver_to_all(tx, user_ids=[ann], draft=new_draft(collapse_key="k"), now=NOW)
    assert changes.change_ids(tx, user_id=ann, verb="seen", ids=first, now=NOW).unseen == 0
    inbox.deliver_to_all(tx, user_ids=[ann], draft=new_draft(collapse_key="k"), now=NOW)
    assert inbox.load_counts(tx, ids=[ann]) == {ann: (1, 1)}


def test_read_or_archived_notification_is_not_replaced(tx: Connection) -> None:
    ann = create_user(tx)
    for verb in ("read", "archive"):
        ids = inbox.deliver_to_all(tx, user_ids=[ann], draft=new_draft(collapse_key="k"), now=NOW)
        changes.change_ids(tx, user_id=ann, verb=verb, ids=ids, now=NOW)
    inbox.deliver_to_all(tx, user_ids=[ann], draft=new_draft(collapse_key="k"), now=NOW)
    assert tx.execute(select(func.count()).select_from(table_notifications)).scalar_one() == 3
    assert listing.list_page(tx, user_id=ann).items[0].count == 1


def test_all_unread_notifications_with_the_key_are_replaced(tx: Connection) -> None:
    ann = create_user(tx)
    first = inbox.deliver_to_all(tx, user_ids=[ann], draft=new_draft(collapse_key="k"), now=NOW)
    changes.change_ids(tx, user_id=ann, verb="read", ids=first, now=NOW)
    inbox.deliver_to_all(tx, user_ids=[ann], draft=new_draft(collapse_key="k"), now=NOW)
    changes.change_ids(tx, user_id=ann, verb="unread", ids=first, now=NOW)
    inbox.deliver_to_all(tx, user_ids=[ann], draft=new_draft(collapse_key="k"), now=NOW)
    page = listing.list_page(tx, user_id=ann)
    assert ([item.count for item in page.items], page.unread) == ([3], 1)


def test_same_key_twice_in_one_call_leaves_the_later_notification(
    tx: Connection, pending_events: list[outbox.PendingEvent]
) -> None:
    ann, bob = create_user(tx), create_user(tx)
    keyed = new_draft(collapse_key="k")
    ids = inbox.deliver(tx, items=[(ann, keyed), (bob, keyed), (ann, new_draft()), (ann, keyed)], now=NOW)
    assert [(item.id, item.count) for item in listing.list_page(tx, user_id=ann).items] == [(ids[3], 2), (ids[2], 1)]
    assert inbox.load_counts(tx, ids=[ann, bob]) == {ann: (2, 2), bob: (1, 1)}
    events_of_ann = [event for event in pending_events if event.channel == f"user:{ann}"]
    unread = [event["unread"] for _, event in decode_events(events_of_ann)]
    assert unread == [1, 2, 1, 2]


async def test_thousand_notifications_are_published_in_one_unit(database: Database, batches: list[Batch]) -> None:
    def prepare(tx: Connection) -> list[str]:
        return [create_user(tx, f"u{n}") for n in range(1_000)]

    user_ids = await database.write(prepare)
    ids = await database.write(inbox.deliver_to_all, user_ids=user_ids, draft=new_draft(), now=NOW)
    published = [event for batch in batches for event in batch.events if event.type == "notification"]
    assert [event.channel for event in published] == [f"user:{user_id}" for user_id in user_ids]
    assert [msgspec.json.decode(event.data)["id"] for event in published] == ids
    assert len(set(ids)) == 1_000


def test_repeated_recipients_count_once_and_ids_keep_their_order(tx: Connection) -> None:
    ann, bob = create_user(tx, external_id="a-1"), create_user(tx)
    recipients = [UserRef("/0", bob), UserRef("/1", ann), UserRef("/2", bob), UserRef("/3", None, "a-1")]
    ids = sending.send(tx, request=SendRequest(new_draft(), recipients, as_list=True), now=NOW).ids
    assert ids == [listing.list_page(tx, user_id=bob).items[0].id, listing.list_page(tx, user_id=ann).items[0].id]


def test_unknown_user_rejects_the_whole_call(tx: Connection) -> None:
    ann = create_user(tx)
    requests = [
        SendRequest(new_draft(), [UserRef("/0/userId", ann)], as_list=False),
        SendRequest(new_draft(), [UserRef("/1/userIds/0", ann), UserRef("/1/userIds/1", "unknown")], as_list=True),
    ]
    with pytest.raises(InvalidField) as error:
        sending.send_batch(tx, requests=requests, now=NOW)
    assert error.value.details == {"pointer": "/1/userIds/1", "reason": "unknown user"}
    assert inbox.load_counts(tx, ids=[ann]) == {ann: (0, 0)}


def test_batch_result_has_id_or_ids_like_each_request(tx: Connection) -> None:
    ann, bob = create_user(tx), create_user(tx)
    requests = [
        SendRequest(new_draft("one"), [UserRef("/0/userId", ann)], as_list=False),
        SendRequest(new_draft("two"), [UserRef("/1/userIds/0", ann), UserRef("/1/userIds/1", bob)], as_list=True),
    ]
    results = sending.send_batch(tx, requests=requests, now=NOW)
    newest_first = [item.id for item in listing.list_page(tx, user_id=ann).items]
    assert msgspec.to_builtins(results) == [
        {"id": newest_first[1]},
        {"ids": [newest_first[0], listing.list_page(tx, user_id=bob).items[0].id]},
    ]


def test_too_many_distinct_recipients_are_rejected(tx: Connection) -> None:
    ann = create_user(tx)
    sending.send(tx, request=SendRequest(new_draft(), [UserRef("/userIds/0", ann)] * 5_000, as_list=True), now=NOW)
    with pytest.raises(InvalidField, match="1000 recipients"):
        sending.send(
            tx,
            request=SendRequest(new_draft(), [UserRef(f"/userIds/{n}", f"u{n}") for n in range(1_001)], as_list=True),
            now=NOW,
        )


def test_draft_with_past_expiry_is_rejected(tx: Connection) -> None:
    ann = create_user(tx)
    with pytest.raises(InvalidField) as error:
        inbox.deliver_to_all(tx, user_ids=[ann], draft=new_draft(expires_at=NOW, pointer="/3"), now=NOW)
    assert error.value.details == {"pointer": "/3/expiresAt", "reason": "range"}


def test_pages_continue_when_notifications_arrive_in_between(tx: Connection) -> None:
    ann = create_user(tx)
    ids = inbox.deliver(tx, items=[(ann, new_draft())] * 5, now=NOW)
    first = listing.list_page(tx, user_id=ann, limit=2)
    inbox.deliver(tx, items=[(ann, new_draft())], now=NOW)
    second = listing.list_page(tx, user_id=ann, limit=2, after=first.next)
    third = listing.list_page(tx, user_id=ann, limit=2, after=second.next)
    assert [item.id for page in (first, second, third) for item in page.items] == ids[::-1]
    assert third.next is None
    assert second.unread == 6


def test_list_is_filtered_by_state_and_category(tx: Connection) -> None:
    ann = create_user(tx)
    read, archived, job, unread = inbox.deliver(
        tx,
        items=[
            (ann, new_draft()),
            (ann, new_draft()),
            (ann, NotificationDraft(type="j", category="job", title="J", body="b")),
            (ann, new_draft()),
        ],
        now=NOW,
    )
    changes.change_ids(tx, user_id=ann, verb="read", ids=[read], now=NOW)
    changes.change_ids(tx, user_id=ann, verb="archive", ids=[archived], now=NOW)

    def list_ids(**arguments: Any) -> list[str]:
        return [item.id for item in listing.list_page(tx, user_id=ann, **arguments).items]

    assert list_ids() == [unread, job, read]
    assert list_ids(filter="unread") == [unread, job]
    assert list_ids(filter="archived") == [archived]
    assert list_ids(categories=["job", "hire"]) == [job]
    with pytest.raises(InvalidField):
        list_ids(categories=["unknown"])
    with pytest.raises(InvalidField):
        list_ids(after="unknown")


def test_action_is_stored_and_published_once(tx: Connection, pending_events: list[outbox.PendingEvent]) -> None:
    ann, bob = create_user(tx), create_user(tx)
    actions = [Action(id="yes", label="Yes", style="primary"), Action(id="no", label="No", url="/no")]
    notification_id = inbox.deliver_to_all(tx, user_ids=[ann], draft=new_draft(actions=actions), now=NOW)[0]
    before = len(pending_events)
    returned = [
        listing.record_action(tx, user_id=ann, notification_id=notification_id, action_id="yes", now=NOW).actions
        for _ in range(2)
    ]
    expected = [
        {"id": "yes", "label": "Yes", "style": "primary", "done": True},
        {"id": "no", "label": "No", "style": "secondary", "url": "/no"},
    ]
    assert returned == [expected, expected]
    assert decode_events(pending_events[before:]) == [
        ("notification_state", {"ids": [notification_id], "state": "action", "action": "yes", "unread": 1, "unseen": 1})
    ]
    for changed in ({"user_id": bob}, {"action_id": "maybe"}, {"notification_id": "unknown"}):
        with pytest.raises(DomainError) as error:
            listing.record_action(
                tx, **{"user_id": ann, "notification_id": notification_id, "action_id": "yes"} | changed, now=NOW
            )
        assert error.value.code == "NOT_FOUND"
