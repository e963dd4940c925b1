"""Decides, as notifications are made, by which ways each goes out, and writes down what is to be sent."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import Connection, bindparam, func, insert, literal_column, null, select, union_all

from services.database.statements import Statement
from services.ids import new_id
from services.notifications import quiet_hours as notification_quiet_hours
from services.notifications.draft import NotificationDraft
from services.notifications.preferences import CATEGORIES, DEFAULTS, Preferences, from_row
from services.notifications.schemas import Category
from services.tables import deliveries, preferences, push_subscriptions, users, verified_emails
from services.times import MINUTE

# An e-mail waits this long for its reader to see the notification elsewhere.
EMAIL_DELAY_MS = 10 * MINUTE

# What is decided of a way: it waits to be sent; its owner has it off for this category; there is nowhere to send it.
Decision = Literal["waiting", "off", "nowhere"]

_who = select(func.json_each(bindparam("who")).table_valued("value").c.value)
# Three short look-ups that find nothing for most people: what is found, of whom, and what it is.
_REACH = Statement(
    union_all(
        select(literal_column("0"), preferences.c.user_id, preferences.c.choices, preferences.c.quiet).where(
            preferences.c.user_id.in_(_who)
        ),
        select(literal_column("1"), push_subscriptions.c.user_id, push_subscriptions.c.id, null()).where(
            push_subscriptions.c.user_id.in_(_who)
        ),
        select(literal_column("2"), users.c.id, null(), null()).where(
            users.c.id == verified_emails.c.user_id,
            users.c.email == verified_emails.c.email,
            verified_emails.c.user_id.in_(_who),
        ),
    )
)
_NEW = ("id", "user_id", "notification_id", "way", "subscription_id", "due_at", "created_at")
_PUT = Statement(insert(deliveries).values({name: bindparam(name) for name in _NEW}))
_encoder = msgspec.json.Encoder()


@dataclass(slots=True)
class RecipientMethods:
    """What a user wants (None: the defaults), which browsers take push for them, and whether e-mail reaches them."""

    preferences: Preferences | None = None
    subscriptions: list[str] = field(default_factory=list)
    email: bool = False


@dataclass(frozen=True, slots=True)
class RoutingDecision:
    """What was decided of one notification."""

    hidden: bool
    by_push: Decision
    by_email: Decision


def load_methods(tx: Connection, user_ids: Sequence[str]) -> dict[str, RecipientMethods]:
    """How these users can be reached; who is not in it has the defaults, and is reached in the app alone."""
    found: dict[str, RecipientMethods] = {}
    for kind, user_id, value, quiet_hours in _REACH.all(tx, {"who": _encoder.encode(user_ids).decode()}):
        reach = found.setdefault(user_id, RecipientMethods())
        if kind == 0:
            reach.preferences = from_row(value, quiet_hours)
        elif kind == 1:
            reach.subscriptions.append(value)
        else:
            reach.email = True
    return found


def decide(reach: RecipientMethods | None, category: Category) -> RoutingDecision:
    """By which ways something of a category goes to somebody who is reached like this."""
    return _USUAL[category] if reach is None else _decide(reach, category)


def _decide(reach: RecipientMethods, category: Category) -> RoutingDecision:
    choice = (DEFAULTS if reach.preferences is None else reach.preferences.categories)[category]
    return RoutingDecision(
        hidden=not choice.in_app,
        by_push="off" if not choice.push else "waiting" if reach.subscriptions else "nowhere",
        by_email="off" if not choice.email else "waiting" if reach.email else "nowhere",
    )


_USUAL: Final = {category: _decide(RecipientMethods(), category) for category in CATEGORIES}


def delivery_rows(
    reach: RecipientMethods,
    letter: NotificationDraft,
    fate: RoutingDecision,
    *,
    user_id: str,
    notification_id: str,
    now: int,
) -> list[Any]:
    """The rows of what is to be sent for one notification, none of them due before its owner's quiet hours end."""
    begin = now
    if letter.priority != "urgent" and reach.preferences is not None and reach.preferences.quiet_hours is not None:
        begin = notification_quiet_hours.ends_at(reach.preferences.quiet_hours, now=now) or now
    places: list[tuple[str, str | None, int]] = []
    if fate.by_push == "waiting":
        places += [("push", subscription, begin) for subscription in reach.subscriptions]
    if fate.by_email == "waiting":
        places.append(("email", None, begin + EMAIL_DELAY_MS))
    return [
        {
            "id": new_id(),
            "user_id": user_id,
            "notification_id": notification_id,
            "way": way,
            "subscription_id": subscription,
            "due_at": due_at,
            "created_at": now,
        }
        for way, subscription, due_at in places
    ]


def insert_deliveries(tx: Connection, rows: Sequence[Any]) -> None:
    """Write down what is to be sent, in the transaction of what it is about."""
    if rows:
        _PUT.execute_many(tx, rows)
