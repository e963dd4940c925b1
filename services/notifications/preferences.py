"""What a user wants to be told of, and by which way: in the app, by push, by e-mail; and when not to be disturbed."""

from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec
from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects.sqlite import insert

from services.errors import InvalidField
from services.notifications.quiet_hours import QuietHours
from services.notifications.schemas import Category
from services.schemas import Schema
from services.tables import preferences, users, verified_emails

CATEGORIES: Final[tuple[Category, ...]] = get_args(Category)

# Why these cannot be turned off in the app.
LOCKED: Final[Mapping[Category, str]] = {
    "hire": "A hire binds you to somebody, so it always stands in your inbox.",
    "payment": "It is your money, so every payment stands in your inbox.",
}

_p = preferences.c
_FIND = select(_p.choices, _p.quiet).where(_p.user_id == bindparam("who"))
_CONFIRMED = select(verified_emails.c.confirmed_at).where(
    verified_emails.c.user_id == bindparam("who"),
    verified_emails.c.user_id == users.c.id,
    verified_emails.c.email == users.c.email,
)
_put = insert(preferences)
_PUT = _put.on_conflict_do_update(
    index_elements=[_p.user_id], set_={name: _put.excluded[name] for name in ("choices", "quiet", "updated_at")}
)
_encoder = msgspec.json.Encoder()


class Choice(Schema, frozen=True, forbid_unknown_fields=True):
    """By which ways a category comes."""

    in_app: bool
    push: bool
    email: bool


Choices = dict[Category, Choice]

# E-mail is the last resort: without being asked it is sent only for what is about one's work and money.
DEFAULTS: Final[Choices] = {
    category: Choice(in_app=True, push=True, email=category in ("hire", "payment")) for category in CATEGORIES
}  # fmt: skip
_choices = msgspec.json.Decoder(dict[Category, Choice])
_quiet = msgspec.json.Decoder(QuietHours)


class Preferences(Schema, frozen=True):
    """Every category's ways, the quiet hours, and why some cannot be turned off in the app."""

    categories: Choices
    quiet_hours: QuietHours | None
    locked: dict[str, dict[str, str]]
    # E-mail goes to an address only when its owner has shown that it is theirs.
    email_confirmed: bool


def from_row(choices: str | None, quiet: str | None, *, confirmed: bool = False) -> Preferences:
    """What two columns hold, or the defaults where there is no row."""
    chosen = {} if choices is None else _choices.decode(choices)
    return Preferences(
        categories=DEFAULTS | chosen,
        quiet_hours=None if quiet is None else _quiet.decode(quiet),
        locked={category: {"inApp": why} for category, why in LOCKED.items()},
        email_confirmed=confirmed,
    )


def get(tx: Connection, *, user_id: str) -> Preferences:
    """A user's preferences."""
    row = tx.execute(_FIND, {"who": user_id}).one_or_none()
    confirmed = tx.execute(_CONFIRMED, {"who": user_id}).one_or_none() is not None
    return from_row(*((None, None) if row is None else (row.choices, row.quiet)), confirmed=confirmed)


def save(tx: Connection, *, user_id: str, categories: Choices, quiet_hours: QuietHours | None, now: int) -> Preferences:
    """Set all of a user's preferences; a category that is left out gets its default.

    Raises InvalidField: what cannot be turned off, and says why; quiet hours that are none.
    """
    for category, why in LOCKED.items():
        if category in categories and not categories[category].in_app:
            raise InvalidField(f"/categories/{category}/inApp", "range", why)
    if quiet_hours is not None:
        quiet_hours.check("/quietHours")
    quiet = None if quiet_hours is None else _encoder.encode(quiet_hours).decode()
    _save(tx, user_id, categories, quiet, now)
    return get(tx, user_id=user_id)


def disable_email(tx: Connection, *, user_id: str, now: int) -> None:
    """Send this user no e-mail for any category."""
    kept = get(tx, user_id=user_id)
    silent = {
        category: msgspec.structs.replace(choice, email=False) for category, choice in kept.categories.items()
    }  # fmt: skip
    quiet = None if kept.quiet_hours is None else _encoder.encode(kept.quiet_hours).decode()
    _save(tx, user_id, silent, quiet, now)


def _save(tx: Connection, user_id: str, choices: Choices, quiet: str | None, now: int) -> None:
    row: dict[str, Any] = {"user_id": user_id, "choices": _encoder.encode(choices).decode(), "quiet": quiet}
    tx.execute(_PUT, row | {"updated_at": now})
