"""Notification preferences per category and delivery method."""

from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec
from sqlalchemy import Connection, bindparam, select

from services.database.statements import upsert
from services.errors import InvalidField
from services.notifications.quiet_hours import QuietHours
from services.notifications.schemas import Category
from services.schemas import Schema
from services.tables import preferences, users, verified_emails

CATEGORIES: Final[tuple[Category, ...]] = get_args(Category)

# Categories that cannot be turned off in the app, with the reason.
LOCKED: Final[Mapping[Category, str]] = {
    "hire": "A hire is a commitment, so hire notifications always appear in your inbox.",
    "payment": "Payments concern your money, so payment notifications always appear in your inbox.",
}

_p = preferences.c
_FIND = select(_p.choices, _p.quiet_hours).where(_p.user_id == bindparam("user_id"))
_FIND_VERIFIED_EMAIL = select(verified_emails.c.confirmed_at).where(
    verified_emails.c.user_id == bindparam("user_id"),
    verified_emails.c.user_id == users.c.id,
    verified_emails.c.email == users.c.email,
)
_insert = upsert(preferences)
_UPSERT = _insert.on_conflict_do_update(
    index_elements=[_p.user_id],
    set_={name: _insert.excluded[name] for name in ("choices", "quiet_hours", "updated_at")},
)
_encoder = msgspec.json.Encoder()


class Choice(Schema, frozen=True, forbid_unknown_fields=True):
    """The delivery methods that are on for a category."""

    in_app: bool
    push: bool
    email: bool


Choices = dict[Category, Choice]

# E-mail is the last resort: by default it is on only for hires and payments.
DEFAULTS: Final[Choices] = {
    category: Choice(in_app=True, push=True, email=category in ("hire", "payment")) for category in CATEGORIES
}  # fmt: skip
_choices_decoder = msgspec.json.Decoder(dict[Category, Choice])
_quiet_hours_decoder = msgspec.json.Decoder(QuietHours)


class Preferences(Schema, frozen=True):
    """The choices of all categories, the quiet hours, and the reasons why some categories are locked in the app."""

    categories: Choices
    quiet_hours: QuietHours | None
    locked: dict[str, dict[str, str]]
    # The hub sends e-mail only to an address that the user has confirmed.
    email_confirmed: bool


def from_row(choices: str | None, quiet_hours: str | None, *, email_confirmed: bool = False) -> Preferences:
    """Return the preferences of two JSON columns; None stands for a missing row and means the defaults."""
    chosen = {} if choices is None else _choices_decoder.decode(choices)
    return Preferences(
        categories=DEFAULTS | chosen,
        quiet_hours=None if quiet_hours is None else _quiet_hours_decoder.decode(quiet_hours),
        locked={category: {"inApp": reason} for category, reason in LOCKED.items()},
        email_confirmed=email_confirmed,
    )


def get(tx: Connection, *, user_id: str) -> Preferences:
    """Return a user's preferences."""
    row = tx.execute(_FIND, {"user_id": user_id}).one_or_none()
    confirmed = tx.execute(_FIND_VERIFIED_EMAIL, {"user_id": user_id}).one_or_none() is not None
    return from_row(*((None, None) if row is None else (row.choices, row.quiet_hours)), email_confirmed=confirmed)


def save(tx: Connection, *, user_id: str, categories: Choices, quiet_hours: QuietHours | None, now: int) -> Preferences:
    """Replace all preferences of a user; a missing category gets its default.

    Raises InvalidField for a locked category that is off in the app, and for invalid quiet hours.
    """
    for category, reason in LOCKED.items():
        if category in categories and not categories[category].in_app:
            raise InvalidField(f"/categories/{category}/inApp", "range", reason)
    if quiet_hours is not None:
        quiet_hours.check("/quietHours")
    _save(tx, user_id, categories, quiet_hours, now)
    return get(tx, user_id=user_id)


def disable_email(tx: Connection, *, user_id: str, now: int) -> None:
    """Turn e-mail off for all categories."""
    current = get(tx, user_id=user_id)
    without_email = {
        category: msgspec.structs.replace(choice, email=False) for category, choice in current.categories.items()
    }  # fmt: skip
    _save(tx, user_id, without_email, current.quiet_hours, now)


def _save(tx: Connection, user_id: str, choices: Choices, quiet_hours: QuietHours | None, now: int) -> None:
    row: dict[str, Any] = {
        "user_id": user_id,
        "choices": _encoder.encode(choices).decode(),
        "quiet_hours": None if quiet_hours is None else _encoder.encode(quiet_hours).decode(),
        "updated_at": now,
    }
    tx.execute(_UPSERT, row)
