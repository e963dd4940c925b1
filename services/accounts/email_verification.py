"""E-mail addresses are shown to be their owners': by a link that was sent there."""

import hashlib

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects.sqlite import insert

from services.errors import NotFound
from services.tables import users, verified_emails

_ADDRESS = select(users.c.email).where(users.c.id == bindparam("who"), users.c.disabled_at.is_(None))
_put = insert(verified_emails)
_PUT = _put.on_conflict_do_update(
    index_elements=[verified_emails.c.user_id],
    set_={"email": _put.excluded.email, "confirmed_at": _put.excluded.confirmed_at},
)


def confirm(tx: Connection, *, user_id: str, email: str, now: int) -> None:
    """Somebody has opened what was sent to this address. Raises NotFound where it is not theirs any more."""
    if tx.execute(_ADDRESS, {"who": user_id}).scalar_one_or_none() != email:
        raise NotFound("That address is not the one of this account any more.")
    tx.execute(_PUT, {"user_id": user_id, "email": email, "confirmed_at": now})


def reset_fingerprint(password_hash: str, email: str | None) -> str:
    """What a link for a new password carries of the old one and of where it went: void once either has changed."""
    return hashlib.sha256(f"{password_hash} {email}".encode()).hexdigest()[:32]
