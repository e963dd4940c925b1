"""Changes passwords, disables and enables accounts, and revokes their sessions."""

from sqlalchemy import Connection, bindparam, delete, select, update

from services.database import outbox
from services.errors import NotFound, PasswordChanged
from services.event_log import channels
from services.tables import sessions, users

_HASH = select(users.c.password_hash).where(users.c.id == bindparam("id"))
_BY_EMAIL = select(users.c.id).where(users.c.email == bindparam("email"))
_DELETE_SESSIONS = delete(sessions).where(sessions.c.user_id == bindparam("user_id"))
_DELETE_OTHER_SESSIONS = (
    delete(sessions)
    .where(sessions.c.user_id == bindparam("user_id"), sessions.c.id != bindparam("kept_id"))
    .returning(sessions.c.id)
)


def change_password(
    tx: Connection,
    *,
    user_id: str,
    expected_hash: str | None,
    password_hash: str,
    keep_session_id: str | None,
    now: int,
) -> None:
    """Replace the password and revoke every session except `keep_session_id`.

    Raises PasswordChanged when the stored hash is no longer `expected_hash`, the one that was verified.
    """
    if tx.execute(_HASH, {"id": user_id}).scalar_one_or_none() != expected_hash:
        raise PasswordChanged("The current password is wrong.")
    tx.execute(update(users).where(users.c.id == user_id).values(password_hash=password_hash))
    for session_id in tx.execute(
        _DELETE_OTHER_SESSIONS, {"user_id": user_id, "kept_id": keep_session_id or ""}
    ).scalars():
        data = {"sessionId": session_id, "userId": user_id, "reason": "revoked"}
        outbox.append(tx, channels.CONTROL, "session_revoked", data, now=now)


def set_password(tx: Connection, *, email: str, password_hash: str, now: int) -> None:
    """Set the password of an account and revoke all its sessions, as an operator. Raises NotFound."""
    user_id = _get_user_id(tx, email)
    tx.execute(update(users).where(users.c.id == user_id).values(password_hash=password_hash))
    _revoke_all(tx, user_id, now)


def upgrade_hash(tx: Connection, *, user_id: str, expected_hash: str, password_hash: str, now: int) -> None:
    """Store a new hash of the same password unless the password was changed since `expected_hash` was read."""
    unchanged = (users.c.id == user_id) & (users.c.password_hash == expected_hash)
    tx.execute(update(users).where(unchanged).values(password_hash=password_hash))


def disable(tx: Connection, *, email: str, now: int) -> None:
    """Disable an account and revoke all its sessions. Raises NotFound."""
    user_id = _get_user_id(tx, email)
    tx.execute(update(users).where(users.c.id == user_id).values(disabled_at=now))
    _revoke_all(tx, user_id, now)


def enable(tx: Connection, *, email: str, now: int) -> None:
    """Enable an account. Raises NotFound."""
    user_id = _get_user_id(tx, email)
    tx.execute(update(users).where(users.c.id == user_id).values(disabled_at=None))


def _get_user_id(tx: Connection, email: str) -> str:
    user_id = tx.execute(_BY_EMAIL, {"email": email.lower()}).scalar_one_or_none()
    if user_id is None:
        raise NotFound(f"There is no user with the e-mail address {email[:254]}.")
    return str(user_id)


def _revoke_all(tx: Connection, user_id: str, now: int) -> None:
    tx.execute(_DELETE_SESSIONS, {"user_id": user_id})
    outbox.append(tx, channels.CONTROL, "user_revoked", {"userId": user_id, "reason": "revoked"}, now=now)
