"""Putting notifications into inboxes: rows, counts, events, and what replaces what."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, func, select

from services.accounts import users
from services.accounts.users import UserRef
from services.database import outbox
from services.database.database import Database
from services.database.sqlite.writer import Batch
from services.errors import DomainError, InvalidField
from services.notifications import changes, listing, sending
from services.notifications import inbox as notification_inbox
from services.notifications.draft import Action, NotificationDraft
from services.notifications.sending import SendRequest
from services.tables import notifications as table_notifications

NOW = 1_000_000


def person(tx: Connection, name: str = "Ann", external_id: str | None = None) -> str:
    return users.create(
        tx, email=None, password_hash=None, name=name, role="client", external_id=external_id, now=NOW
    ).id


def letter(title: str = "Hello", **more: Any) -> NotificationDraft:
    return NotificationDraft(type="note", category="system", title=title, body="Body", **more)


def heard(told: list[outbox.PendingEvent]) -> list[tuple[str, dict[str, Any]]]:
    return [(draft.type, msgspec.json.decode(draft.data)) for draft in told if draft.channel != "control"]


def test_inboxes_are_locked_in_the_order_of_their_users_whatever_that_of_the_mail(tx: Connection) -> None:
    ann, bob = person(tx), person(tx, "Bob")
    assert list(notification_inbox._increment_counters(tx, [(bob, letter()), (ann, letter()), (bob, letter())])) == [
        ann,
        bob,
    ]


def test_the_event_is_the_notification_with_the_counts_after_it(
    tx: Connection, told: list[outbox.PendingEvent]
) -> None:
    ann = person(tx)
    notification_inbox.deliver_fields(tx, user_id=ann, type="a", category="job", title="T", body="B", now=NOW)
    made = notification_inbox.deliver_fields(
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
    kind, event = heard(told)[-1]
    listed = listing.list_page(tx, user_id=ann)
    shown = msgspec.to_builtins(listed.items[0])
    assert kind == "notification"
    assert event == shown | {"unread": 2, "unseen": 2, "invalidates": ["jobs"]}
    assert event["id"] == made == told[-1].subject
    assert told[-1].channel == f"user:{ann}"
    assert (listed.unread, listed.unseen) == (2, 2)
    assert event["expiresAt"] == "1970-01-01T00:16:40.001Z"
    assert (event["count"], event["actions"], event["collapseKey"]) == (1, [], None)


def test_an_unread_one_with_the_same_collapse_key_is_replaced_and_told_in_order(
    tx: Connection, told: list[outbox.PendingEvent]
) -> None:
    ann = person(tx)
    notification_inbox.deliver_to_all(tx, user_ids=[ann], letter=letter("other"), now=NOW)
    old = notification_inbox.deliver_to_all(tx, user_ids=[ann], letter=letter("1 bid", collapse_key="bids"), now=NOW)[0]
    new = notification_inbox.deliver_to_all(tx, user_ids=[ann], letter=letter("2 bids", collapse_key="bids"), now=NOW)[
        0
    ]
    retracted, arrived = heard(told)[-2:]
    assert retracted == (
        "notification_state",
        {"ids": [old], "state": "retracted", "unread": 1, "unseen": 1},
    )
    assert (arrived[1]["id"], arrived[1]["count"], arrived[1]["unread"], arrived[1]["unseen"]) == (new, 2, 2, 2)
    assert listing.list_page(tx, user_id=ann).items[0].id == new
    collected: outbox.PendingEvents = tx.info["outbox"]
    assert old not in {draft.subject for _, draft in collected.to_publish()}


def test_a_seen_but_unread_one_that_is_replaced_counts_as_unseen_again(tx: Connection) -> None:
    ann = person(tx)
    first = notification_inbox.deliver_to_all(tx, user_ids=[ann], letter=letter(collapse_key="k"), now=NOW)
    assert changes.change_ids(tx, user_id=ann, verb="seen", ids=first, now=NOW).unseen == 0
    notification_inbox.deliver_to_all(tx, user_ids=[ann], letter=letter(collapse_key="k"), now=NOW)
    assert notification_inbox.counts_of(tx, ids=[ann]) == {ann: (1, 1)}


def test_one_that_was_read_or_archived_is_not_replaced(tx: Connection) -> None:
    ann = person(tx)
    for verb in ("read", "archive"):
        made = notification_inbox.deliver_to_all(tx, user_ids=[ann], letter=letter(collapse_key="k"), now=NOW)
        changes.change_ids(tx, user_id=ann, verb=verb, ids=made, now=NOW)
    notification_inbox.deliver_to_all(tx, user_ids=[ann], letter=letter(collapse_key="k"), now=NOW)
    assert tx.execute(select(func.count()).select_from(table_notifications)).scalar_one() == 3
    assert listing.list_page(tx, user_id=ann).items[0].count == 1


def test_several_put_back_to_unread_with_one_key_are_all_replaced(tx: Connection) -> None:
    ann = person(tx)
    first = notification_inbox.deliver_to_all(tx, user_ids=[ann], letter=letter(collapse_key="k"), now=NOW)
    changes.change_ids(tx, user_id=ann, verb="read", ids=first, now=NOW)
    notification_inbox.deliver_to_all(tx, user_ids=[ann], letter=letter(collapse_key="k"), now=NOW)
    changes.change_ids(tx, user_id=ann, verb="unread", ids=first, now=NOW)
    notification_inbox.deliver_to_all(tx, user_ids=[ann], letter=letter(collapse_key="k"), now=NOW)
    page = listing.list_page(tx, user_id=ann)
    assert ([item.count for item in page.items], page.unread) == ([3], 1)


def test_the_same_key_twice_in_one_delivery_leaves_the_later_one(
    tx: Connection, told: list[outbox.PendingEvent]
) -> None:
    ann, bob = person(tx), person(tx)
    keyed = letter(collapse_key="k")
    made = notification_inbox.deliver(tx, items=[(ann, keyed), (bob, keyed), (ann, letter()), (ann, keyed)], now=NOW)
    assert [(item.id, item.count) for item in listing.list_page(tx, user_id=ann).items] == [(made[3], 2), (made[2], 1)]
    assert notification_inbox.counts_of(tx, ids=[ann, bob]) == {ann: (2, 2), bob: (1, 1)}
    mine = [event["unread"] for kind, event in heard([d for d in told if d.channel == f"user:{ann}"])]
    assert mine == [1, 2, 1, 2]


async def test_a_thousand_are_told_in_one_unit(database: Database, batches: list[Batch]) -> None:
    def prepare(tx: Connection) -> list[str]:
        return [person(tx, f"u{n}") for n in range(1_000)]

    everybody = await database.write(prepare)
    made = await database.write(notification_inbox.deliver_to_all, user_ids=everybody, letter=letter(), now=NOW)
    told = [event for batch in batches for event in batch.events if event.type == "notification"]
    assert [event.channel for event in told] == [f"user:{user_id}" for user_id in everybody]
    assert [msgspec.json.decode(event.data)["id"] for event in told] == made
    assert len(set(made)) == 1_000


def test_recipients_named_twice_count_once_and_ids_come_in_their_order(tx: Connection) -> None:
    ann, bob = person(tx, external_id="a-1"), person(tx)
    to = [UserRef("/0", bob), UserRef("/1", ann), UserRef("/2", bob), UserRef("/3", None, "a-1")]
    ids = sending.send(tx, parcel=SendRequest(letter(), to, as_list=True), now=NOW).ids
    assert ids == [listing.list_page(tx, user_id=bob).items[0].id, listing.list_page(tx, user_id=ann).items[0].id]


def test_one_unknown_user_refuses_the_whole_call(tx: Connection) -> None:
    ann = person(tx)
    parcels = [
        SendRequest(letter(), [UserRef("/0/userId", ann)], as_list=False),
        SendRequest(letter(), [UserRef("/1/userIds/0", ann), UserRef("/1/userIds/1", "nobody")], as_list=True),
    ]
    with pytest.raises(InvalidField) as refused:
        sending.send_batch(tx, parcels=parcels, now=NOW)
    assert refused.value.details == {"pointer": "/1/userIds/1", "reason": "unknown user"}
    assert notification_inbox.counts_of(tx, ids=[ann]) == {ann: (0, 0)}


def test_a_batch_answers_each_letter_in_its_own_form(tx: Connection) -> None:
    ann, bob = person(tx), person(tx)
    parcels = [
        SendRequest(letter("one"), [UserRef("/0/userId", ann)], as_list=False),
        SendRequest(letter("two"), [UserRef("/1/userIds/0", ann), UserRef("/1/userIds/1", bob)], as_list=True),
    ]
    sent = sending.send_batch(tx, parcels=parcels, now=NOW)
    newest = [item.id for item in listing.list_page(tx, user_id=ann).items]
    assert msgspec.to_builtins(sent) == [
        {"id": newest[1]},
        {"ids": [newest[0], listing.list_page(tx, user_id=bob).items[0].id]},
    ]


def test_more_than_a_thousand_recipients_are_refused_but_repeats_do_not_count(tx: Connection) -> None:
    ann = person(tx)
    sending.send(tx, parcel=SendRequest(letter(), [UserRef("/userIds/0", ann)] * 5_000, as_list=True), now=NOW)
    with pytest.raises(InvalidField, match="1000 recipients"):
        sending.send(
            tx,
            parcel=SendRequest(letter(), [UserRef(f"/userIds/{n}", f"u{n}") for n in range(1_001)], as_list=True),
            now=NOW,
        )


def test_one_that_would_be_expired_on_arrival_is_refused(tx: Connection) -> None:
    ann = person(tx)
    with pytest.raises(InvalidField) as refused:
        notification_inbox.deliver_to_all(tx, user_ids=[ann], letter=letter(expires_at=NOW, pointer="/3"), now=NOW)
    assert refused.value.details == {"pointer": "/3/expiresAt", "reason": "range"}


def test_pages_follow_one_another_while_new_ones_arrive(tx: Connection) -> None:
    ann = person(tx)
    made = notification_inbox.deliver(tx, items=[(ann, letter())] * 5, now=NOW)
    first = listing.list_page(tx, user_id=ann, limit=2)
    notification_inbox.deliver(tx, items=[(ann, letter())], now=NOW)
    second = listing.list_page(tx, user_id=ann, limit=2, after=first.next)
    third = listing.list_page(tx, user_id=ann, limit=2, after=second.next)
    assert [item.id for page in (first, second, third) for item in page.items] == made[::-1]
    assert third.next is None
    assert second.unread == 6


def test_filters_and_categories_choose(tx: Connection) -> None:
    ann = person(tx)
    read, archived, job, left = notification_inbox.deliver(
        tx,
        items=[
            (ann, letter()),
            (ann, letter()),
            (ann, NotificationDraft(type="j", category="job", title="J", body="b")),
            (ann, letter()),
        ],
        now=NOW,
    )
    changes.change_ids(tx, user_id=ann, verb="read", ids=[read], now=NOW)
    changes.change_ids(tx, user_id=ann, verb="archive", ids=[archived], now=NOW)

    def listed(**asked: Any) -> list[str]:
        return [item.id for item in listing.list_page(tx, user_id=ann, **asked).items]

    assert listed() == [left, job, read]
    assert listed(filter="unread") == [left, job]
    assert listed(filter="archived") == [archived]
    assert listed(categories=["job", "hire"]) == [job]
    with pytest.raises(InvalidField):
        listed(categories=["nonsense"])
    with pytest.raises(InvalidField):
        listed(after="nonsense")


def test_doing_an_action_is_kept_and_told_once(tx: Connection, told: list[outbox.PendingEvent]) -> None:
    ann, bob = person(tx), person(tx)
    actions = [Action(id="yes", label="Yes", style="primary"), Action(id="no", label="No", url="/no")]
    made = notification_inbox.deliver_to_all(tx, user_ids=[ann], letter=letter(actions=actions), now=NOW)[0]
    before = len(told)
    done = [
        listing.record_action(tx, user_id=ann, notification_id=made, action_id="yes", now=NOW).actions for _ in range(2)
    ]
    expected = [
        {"id": "yes", "label": "Yes", "style": "primary", "done": True},
        {"id": "no", "label": "No", "style": "secondary", "url": "/no"},
    ]
    assert done == [expected, expected]
    assert heard(told[before:]) == [
        ("notification_state", {"ids": [made], "state": "action", "action": "yes", "unread": 1, "unseen": 1})
    ]
    for wrong in ({"user_id": bob}, {"action_id": "maybe"}, {"notification_id": "nobody's"}):
        with pytest.raises(DomainError) as refused:
            listing.record_action(tx, **{"user_id": ann, "notification_id": made, "action_id": "yes"} | wrong, now=NOW)
        assert refused.value.code == "NOT_FOUND"
