"""Chooses the delivery methods of a notification and queues its deliveries."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import Connection, bindparam, func, insert, literal_column, null, select, union_all

from services.database.statements import Statement
from services.ids import new_id
from services.notifications import quiet_hours as notification_quiet_hours
from services.notifications.draft import AddressedDrafts, NotificationDraft
from services.notifications.preferences import CATEGORIES, DEFAULTS, Preferences, from_row
from services.notifications.schemas import Category
from services.tables import deliveries, preferences, push_subscriptions, users, verified_emails
from services.times import MINUTE_MS

# Time for the user to see the notification elsewhere before an e-mail is sent.
EMAIL_DELAY_MS = 10 * MINUTE_MS

# waiting: a delivery is queued; off: the user turned the method off; nowhere: the user cannot be reached by it.
MethodDecision = Literal["waiting", "off", "nowhere"]

_user_ids = select(func.json_each(bindparam("user_ids")).table_valued("value").c.value)
# Three index lookups that find nothing for most users. Each row has its kind, the user and one or two values.
_METHODS = Statement(
    union_all(
        select(literal_column("0"), preferences.c.user_id, preferences.c.choices, preferences.c.quiet_hours).where(
            preferences.c.user_id.in_(_user_ids)
        ),
        select(literal_column("1"), push_subscriptions.c.user_id, push_subscriptions.c.id, null()).where(
            push_subscriptions.c.user_id.in_(_user_ids)
        ),
        select(literal_column("2"), users.c.id, null(), null()).where(
            users.c.id == verified_emails.c.user_id,
            users.c.email == verified_emails.c.email,
            verified_emails.c.user_id.in_(_user_ids),
        ),
    )
)
_NEW_COLUMNS = ("id", "user_id", "notification_id", "method", "subscription_id", "due_at", "created_at")
_INSERT = Statement(insert(deliveries).values({name: bindparam(name) for name in _NEW_COLUMNS}))
_encoder = msgspec.json.Encoder()


@dataclass(slots=True)
class RecipientMethods:
    """A user's preferences (None: the defaults), push subscriptions, and whether the e-mail address is confirmed."""

    preferences: Preferences | None = None
    subscription_ids: list[str] = field(default_factory=list)
    email: bool = False


@dataclass(frozen=True, slots=True)
class RoutingDecision:
    """The decisions for one notification; `methods` is None for a recipient with defaults who is reached in the app."""

    hidden: bool
    push_decision: MethodDecision
    email_decision: MethodDecision
    methods: RecipientMethods | None = None


def load_methods(tx: Connection, items: AddressedDrafts) -> list[RoutingDecision]:
    """Load the delivery methods of the recipients and return the decision for each item, in order."""
    methods: dict[str, RecipientMethods] = {}
    user_ids = _encoder.encode([user_id for user_id, _ in items]).decode()
    for kind, user_id, value, quiet_hours in _METHODS.all(tx, {"user_ids": user_ids}):
        recipient = methods.setdefault(user_id, RecipientMethods())
        if kind == 0:
            recipient.preferences = from_row(value, quiet_hours)
        elif kind == 1:
            recipient.subscription_ids.append(value)
        else:
            recipient.email = True
    return [
        _decide(methods[user_id], draft.category) if user_id in methods else _DEFAULT_DECISIONS[draft.category]
        for user_id, draft in items
    ]


def queue(
    tx: Connection,
    decisions: Sequence[RoutingDecision],
    *,
    items: AddressedDrafts,
    notification_ids: Sequence[str],
    now: int,
) -> None:
    """Insert the deliveries of new notifications, in the transaction that creates the notifications.

    The three sequences are parallel. No delivery is due before the recipient's quiet hours end, unless it is urgent.
    """
    rows = [
        row
        for decision, (user_id, draft), notification_id in zip(decisions, items, notification_ids, strict=True)
        if decision.methods is not None
        for row in _delivery_rows(
            decision, decision.methods, draft, user_id=user_id, notification_id=notification_id, now=now
        )
    ]
    if rows:
        _INSERT.execute_many(tx, rows)


def _decide(methods: RecipientMethods, category: Category) -> RoutingDecision:
    choice = (DEFAULTS if methods.preferences is None else methods.preferences.categories)[category]
    return RoutingDecision(
        hidden=not choice.in_app,
        push_decision="off" if not choice.push else "waiting" if methods.subscription_ids else "nowhere",
        email_decision="off" if not choice.email else "waiting" if methods.email else "nowhere",
        methods=methods,
    )


_DEFAULT_DECISIONS: Final = {
    category: replace(_decide(RecipientMethods(), category), methods=None) for category in CATEGORIES
}


def _delivery_rows(
    decision: RoutingDecision,
    methods: RecipientMethods,
    draft: NotificationDraft,
    *,
    user_id: str,
    notification_id: str,
    now: int,
) -> list[Any]:
    start_at = now
    if draft.priority != "urgent" and methods.preferences is not None and methods.preferences.quiet_hours is not None:
        start_at = notification_quiet_hours.ends_at(methods.preferences.quiet_hours, now=now) or now
    targets: list[tuple[str, str | None, int]] = []
    if decision.push_decision == "waiting":
        targets += [("push", subscription_id, start_at) for subscription_id in methods.subscription_ids]
    if decision.email_decision == "waiting":
        targets.append(("email", None, start_at + EMAIL_DELAY_MS))
    return [
        {
            "id": new_id(),
            "user_id": user_id,
            "notification_id": notification_id,
            "method": method,
            "subscription_id": subscription_id,
            "due_at": due_at,
            "created_at": now,
        }
        for method, subscription_id, due_at in targets
    ]
