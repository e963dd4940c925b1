"""Confirms that an e-mail address belongs to an account."""

import hashlib

from sqlalchemy import Connection, bindparam, select

from services.database.statements import upsert
from services.errors import NotFound
from services.tables import users, verified_emails

_EMAIL = select(users.c.email).where(users.c.id == bindparam("id"), users.c.disabled_at.is_(None))
_insert = upsert(verified_emails)
_UPSERT = _insert.on_conflict_do_update(
    index_elements=[verified_emails.c.user_id],
    set_={"email": _insert.excluded.email, "confirmed_at": _insert.excluded.confirmed_at},
)


def confirm(tx: Connection, *, user_id: str, email: str, now: int) -> None:
    """Store that the user opened the link sent to this address.

    Raises NotFound when the account has another address now or is disabled.
    """
    if tx.execute(_EMAIL, {"id": user_id}).scalar_one_or_none() != email:
        raise NotFound("This is no longer the e-mail address of the account.")
    tx.execute(_UPSERT, {"user_id": user_id, "email": email, "confirmed_at": now})


def reset_fingerprint(password_hash: str, email: str | None) -> str:
    """Return the fingerprint in a password reset link; it changes with the password and with the e-mail address."""
    return hashlib.sha256(f"{password_hash} {email}".encode()).hexdigest()[:32]
