"""What is still to be sent by push and e-mail: what is due, whether it should still go, and what became of it."""

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
from services.tables import deliveries, events, inboxes, notifications, preferences, users, verified_emails
from services.tables import push_subscriptions as browsers
from services.times import MINUTE, SECOND

Outcome = Literal["sent", "skipped", "failed"]

# Whoever is looking gets no push; it is looked again after this time, in which a page tells what it has stored.
LOOK_MS: Final = 35 * SECOND
LOOKS: Final = 3
# An e-mail waits for a push that is still under way.
AFTER_PUSH_MS: Final = MINUTE

_p, _n, _s, _u = deliveries.c, notifications.c, browsers.c, users.c
_other = deliveries.alias("other")


def _pushed(fate: str) -> Any:
    """How many pushes of the same notification have this fate."""
    return (
        select(func.count())
        .where(_other.c.notification_id == _p.notification_id, _other.c.way == "push", _other.c.fate == fate)
        .scalar_subquery()
    )


_DUE = (
    select(
        *(_p.id, _p.user_id, _p.notification_id, _p.way, _p.subscription_id, _p.tries, _p.looks, _p.created_at),
        *(_n.type, _n.category, _n.priority, _n.title, _n.body, _n.url, _n.icon, _n.actions, _n.collapse_key),
        *(_n.expires_at, _n.seen_at, _n.read_at, _n.archived_at, _n.hidden),
        *(_s.endpoint, _s.p256dh, _s.auth, _s.resume_at),
        *(preferences.c.choices, preferences.c.quiet),
        *(_u.email, _u.name, _u.disabled_at, verified_emails.c.confirmed_at, inboxes.c.unread),
        select(func.max(events.c.position)).where(events.c.subject == _p.notification_id).scalar_subquery().label("at"),
        _pushed("sent").label("sent"),
        _pushed("waiting").label("waiting"),
    )
    .join(users, _u.id == _p.user_id)
    .outerjoin(notifications, _n.id == _p.notification_id)
    # Whoever has signed in on that browser since gets nothing of who was there before.
    .outerjoin(browsers, and_(_s.id == _p.subscription_id, _s.user_id == _p.user_id))
    .outerjoin(preferences, preferences.c.user_id == _p.user_id)
    .outerjoin(verified_emails, and_(verified_emails.c.user_id == _p.user_id, verified_emails.c.email == _u.email))
    .outerjoin(inboxes, inboxes.c.user_id == _p.user_id)
    .where(_p.due_at <= bindparam("now"), _p.user_id.not_in(bindparam("busy", expanding=True)))
    .order_by(_p.due_at)
    .limit(bindparam("most"))
)
_waits = and_(_p.id == bindparam("which"), _p.due_at.is_not(None))
_SETTLE = (
    update(deliveries)
    .where(_waits)
    .values(fate=bindparam("became"), reason=bindparam("why"), due_at=None, done_at=bindparam("at"))
)
_COUNT = update(deliveries).where(_p.id == bindparam("which")).values(tries=_p.tries + 1)
_LATER = (
    update(deliveries)
    .where(_waits)
    .values(
        due_at=bindparam("until"),
        reason=bindparam("why"),
        tries=_p.tries + bindparam("more_tries"),
        looks=_p.looks + bindparam("more_looks"),
    )
)
_TEST = insert(deliveries)
_OLD_TESTS = (
    select(_p.id)
    .where(_p.notification_id.is_(None), _p.created_at < bindparam("before"), _p.due_at.is_(None))
    .limit(bindparam("most"))
)
_REMOVE = delete(deliveries).where(_p.id.in_(bindparam("ids", expanding=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One thing to send to one place, with all that says whether and how; a test has no notification.

    `position` is that of the event that told it to pages, if the log still has it; times are milliseconds.
    """

    id: str
    user_id: str
    notification_id: str | None
    way: Literal["push", "email"]
    subscription_id: str | None
    tries: int = 0
    looks: int = 0
    created_at: int
    type: str = "test"
    category: Category = "system"
    priority: Priority = "normal"
    title: str = "Notifications work here"
    body: str = "This is how this device will tell you."
    url: str | None = None
    icon: str | None = None
    actions: Sequence[dict[str, Any]] = ()
    collapse_key: str | None = None
    expires_at: int | None = None
    seen: bool = False
    hidden: bool = False
    wanted: bool = True
    quiet_until: int | None = None
    endpoint: str | None = None
    p256dh: str = ""
    auth: str = ""
    resume_at: int = 0
    email: str | None = None
    name: str = ""
    confirmed: bool = False
    disabled: bool = False
    unread: int = 0
    position: int | None = None
    pushed: bool = False
    pushing: bool = False


@dataclass(frozen=True, slots=True)
class Skip:
    """It is not to be sent, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Postpone:
    """It is not to be sent before `until` (ms), and why; `looked` when its reader was looking."""

    until: int
    reason: str
    looked: bool = False


class TestResult(Schema, frozen=True):
    """How many browsers a test was sent to."""

    subscriptions: int


def load_due(tx: Connection, *, now: int, busy: Sequence[str], limit: int) -> list[Delivery]:
    """At most `limit` things that are due, the longest due first, none of these busy users."""
    return [_order(row, now) for row in tx.execute(_DUE, {"now": now, "busy": list(busy), "most": limit}).mappings()]


def decide(order: Delivery, *, now: int, looking: bool, stored: int) -> Skip | Postpone | None:
    """Why something is not sent, or not yet; None: send it now.

    `looking` says that its reader has touched something within the last minute; `stored` is the position up to which
    their browsers have stored everything.
    """
    if order.disabled:
        return Skip("account closed")
    if order.notification_id is not None:
        if order.expires_at is not None and order.expires_at <= now:
            return Skip("expired")
        if order.seen and not order.hidden:
            return Skip("seen")
        if not order.wanted:
            return Skip("off")
        if order.quiet_until is not None and order.priority != "urgent":
            return Postpone(order.quiet_until, "quiet hours")
    return _no_place(order, now) or _watched(order, now, looking, stored)


def _no_place(order: Delivery, now: int) -> Skip | Postpone | None:
    if order.way == "push":
        if order.endpoint is None:
            return Skip("gone")
        return Postpone(order.resume_at, "push service") if order.resume_at > now else None
    if not order.confirmed:
        return Skip("nowhere")
    if order.pushed:
        return Skip("pushed")
    return Postpone(now + AFTER_PUSH_MS, "push first") if order.pushing else None


def _watched(order: Delivery, now: int, looking: bool, stored: int) -> Skip | Postpone | None:
    """Whoever was looking when it came is not disturbed, unless their stream died before it was theirs."""
    if order.notification_id is None or order.hidden:
        return None
    if order.looks and order.position is not None and stored >= order.position:
        return Skip("looking")
    if not looking:
        return None
    return Skip("looking") if order.looks >= LOOKS else Postpone(now + LOOK_MS, "looking", looked=True)


def record_outcome(tx: Connection, *, id: str, fate: Outcome, reason: str | None, now: int) -> None:
    """Note what became of it; of what was taken back in the meantime nothing."""
    tx.execute(_SETTLE, {"which": id, "became": fate, "why": reason, "at": now})
    if fate != "skipped":
        tx.execute(_COUNT, {"which": id})


def postpone(tx: Connection, *, id: str, until: int, reason: str, tried: bool, looked: bool, now: int) -> None:
    """Put it off until then (ms)."""
    tx.execute(
        _LATER, {"which": id, "until": until, "why": reason, "more_tries": int(tried), "more_looks": int(looked)}
    )


def queue_test(tx: Connection, *, user_id: str, now: int) -> TestResult:
    """Send a test to each of a user's browsers. Raises Conflict where there is none."""
    found = subscriptions.list_ids(tx, user_id=user_id)
    if not found:
        raise Conflict("No browser of yours takes push yet: turn it on in one first.")
    rows = [
        {
            "id": new_id(),
            "user_id": user_id,
            "notification_id": None,
            "way": "push",
            "subscription_id": each,
            "due_at": now,
            "created_at": now,
        }
        for each in found
    ]
    tx.execute(_TEST, rows)
    return TestResult(subscriptions=len(found))


def find_old_tests(tx: Connection, *, before: int, limit: int) -> list[str]:
    """At most `limit` tests that were over before `before` (ms); all else goes with its notification."""
    return list(tx.execute(_OLD_TESTS, {"before": before, "most": limit}).scalars())


def remove(tx: Connection, *, ids: Sequence[str]) -> None:
    """Forget these."""
    tx.execute(_REMOVE, {"ids": list(ids)})


def _order(row: Any, now: int) -> Delivery:
    place = {
        "id": row["id"],
        "user_id": row["user_id"],
        "notification_id": row["notification_id"],
        "way": row["way"],
        "subscription_id": row["subscription_id"],
        "tries": row["tries"],
        "looks": row["looks"],
        "created_at": row["created_at"],
        "endpoint": row["endpoint"],
        "p256dh": row["p256dh"],
        "auth": row["auth"],
        "resume_at": row["resume_at"] or 0,
        "email": row["email"],
        "name": row["name"],
        "confirmed": row["confirmed_at"] is not None,
        "disabled": row["disabled_at"] is not None,
        "unread": row["unread"] or 0,
    }
    if row["notification_id"] is None:
        return Delivery(**place)
    wishes = from_row(row["choices"], row["quiet"])
    choice = wishes.categories[row["category"]]
    said = ("type", "category", "priority", "title", "body", "url", "icon", "collapse_key", "expires_at")
    return Delivery(
        **place,
        **{name: row[name] for name in said},
        actions=msgspec.json.decode(row["actions"]),
        seen=(row["seen_at"], row["read_at"], row["archived_at"]) != (None, None, None),
        hidden=bool(row["hidden"]),
        wanted=choice.push if row["way"] == "push" else choice.email,
        quiet_until=None if wishes.quiet_hours is None else quiet_hours.ends_at(wishes.quiet_hours, now=now),
        position=row["at"],
        pushed=row["sent"] > 0,
        pushing=row["waiting"] > 0,
    )
