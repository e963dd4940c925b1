"""What a user has turned off does not come by that way, and everything that is made keeps what was decided of it."""

from itertools import product
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, insert, select

from services.accounts import sessions, users
from services.database import outbox
from services.delivery import push_subscriptions, report
from services.errors import InvalidField, NotFound
from services.notifications import changes, listing, preferences
from services.notifications import inbox as notification_inbox
from services.notifications.draft import NotificationDraft
from services.notifications.preferences import CATEGORIES, DEFAULTS, LOCKED, Choice
from services.notifications.quiet_hours import QuietHours
from services.notifications.schemas import Category
from services.tables import deliveries, verified_emails
from services.tables import notifications as table_notifications
from services.times import HOUR_MS, MINUTE_MS

NOON = 1_768_478_400_000  # 2026-01-15T12:00:00Z, a Thursday
NIGHT = QuietHours(from_="22:00", to="07:00", time_zone="UTC")


def person(tx: Connection, email: str = "ann@example.org") -> str:
    return users.create(tx, email=email, password_hash=None, name="Ann", role="client", external_id=None, now=1).id


def reachable(tx: Connection, email: str = "ann@example.org") -> str:
    """Somebody with one browser that takes push, and a confirmed address."""
    ann = person(tx, email)
    login = sessions.create(tx, user_id=ann, expected_hash=None, user_agent=None, address=None, now=1)
    endpoint = f"https://push.example/{email}"
    push_subscriptions.save(tx, user_id=ann, session_id=login, endpoint=endpoint, p256dh="p", auth="a", now=1)
    tx.execute(insert(verified_emails).values(user_id=ann, email=email, confirmed_at=1))
    return ann


def choose(tx: Connection, user_id: str, category: Category, choice: Choice, quiet: QuietHours | None = None) -> None:
    preferences.save(tx, user_id=user_id, categories={category: choice}, quiet_hours=quiet, now=1)


def send(tx: Connection, user_id: str, category: Category, now: int = NOON, **more: Any) -> str:
    return notification_inbox.deliver_fields(
        tx, user_id=user_id, type="t", category=category, title="T", body="B", now=now, **more
    )


def waiting(tx: Connection, user_id: str) -> dict[str, int]:
    """When what is to be sent to a user is due, by way."""
    rows = tx.execute(select(deliveries.c.method, deliveries.c.due_at).where(deliveries.c.user_id == user_id))
    return {row.method: row.due_at for row in rows}


@pytest.mark.parametrize("category", CATEGORIES)
def test_each_category_comes_by_exactly_the_ways_that_are_on(tx: Connection, category: Category) -> None:
    for in_app, push, email in product((True, False), repeat=3):
        if category in LOCKED and not in_app:
            continue
        ann = reachable(tx, f"{in_app}{push}{email}@example.org".lower())
        choose(tx, ann, category, Choice(in_app=in_app, push=push, email=email))
        made = send(tx, ann, category)
        page = listing.list_page(tx, user_id=ann)
        assert [item.id for item in page.items] == ([made] if in_app else [])
        assert (page.unread, page.unseen) == (in_app, in_app)
        assert set(waiting(tx, ann)) == {way for way, on in (("push", push), ("email", email)) if on}
        told = report.get_report(tx, notification_id=made, user_id=ann)
        assert (told.in_app.state, told.push.state, told.email.state) == (
            "shown" if in_app else "hidden",
            "waiting" if push else "off",
            "waiting" if email else "off",
        )


@pytest.mark.parametrize("category", list(LOCKED))
def test_what_cannot_be_turned_off_says_why_and_changes_nothing(tx: Connection, category: Category) -> None:
    ann = person(tx)
    with pytest.raises(InvalidField) as refused:
        choose(tx, ann, category, Choice(in_app=False, push=True, email=True))
    assert refused.value.details["pointer"] == f"/categories/{category}/inApp"
    assert refused.value.message == LOCKED[category]
    assert preferences.get(tx, user_id=ann).categories == DEFAULTS
    assert preferences.get(tx, user_id=ann).locked[category] == {"inApp": LOCKED[category]}


def test_what_was_chosen_is_kept_and_what_was_left_out_is_as_usual(tx: Connection) -> None:
    ann = person(tx)
    choice = Choice(in_app=False, push=False, email=True)
    choose(tx, ann, "comment", choice, NIGHT)
    kept = preferences.get(tx, user_id=ann)
    assert kept.categories == DEFAULTS | {"comment": choice}
    assert kept.quiet_hours == NIGHT
    shown = msgspec.json.decode(msgspec.json.encode(kept))
    assert shown["quietHours"] == {
        "from": "22:00",
        "to": "07:00",
        "timeZone": "UTC",
        "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
    }
    choose(tx, ann, "job", Choice(in_app=True, push=False, email=False))
    assert preferences.get(tx, user_id=ann).quiet_hours is None, "all of it is set, not a part"
    assert preferences.get(tx, user_id=ann).categories["comment"] == DEFAULTS["comment"]


def test_a_hidden_one_is_in_no_list_no_count_and_no_event_and_stays_so(
    tx: Connection, told: list[outbox.PendingEvent]
) -> None:
    ann = person(tx)
    shown = send(tx, ann, "comment")
    choose(tx, ann, "comment", Choice(in_app=False, push=True, email=False))
    hidden = send(tx, ann, "comment")
    assert [draft.subject for draft in told if draft.type == "notification"] == [shown]
    for verb in ("read", "unread", "seen", "archive", "unarchive"):
        changed = changes.change_ids(tx, user_id=ann, verb=verb, ids=[hidden], now=NOON)
        assert (changed.unread, changed.unseen) == (1, 1)
    changes.change_up_to(tx, user_id=ann, verb="read", before=hidden, now=NOON)
    assert listing.list_page(tx, user_id=ann, filter="archived").items == []
    assert listing.list_page(tx, user_id=ann).unread == 0


def test_a_hidden_one_takes_the_place_of_the_one_it_replaces(tx: Connection, told: list[outbox.PendingEvent]) -> None:
    ann = person(tx)
    old = send(tx, ann, "bid", collapse_key="k")
    choose(tx, ann, "bid", Choice(in_app=False, push=True, email=False))
    letters = [NotificationDraft(type="t", category=c, title="T", body="B", collapse_key="k") for c in ("bid", "job")]
    send(tx, ann, "job", collapse_key="other")
    made = notification_inbox.deliver(tx, items=[(ann, letters[0]), (ann, letters[1])], now=NOON)
    page = listing.list_page(tx, user_id=ann)
    assert old not in [item.id for item in page.items]
    assert page.items[0].id == made[1]
    assert page.unread == len(page.items) == 2
    last = msgspec.json.decode(told[-1].data)
    assert (last["id"], last["unread"], last["unseen"]) == (made[1], 2, 2)


def test_hidden_ones_replace_each_other_and_change_no_count(tx: Connection, told: list[outbox.PendingEvent]) -> None:
    ann = reachable(tx)
    send(tx, ann, "job")
    choose(tx, ann, "message", Choice(in_app=False, push=True, email=False), NIGHT)
    made = [
        send(tx, ann, "message", now=NOON + 11 * HOUR_MS, collapse_key=key)
        for key in ("talk", "talk", "other", "talk", None)
    ]
    hidden = tx.execute(
        select(table_notifications.c.id, table_notifications.c.count).where(table_notifications.c.hidden == 1)
    ).all()
    kept = {row[0]: row[1] for row in hidden}
    assert kept == {made[2]: 1, made[3]: 3, made[4]: 1}
    waiting = (
        tx.execute(select(deliveries.c.notification_id).where(deliveries.c.notification_id.in_(made))).scalars().all()
    )
    assert sorted(waiting) == sorted([made[2], made[3], made[4]]), "one push each when the quiet hours end"
    assert listing.list_page(tx, user_id=ann).unread == 1
    assert [draft.type for draft in told if b"retracted" in draft.data] == []
    choose(tx, ann, "message", Choice(in_app=True, push=True, email=False))
    shown = send(tx, ann, "message", collapse_key="talk")
    page = listing.list_page(tx, user_id=ann)
    assert (page.items[0].id, page.items[0].count, page.unread, page.unseen) == (shown, 4, 2, 2)
    assert [draft.type for draft in told if b"retracted" in draft.data] == []


def test_quiet_hours_hold_both_ways_until_they_end_and_urgent_passes(tx: Connection) -> None:
    ann = reachable(tx)
    choose(tx, ann, "hire", Choice(in_app=True, push=True, email=True), NIGHT)
    late, morning = NOON + 11 * HOUR_MS, NOON + 19 * HOUR_MS
    send(tx, ann, "hire", late)
    assert waiting(tx, ann) == {"push": morning, "email": morning + 10 * MINUTE_MS}
    send(tx, ann, "hire", late + 1, priority="urgent")
    assert waiting(tx, ann) == {"push": late + 1, "email": late + 1 + 10 * MINUTE_MS}
    assert len(listing.list_page(tx, user_id=ann).items) == 2, "in the app nothing is held"
    send(tx, ann, "hire", NOON)
    assert waiting(tx, ann)["push"] == NOON


def test_who_has_nowhere_to_send_it_is_told_so_and_nothing_waits(tx: Connection) -> None:
    ann = person(tx)
    made = send(tx, ann, "hire")
    told = report.get_report(tx, notification_id=made, user_id=ann)
    assert (told.push.state, told.email.state) == ("nowhere", "nowhere")
    assert waiting(tx, ann) == {}


def test_an_address_counts_only_while_it_is_the_one_that_was_confirmed(tx: Connection) -> None:
    ann = reachable(tx)
    tx.execute(verified_emails.update().values(email="old@example.org"))
    assert report.get_report(tx, notification_id=send(tx, ann, "hire"), user_id=ann).email.state == "nowhere"


def test_what_is_taken_back_or_replaced_is_not_sent_any_more(tx: Connection) -> None:
    ann = reachable(tx)
    send(tx, ann, "bid", collapse_key="k")
    send(tx, ann, "bid", NOON + 1, collapse_key="k")
    assert waiting(tx, ann) == {"push": NOON + 1}


def test_nobody_else_is_told_what_became_of_it(tx: Connection) -> None:
    ann, bob = person(tx), person(tx, "bob@example.org")
    with pytest.raises(NotFound):
        report.get_report(tx, notification_id=send(tx, ann, "job"), user_id=bob)


def test_no_more_email_leaves_the_rest_as_it_was(tx: Connection) -> None:
    ann = person(tx)
    choose(tx, ann, "comment", Choice(in_app=False, push=False, email=True), NIGHT)
    preferences.disable_email(tx, user_id=ann, now=2)
    kept = preferences.get(tx, user_id=ann)
    assert kept.quiet_hours == NIGHT
    assert kept.categories["comment"] == Choice(in_app=False, push=False, email=False)
    assert not any(choice.email for choice in kept.categories.values())
