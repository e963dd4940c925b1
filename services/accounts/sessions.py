"""Sign-in sessions; a token carries only the session id."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from services import pagination
from services.accounts import schemas
from services.accounts.callers import User
from services.database import outbox
from services.database.statements import Statement, json_values, to_json_list
from services.errors import NotFound, PasswordChanged, Unauthenticated
from services.event_log import channels
from services.ids import new_id
from services.tables import sessions, users
from services.times import DAY_MS, HOUR_MS, to_rfc3339

# A session that is unused for this long is no longer valid.
IDLE_MS = 30 * DAY_MS
# The precision of `used_at`, so that a request does not need a write of its own.
USE_PRECISION_MS = HOUR_MS
# Programs that sign in for every run would otherwise fill the table; the least recently used session is revoked.
MAX_SESSIONS_PER_USER = 200
MAX_USER_AGENT = 200

_PASSWORD_HASH = select(users.c.password_hash).where(users.c.id == bindparam("id"), users.c.disabled_at.is_(None))
_INSERT = insert(sessions)
_SURPLUS = (
    select(sessions.c.id)
    .where(sessions.c.user_id == bindparam("user_id"))
    .order_by(sessions.c.used_at.desc(), sessions.c.id.desc())
    .limit(-1)
    .offset(MAX_SESSIONS_PER_USER)
)
_ids = json_values("ids")
_LOAD = Statement(
    select(
        users.c.id,
        users.c.email,
        users.c.name,
        users.c.role,
        users.c.skills,
        users.c.created_at,
        sessions.c.id.label("session_id"),
        sessions.c.used_at,
    )
    .join_from(_ids, sessions, sessions.c.id == _ids.c.value)
    .join(users, users.c.id == sessions.c.user_id)
    .where(users.c.disabled_at.is_(None))
)
_PAGE = (
    select(sessions)
    .where(
        sessions.c.user_id == bindparam("user_id"),
        sessions.c.used_at >= bindparam("used_since"),
        sessions.c.id < bindparam("before_id"),
    )
    .order_by(sessions.c.id.desc())
    .limit(bindparam("limit"))
)
_DELETE = delete(sessions).where(sessions.c.id == bindparam("id"), sessions.c.user_id == bindparam("user_id"))
_SET_USED_AT = (
    update(sessions)
    .where(sessions.c.id.in_(bindparam("ids", expanding=True)))
    .values(used_at=func.max(sessions.c.used_at, bindparam("used_at")))
)


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A stored session, its user, and when it was last used (ms, up to one hour late)."""

    id: str
    user: User
    used_at: int


def create(
    tx: Connection, *, user_id: str, expected_hash: str | None, user_agent: str | None, address: str | None, now: int
) -> str:
    """Create a session for a user whose password was verified against `expected_hash`, and return its id.

    Raises Unauthenticated when the user was disabled meanwhile, and PasswordChanged when the stored hash differs.
    """
    account = tx.execute(_PASSWORD_HASH, {"id": user_id}).one_or_none()
    if account is None:
        raise Unauthenticated("The e-mail address or the password is wrong.")
    if account.password_hash != expected_hash:
        raise PasswordChanged("The e-mail address or the password is wrong.")
    session_id = new_id()
    row = {
        "id": session_id,
        "user_id": user_id,
        "user_agent": user_agent and user_agent[:MAX_USER_AGENT],
        "address": address,
        "created_at": now,
        "used_at": now,
    }
    tx.execute(_INSERT, row)
    for surplus_id in tx.execute(_SURPLUS, {"user_id": user_id}).scalars().all():
        revoke(tx, session_id=surplus_id, user_id=user_id, reason="revoked", now=now)
    return session_id


def load_many(tx: Connection, *, ids: Sequence[str]) -> dict[str, SessionRecord]:
    """Return these sessions by id, without those of disabled users. Idle sessions are included."""
    rows = _LOAD.all(tx, {"ids": to_json_list(ids)})
    return {row.session_id: SessionRecord(row.session_id, User.from_row(row), row.used_at) for row in rows}


def list_for_user(
    tx: Connection, *, user_id: str, current: str | None, after: str | None, limit: int, now: int
) -> schemas.SessionList:
    """Return one page of a user's sessions that are not idle, newest first; `current` is the session of the request.

    Raises InvalidField for an invalid `after`.
    """
    parameters = {
        "user_id": user_id,
        "used_since": now - IDLE_MS,
        "before_id": pagination.id_from_token(after),
        "limit": limit + 1,
    }
    rows = tx.execute(_PAGE, parameters).all()
    items = [
        schemas.Session(
            id=row.id,
            user_agent=row.user_agent,
            address=row.address,
            created_at=to_rfc3339(row.created_at),
            used_at=to_rfc3339(row.used_at),
            current=row.id == current,
        )
        for row in rows[:limit]
    ]
    return schemas.SessionList(items=items, next=pagination.page_token(items[-1].id) if len(rows) > limit else None)


def revoke(
    tx: Connection, *, session_id: str, user_id: str, reason: Literal["logout", "revoked"] = "revoked", now: int
) -> None:
    """Delete a session of this user; its streams are closed after the commit. Raises NotFound."""
    if tx.execute(_DELETE, {"id": session_id, "user_id": user_id}).rowcount == 0:
        raise NotFound
    data = {"sessionId": session_id, "userId": user_id, "reason": reason}
    outbox.append(tx, channels.CONTROL, "session_revoked", data, now=now)


def record_use(tx: Connection, *, ids: Sequence[str], now: int) -> None:
    """Record that these sessions were used; an earlier time than before changes nothing."""
    tx.execute(_SET_USED_AT, {"ids": list(ids), "used_at": now})


def delete_idle(tx: Connection, *, limit: int, now: int) -> int:
    """Delete at most `limit` idle sessions and return their number."""
    idle = select(sessions.c.id).where(sessions.c.used_at < now - IDLE_MS).limit(limit)
    return tx.execute(delete(sessions).where(sessions.c.id.in_(idle))).rowcount
