"""Who may still sign in: passwords replaced, users disabled and enabled; what ends with that."""

from sqlalchemy import Connection, bindparam, delete, select, update

from services.database import outbox
from services.errors import NotFound, PasswordChanged
from services.event_log import channels
from services.tables import sessions, users

_HASH = select(users.c.password_hash).where(users.c.id == bindparam("who"))
_BY_EMAIL = select(users.c.id).where(users.c.email == bindparam("which"))
_END_ALL = delete(sessions).where(sessions.c.user_id == bindparam("owner"))
_END_OTHERS = (
    delete(sessions)
    .where(sessions.c.user_id == bindparam("owner"), sessions.c.id != bindparam("kept"))
    .returning(sessions.c.id)
)


def change_password(
    tx: Connection, *, user_id: str, seen_hash: str | None, password_hash: str, keep_login: str | None, now: int
) -> None:
    """Replace the password that was checked (`seen_hash`), and end every login but `keep_login`.

    Raises PasswordReplaced when it is another hash now.
    """
    if tx.execute(_HASH, {"who": user_id}).scalar_one_or_none() != seen_hash:
        raise PasswordChanged("The current password is wrong.")
    tx.execute(update(users).where(users.c.id == user_id).values(password_hash=password_hash))
    for login_id in tx.execute(_END_OTHERS, {"owner": user_id, "kept": keep_login or ""}).scalars():
        data = {"loginId": login_id, "userId": user_id, "reason": "revoked"}
        outbox.append(tx, channels.CONTROL, "login_ended", data, now=now)


def set_password(tx: Connection, *, email: str, password_hash: str, now: int) -> None:
    """Give somebody a new password, as an operator; ends all of theirs. Raises NotFound."""
    user_id = _id_of(tx, email)
    tx.execute(update(users).where(users.c.id == user_id).values(password_hash=password_hash))
    _end_all(tx, user_id, now)


def upgrade_hash(tx: Connection, *, user_id: str, seen_hash: str, password_hash: str, now: int) -> None:
    """Keep the same password under another cost, unless it was changed in between."""
    same = (users.c.id == user_id) & (users.c.password_hash == seen_hash)
    tx.execute(update(users).where(same).values(password_hash=password_hash))


def disable(tx: Connection, *, email: str, now: int) -> None:
    """Shut somebody out and end all of theirs. Raises NotFound."""
    user_id = _id_of(tx, email)
    tx.execute(update(users).where(users.c.id == user_id).values(disabled_at=now))
    _end_all(tx, user_id, now)


def enable(tx: Connection, *, email: str, now: int) -> None:
    """Let somebody in again. Raises NotFound."""
    user_id = _id_of(tx, email)
    tx.execute(update(users).where(users.c.id == user_id).values(disabled_at=None))


def _id_of(tx: Connection, email: str) -> str:
    user_id = tx.execute(_BY_EMAIL, {"which": email.lower()}).scalar_one_or_none()
    if user_id is None:
        raise NotFound(f"There is no user with the e-mail address {email[:254]}.")
    return str(user_id)


def _end_all(tx: Connection, user_id: str, now: int) -> None:
    tx.execute(_END_ALL, {"owner": user_id})
    outbox.append(tx, channels.CONTROL, "user_ended", {"userId": user_id, "reason": "revoked"}, now=now)
