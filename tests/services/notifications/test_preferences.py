"""Notification preferences: enabled methods, hidden notifications, quiet hours and delivery reports."""

from itertools import product
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, insert, select

from services.accounts import sessions, users
from services.database import outbox
from services.delivery import push_subscriptions, report
from services.errors import InvalidField, NotFound
from services.notifications import changes, inbox, listing, preferences
from services.notifications.draft import NotificationDraft
from services.notifications.preferences import CATEGORIES, DEFAULTS, LOCKED, Choice
from services.notifications.quiet_hours import QuietHours
from services.notifications.schemas import Category
from services.tables import deliveries, verified_emails
from services.tables import notifications as table_notifications
from services.times import HOUR_MS, MINUTE_MS

NOON = 1_768_478_400_000  # 2026-01-15T12:00:00Z, a Thursday
NIGHT = QuietHours(from_="22:00", to="07:00", time_zone="UTC")


def create_user(tx: Connection, email: str = "ann@example.org") -> str:
    return users.create(tx, email=email, password_hash=None, name="Ann", role="client", external_id=None, now=1).id


def create_reachable_user(tx: Connection, email: str = "ann@example.org") -> str:
    """Create a user with one push subscription and a confirmed e-mail address."""
    ann = create_user(tx, email)
    session_id = sessions.create(tx, user_id=ann, expected_hash=None, user_agent=None, address=None, now=1)
    endpoint = f"https://push.example/{email}"
    push_subscriptions.save(tx, user_id=ann, session_id=session_id, endpoint=endpoint, p256dh="p", auth="a", now=1)
    tx.execute(insert(verified_emails).values(user_id=ann, email=email, confirmed_at=1))
    return ann


def save_choice(
    tx: Connection, user_id: str, category: Category, choice: Choice, quiet_hours: QuietHours | None = None
) -> None:
    preferences.save(tx, user_id=user_id, categories={category: choice}, quiet_hours=quiet_hours, now=1)


def send(tx: Connection, user_id: str, category: Category, now: int = NOON, **fields: Any) -> str:
    return inbox.deliver_fields(
        tx, user_id=user_id, type="t", category=category, title="T", body="B", now=now, **fields
    )


def due_by_method(tx: Connection, user_id: str) -> dict[str, int]:
    """Return the due times of a user's deliveries by method."""
    rows = tx.execute(select(deliveries.c.method, deliveries.c.due_at).where(deliveries.c.user_id == user_id))
    return {row.method: row.due_at for row in rows}


@pytest.mark.parametrize("category", CATEGORIES)
def test_category_is_routed_to_exactly_the_enabled_methods(tx: Connection, category: Category) -> None:
    for in_app, push, email in product((True, False), repeat=3):
        if category in LOCKED and not in_app:
            continue
        ann = create_reachable_user(tx, f"{in_app}{push}{email}@example.org".lower())
        save_choice(tx, ann, category, Choice(in_app=in_app, push=push, email=email))
        notification_id = send(tx, ann, category)
        page = listing.list_page(tx, user_id=ann)
        assert [item.id for item in page.items] == ([notification_id] if in_app else [])
        assert (page.unread, page.unseen) == (in_app, in_app)
        assert set(due_by_method(tx, ann)) == {
            method for method, enabled in (("push", push), ("email", email)) if enabled
        }
        delivery_report = report.get_report(tx, notification_id=notification_id, user_id=ann)
        assert (delivery_report.in_app.state, delivery_report.push.state, delivery_report.email.state) == (
            "shown" if in_app else "hidden",
            "waiting" if push else "off",
            "waiting" if email else "off",
        )


@pytest.mark.parametrize("category", list(LOCKED))
def test_locked_category_is_rejected_with_its_reason(tx: Connection, category: Category) -> None:
    ann = create_user(tx)
    with pytest.raises(InvalidField) as error:
        save_choice(tx, ann, category, Choice(in_app=False, push=True, email=True))
    assert error.value.details["pointer"] == f"/categories/{category}/inApp"
    assert error.value.message == LOCKED[category]
    assert preferences.get(tx, user_id=ann).categories == DEFAULTS
    assert preferences.get(tx, user_id=ann).locked[category] == {"inApp": LOCKED[category]}


def test_saved_choices_are_returned_and_missing_ones_get_defaults(tx: Connection) -> None:
    ann = create_user(tx)
    choice = Choice(in_app=False, push=False, email=True)
    save_choice(tx, ann, "comment", choice, NIGHT)
    saved = preferences.get(tx, user_id=ann)
    assert saved.categories == DEFAULTS | {"comment": choice}
    assert saved.quiet_hours == NIGHT
    encoded = msgspec.json.decode(msgspec.json.encode(saved))
    assert encoded["quietHours"] == {
        "from": "22:00",
        "to": "07:00",
        "timeZone": "UTC",
        "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
    }
    save_choice(tx, ann, "job", Choice(in_app=True, push=False, email=False))
    assert preferences.get(tx, user_id=ann).quiet_hours is None, "saving replaces all preferences"
    assert preferences.get(tx, user_id=ann).categories["comment"] == DEFAULTS["comment"]


def test_hidden_notification_is_never_listed_counted_or_published(
    tx: Connection, pending_events: list[outbox.PendingEvent]
) -> None:
    ann = create_user(tx)
    shown = send(tx, ann, "comment")
    save_choice(tx, ann, "comment", Choice(in_app=False, push=True, email=False))
    hidden = send(tx, ann, "comment")
    assert [event.subject for event in pending_events if event.type == "notification"] == [shown]
    for verb in ("read", "unread", "seen", "archive", "unarchive"):
        changed = changes.change_ids(tx, user_id=ann, verb=verb, ids=[hidden], now=NOON)
        assert (changed.unread, changed.unseen) == (1, 1)
    changes.change_up_to(tx, user_id=ann, verb="read", before=hidden, now=NOON)
    assert listing.list_page(tx, user_id=ann, filter="archived").items == []
    assert listing.list_page(tx, user_id=ann).unread == 0


def test_hidden_notification_replaces_a_visible_one(tx: Connection, pending_events: list[outbox.PendingEvent]) -> None:
    ann = create_user(tx)
    old = send(tx, ann, "bid", collapse_key="k")
    save_choice(tx, ann, "bid", Choice(in_app=False, push=True, email=False))
    drafts = [NotificationDraft(type="t", category=c, title="T", body="B", collapse_key="k") for c in ("bid", "job")]
    send(tx, ann, "job", collapse_key="other")
    ids = inbox.deliver(tx, items=[(ann, drafts[0]), (ann, drafts[1])], now=NOON)
    page = listing.list_page(tx, user_id=ann)
    assert old not in [item.id for item in page.items]
    assert page.items[0].id == ids[1]
    assert page.unread == len(page.items) == 2
    last = msgspec.json.decode(pending_events[-1].data)
    assert (last["id"], last["unread"], last["unseen"]) == (ids[1], 2, 2)


def test_hidden_notifications_replace_each_other_without_counting(
    tx: Connection, pending_events: list[outbox.PendingEvent]
) -> None:
    ann = create_reachable_user(tx)
    send(tx, ann, "job")
    save_choice(tx, ann, "message", Choice(in_app=False, push=True, email=False), NIGHT)
    ids = [
        send(tx, ann, "message", now=NOON + 11 * HOUR_MS, collapse_key=key)
        for key in ("chat", "chat", "other", "chat", None)
    ]
    hidden = tx.execute(
        select(table_notifications.c.id, table_notifications.c.count).where(table_notifications.c.hidden == 1)
    ).all()
    counts = {row[0]: row[1] for row in hidden}
    assert counts == {ids[2]: 1, ids[3]: 3, ids[4]: 1}
    waiting = (
        tx.execute(select(deliveries.c.notification_id).where(deliveries.c.notification_id.in_(ids))).scalars().all()
    )
    assert sorted(waiting) == sorted([ids[2], ids[3], ids[4]]), "one push each after the quiet hours"
    assert listing.list_page(tx, user_id=ann).unread == 1
    assert [event.type for event in pending_events if b"retracted" in event.data] == []
    save_choice(tx, ann, "message", Choice(in_app=True, push=True, email=False))
    shown = send(tx, ann, "message", collapse_key="chat")
    page = listing.list_page(tx, user_id=ann)
    assert (page.items[0].id, page.items[0].count, page.unread, page.unseen) == (shown, 4, 2, 2)
    assert [event.type for event in pending_events if b"retracted" in event.data] == []


def test_quiet_hours_postpone_push_and_email_unless_urgent(tx: Connection) -> None:
    ann = create_reachable_user(tx)
    save_choice(tx, ann, "hire", Choice(in_app=True, push=True, email=True), NIGHT)
    late, morning = NOON + 11 * HOUR_MS, NOON + 19 * HOUR_MS
    send(tx, ann, "hire", late)
    assert due_by_method(tx, ann) == {"push": morning, "email": morning + 10 * MINUTE_MS}
    send(tx, ann, "hire", late + 1, priority="urgent")
    assert due_by_method(tx, ann) == {"push": late + 1, "email": late + 1 + 10 * MINUTE_MS}
    assert len(listing.list_page(tx, user_id=ann).items) == 2, "quiet hours do not delay notifications in the app"
    send(tx, ann, "hire", NOON)
    assert due_by_method(tx, ann)["push"] == NOON


def test_unreachable_user_has_no_deliveries_and_a_report_that_says_so(tx: Connection) -> None:
    ann = create_user(tx)
    notification_id = send(tx, ann, "hire")
    delivery_report = report.get_report(tx, notification_id=notification_id, user_id=ann)
    assert (delivery_report.push.state, delivery_report.email.state) == ("nowhere", "nowhere")
    assert due_by_method(tx, ann) == {}


def test_email_is_sent_only_to_the_confirmed_address(tx: Connection) -> None:
    ann = create_reachable_user(tx)
    tx.execute(verified_emails.update().values(email="old@example.org"))
    assert report.get_report(tx, notification_id=send(tx, ann, "hire"), user_id=ann).email.state == "nowhere"


def test_replaced_notification_has_no_deliveries(tx: Connection) -> None:
    ann = create_reachable_user(tx)
    send(tx, ann, "bid", collapse_key="k")
    send(tx, ann, "bid", NOON + 1, collapse_key="k")
    assert due_by_method(tx, ann) == {"push": NOON + 1}


def test_delivery_report_is_not_found_for_other_users(tx: Connection) -> None:
    ann, bob = create_user(tx), create_user(tx, "bob@example.org")
    with pytest.raises(NotFound):
        report.get_report(tx, notification_id=send(tx, ann, "job"), user_id=bob)


def test_disabling_email_keeps_all_other_preferences(tx: Connection) -> None:
    ann = create_user(tx)
    save_choice(tx, ann, "comment", Choice(in_app=False, push=False, email=True), NIGHT)
    preferences.disable_email(tx, user_id=ann, now=2)
    saved = preferences.get(tx, user_id=ann)
    assert saved.quiet_hours == NIGHT
    assert saved.categories["comment"] == Choice(in_app=False, push=False, email=False)
    assert not any(choice.email for choice in saved.categories.values())
