"""The delivery queue: what is due by push or e-mail, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select, update

from services.delivery import push_subscriptions as subscriptions
from services.errors import Conflict
from services.ids import new_id
from services.notifications import quiet_hours
from services.notifications.preferences import from_row
from services.notifications.schemas import Category, Priority
from services.schemas import Schema
from services.tables import (
    deliveries,
    events,
    inboxes,
    notifications,
    preferences,
    push_subscriptions,
    users,
    verified_emails,
)
from services.times import MINUTE_MS, SECOND_MS

Outcome = Literal["sent", "skipped", "failed"]

# An active user gets no push. The next check follows after this time, in which the page reports its cursor.
ATTENTION_CHECK_MS: Final = 35 * SECOND_MS
MAX_ATTENTION_CHECKS: Final = 3
# An e-mail is postponed while a push of the same notification is waiting.
EMAIL_AFTER_PUSH_MS: Final = MINUTE_MS

_d, _n, _s, _u, _other = deliveries.c, notifications.c, push_subscriptions.c, users.c, deliveries.alias("other").c


def _count_pushes(outcome: str) -> Any:
    """Return a subquery that counts the pushes of the same notification with this outcome."""
    return (
        select(func.count())
        .where(_other.notification_id == _d.notification_id, _other.method == "push", _other.outcome == outcome)
        .scalar_subquery()
    )


_DUE = (
    select(
        *(_d.id, _d.user_id, _d.notification_id, _d.method, _d.subscription_id, _d.tries, _d.attention_checks),
        _d.created_at,
        *(_n.type, _n.category, _n.priority, _n.title, _n.body, _n.url, _n.icon, _n.actions, _n.collapse_key),
        *(_n.expires_at, _n.seen_at, _n.read_at, _n.archived_at, _n.hidden),
        *(_s.endpoint, _s.p256dh, _s.auth, _s.resume_at),
        *(preferences.c.choices, preferences.c.quiet_hours),
        *(_u.email, _u.name, _u.disabled_at, verified_emails.c.confirmed_at, inboxes.c.unread),
        select(func.max(events.c.position))
        .where(events.c.subject == _d.notification_id)
        .scalar_subquery()
        .label("position"),
        _count_pushes("sent").label("pushes_sent"),
        _count_pushes("waiting").label("pushes_waiting"),
    )
    .join(users, _u.id == _d.user_id)
    .outerjoin(notifications, _n.id == _d.notification_id)
    # Another user may have signed in on that browser since. That user must not receive this delivery.
    .outerjoin(push_subscriptions, and_(_s.id == _d.subscription_id, _s.user_id == _d.user_id))
    .outerjoin(preferences, preferences.c.user_id == _d.user_id)
    .outerjoin(verified_emails, and_(verified_emails.c.user_id == _d.user_id, verified_emails.c.email == _u.email))
    .outerjoin(inboxes, inboxes.c.user_id == _d.user_id)
    .where(_d.due_at <= bindparam("now"), _d.user_id.not_in(bindparam("busy_user_ids", expanding=True)))
    .order_by(_d.due_at)
    .limit(bindparam("limit"))
)
_UNCHANGED_FIELDS = (
    *("id", "user_id", "notification_id", "method", "subscription_id", "tries", "attention_checks", "created_at"),
    *("endpoint", "p256dh", "auth", "email", "name"),
)
_CONTENT_FIELDS = ("type", "category", "priority", "title", "body", "url", "icon", "collapse_key", "expires_at")
_is_waiting = and_(_d.id == bindparam("delivery_id"), _d.due_at.is_not(None))
_RECORD_OUTCOME = (
    update(deliveries)
    .where(_is_waiting)
    .values(outcome=bindparam("new_outcome"), reason=bindparam("new_reason"), due_at=None, done_at=bindparam("now"))
)
_COUNT_ATTEMPT = update(deliveries).where(_d.id == bindparam("delivery_id")).values(tries=_d.tries + 1)
_POSTPONE = (
    update(deliveries)
    .where(_is_waiting)
    .values(
        due_at=bindparam("until"),
        reason=bindparam("new_reason"),
        tries=_d.tries + bindparam("added_tries"),
        attention_checks=_d.attention_checks + bindparam("added_attention_checks"),
    )
)
_INSERT = insert(deliveries)
_OLD_TESTS = (
    select(_d.id)
    .where(_d.notification_id.is_(None), _d.created_at < bindparam("before"), _d.due_at.is_(None))
    .limit(bindparam("limit"))
)
_DELETE = delete(deliveries).where(_d.id.in_(bindparam("ids", expanding=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message for one browser or e-mail address, with everything that decides whether it is sent.

    A test has no notification. `position` is that of the notification's event if the event log still has it.
    `seen` means seen, read or archived. `enabled` means that the user has the method on for the category now.
    Times are milliseconds since 1970.
    """

    id: str
    user_id: str
    notification_id: str | None
    method: Literal["push", "email"]
    subscription_id: str | None
    tries: int = 0
    attention_checks: int = 0
    created_at: int
    type: str = "test"
    category: Category = "system"
    priority: Priority = "normal"
    title: str = "Notifications work here"
    body: str = "This device will show your notifications like this one."
    url: str | None = None
    icon: str | None = None
    actions: Sequence[dict[str, Any]] = ()
    collapse_key: str | None = None
    expires_at: int | None = None
    seen: bool = False
    hidden: bool = False
    enabled: bool = True
    quiet_until: int | None = None
    endpoint: str | None = None
    p256dh: str = ""
    auth: str = ""
    resume_at: int = 0
    email: str | None = None
    name: str = ""
    email_confirmed: bool = False
    user_disabled: bool = False
    unread: int = 0
    position: int | None = None
    push_sent: bool = False
    push_waiting: bool = False


@dataclass(frozen=True, slots=True)
class Skip:
    """The decision not to send a delivery, with the reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Postpone:
    """The decision not to send a delivery before `until` (ms); `user_active` if the user's activity is the reason."""

    until: int
    reason: str
    user_active: bool = False


class TestResult(Schema, frozen=True):
    """The number of push subscriptions that a test is sent to."""

    subscriptions: int


def load_due(tx: Connection, *, now: int, busy_user_ids: Sequence[str], limit: int) -> list[Delivery]:
    """Return at most `limit` due deliveries, the longest due first, without those of busy users."""
    parameters = {"now": now, "busy_user_ids": list(busy_user_ids), "limit": limit}
    return [_from_row(row, now) for row in tx.execute(_DUE, parameters).mappings()]


def decide(delivery: Delivery, *, now: int, user_active: bool, acknowledged_position: int) -> Skip | Postpone | None:
    """Return why a delivery is not sent now, or None to send it.

    `user_active` means input in the last minute. `acknowledged_position` is the highest position up to which the
    user's browsers have stored all events.
    """
    if delivery.user_disabled:
        return Skip("account closed")
    if delivery.notification_id is not None:
        if delivery.expires_at is not None and delivery.expires_at <= now:
            return Skip("expired")
        if delivery.seen and not delivery.hidden:
            return Skip("seen")
        if not delivery.enabled:
            return Skip("off")
        if delivery.quiet_until is not None and delivery.priority != "urgent":
            return Postpone(delivery.quiet_until, "quiet hours")
    return _decide_by_target(delivery, now) or _decide_by_attention(delivery, now, user_active, acknowledged_position)


def _decide_by_target(delivery: Delivery, now: int) -> Skip | Postpone | None:
    if delivery.method == "push":
        if delivery.endpoint is None:
            return Skip("gone")
        return Postpone(delivery.resume_at, "push service") if delivery.resume_at > now else None
    if not delivery.email_confirmed:
        return Skip("nowhere")
    if delivery.push_sent:
        return Skip("pushed")
    return Postpone(now + EMAIL_AFTER_PUSH_MS, "push first") if delivery.push_waiting else None


def _decide_by_attention(
    delivery: Delivery, now: int, user_active: bool, acknowledged_position: int
) -> Skip | Postpone | None:
    """Postpone the delivery while the user is active; send it if their browser never acknowledged the event."""
    if delivery.notification_id is None or delivery.hidden:
        return None
    if delivery.attention_checks and delivery.position is not None and acknowledged_position >= delivery.position:
        return Skip("looking")
    if not user_active:
        return None
    if delivery.attention_checks >= MAX_ATTENTION_CHECKS:
        return Skip("looking")
    return Postpone(now + ATTENTION_CHECK_MS, "looking", user_active=True)


def record_outcome(tx: Connection, *, id: str, outcome: Outcome, reason: str | None, now: int) -> None:
    """Record the outcome of a delivery; does nothing if its notification was removed in the meantime."""
    tx.execute(_RECORD_OUTCOME, {"delivery_id": id, "new_outcome": outcome, "new_reason": reason, "now": now})
    if outcome != "skipped":
        tx.execute(_COUNT_ATTEMPT, {"delivery_id": id})


def postpone(tx: Connection, *, id: str, until: int, reason: str, attempted: bool, user_active: bool, now: int) -> None:
    """Postpone a delivery until `until` (ms), and count an attempt or an attention check."""
    parameters = {
        "delivery_id": id,
        "until": until,
        "new_reason": reason,
        "added_tries": int(attempted),
        "added_attention_checks": int(user_active),
    }
    tx.execute(_POSTPONE, parameters)


def queue_test(tx: Connection, *, user_id: str, now: int) -> TestResult:
    """Queue a test for each of a user's push subscriptions. Raises Conflict if there are none."""
    subscription_ids = subscriptions.list_ids(tx, user_id=user_id)
    if not subscription_ids:
        raise Conflict("None of your browsers receives push notifications yet. Turn them on in one of them first.")
    rows = [
        {
            "id": new_id(),
            "user_id": user_id,
            "notification_id": None,
            "method": "push",
            "subscription_id": subscription_id,
            "due_at": now,
            "created_at": now,
        }
        for subscription_id in subscription_ids
    ]
    tx.execute(_INSERT, rows)
    return TestResult(subscriptions=len(subscription_ids))


def find_old_tests(tx: Connection, *, before: int, limit: int) -> list[str]:
    """Return at most `limit` finished tests created before `before` (ms); notifications delete the other deliveries."""
    return list(tx.execute(_OLD_TESTS, {"before": before, "limit": limit}).scalars())


def delete_tests(tx: Connection, *, ids: Sequence[str]) -> None:
    """Delete tests."""
    tx.execute(_DELETE, {"ids": list(ids)})


def _from_row(row: Any, now: int) -> Delivery:
    fields = {
        **{name: row[name] for name in _UNCHANGED_FIELDS},
        "resume_at": row["resume_at"] or 0,
        "email_confirmed": row["confirmed_at"] is not None,
        "user_disabled": row["disabled_at"] is not None,
        "unread": row["unread"] or 0,
    }
    if row["notification_id"] is None:
        return Delivery(**fields)
    user_preferences = from_row(row["choices"], row["quiet_hours"])
    choice, hours = user_preferences.categories[row["category"]], user_preferences.quiet_hours
    return Delivery(
        **fields,
        **{name: row[name] for name in _CONTENT_FIELDS},
        actions=msgspec.json.decode(row["actions"]),
        seen=(row["seen_at"], row["read_at"], row["archived_at"]) != (None, None, None),
        hidden=bool(row["hidden"]),
        enabled=choice.push if row["method"] == "push" else choice.email,
        quiet_until=None if hours is None else quiet_hours.ends_at(hours, now=now),
        position=row["position"],
        push_sent=row["pushes_sent"] > 0,
        push_waiting=row["pushes_waiting"] > 0,
    )
