"""Logins: signed-in browsers and programs; a token carries only a login's id, the row here is the truth."""

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
from services.times import DAY, HOUR, to_rfc3339

# Whoever stays away this long signs in again.
IDLE_MS = 30 * DAY
# `used_at` is this coarse, so that no request pays for a write of its own.
TOUCH_MS = HOUR
# A program that signs in anew each time would otherwise fill the table; the one unused for longest goes.
MAX_SESSIONS_PER_USER = 200
USER_AGENT_LENGTH = 200

_ACCOUNT = select(users.c.password_hash).where(users.c.id == bindparam("who"), users.c.disabled_at.is_(None))
_START = insert(sessions)
_SURPLUS = (
    select(sessions.c.id)
    .where(sessions.c.user_id == bindparam("owner"))
    .order_by(sessions.c.used_at.desc(), sessions.c.id.desc())
    .limit(-1)
    .offset(MAX_SESSIONS_PER_USER)
)
_asked = json_values("ids")
_FIND = Statement(
    select(
        users.c.id,
        users.c.email,
        users.c.name,
        users.c.role,
        users.c.skills,
        users.c.created_at,
        sessions.c.id.label("login_id"),
        sessions.c.used_at,
    )
    .join_from(_asked, sessions, sessions.c.id == _asked.c.value)
    .join(users, users.c.id == sessions.c.user_id)
    .where(users.c.disabled_at.is_(None))
)
_OF_USER = (
    select(sessions)
    .where(
        sessions.c.user_id == bindparam("owner"),
        sessions.c.used_at >= bindparam("since"),
        sessions.c.id < bindparam("before"),
    )
    .order_by(sessions.c.id.desc())
    .limit(bindparam("most"))
)
_END = delete(sessions).where(sessions.c.id == bindparam("which"), sessions.c.user_id == bindparam("owner"))
_TOUCH = (
    update(sessions)
    .where(sessions.c.id.in_(bindparam("ids", expanding=True)))
    .values(used_at=func.max(sessions.c.used_at, bindparam("at")))
)


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A live login, whose it is, and when it was last used (ms, up to an hour late)."""

    id: str
    user: User
    used_at: int


def create(
    tx: Connection, *, user_id: str, seen_hash: str | None, user_agent: str | None, address: str | None, now: int
) -> str:
    """Sign a user in whose password was checked against `seen_hash`. Returns the login's id.

    Raises Unauthenticated when the user was disabled in between, PasswordReplaced when it is another hash now.
    """
    account = tx.execute(_ACCOUNT, {"who": user_id}).one_or_none()
    if account is None:
        raise Unauthenticated("The e-mail address or the password is wrong.")
    if account.password_hash != seen_hash:
        raise PasswordChanged("The e-mail address or the password is wrong.")
    login_id = new_id()
    row = {
        "id": login_id,
        "user_id": user_id,
        "user_agent": user_agent and user_agent[:USER_AGENT_LENGTH],
        "address": address,
        "created_at": now,
        "used_at": now,
    }
    tx.execute(_START, row)
    for surplus in tx.execute(_SURPLUS, {"owner": user_id}).scalars().all():
        revoke(tx, login_id=surplus, user_id=user_id, reason="revoked", now=now)
    return login_id


def load_many(tx: Connection, *, ids: Sequence[str]) -> dict[str, SessionRecord]:
    """Those of these logins that exist and whose users are not disabled; whether they are idle the caller sees."""
    rows = _FIND.all(tx, {"ids": to_json_list(ids)})
    return {row.login_id: SessionRecord(row.login_id, User.of_row(row), row.used_at) for row in rows}


def list_for_user(
    tx: Connection, *, user_id: str, current: str | None, after: str | None, limit: int, now: int
) -> schemas.SessionList:
    """A page of a user's live logins, the newest first; `current` is the one that asks.

    Raises InvalidField for a mark that is none.
    """
    asked = {"owner": user_id, "since": now - IDLE_MS, "before": pagination.id_from_token(after), "most": limit + 1}
    rows = tx.execute(_OF_USER, asked).all()
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
    tx: Connection, *, login_id: str, user_id: str, reason: Literal["logout", "revoked"] = "revoked", now: int
) -> None:
    """End one of the user's own logins; its streams end after the commit. Raises NotFound."""
    if tx.execute(_END, {"which": login_id, "owner": user_id}).rowcount == 0:
        raise NotFound
    data = {"loginId": login_id, "userId": user_id, "reason": reason}
    outbox.append(tx, channels.CONTROL, "login_ended", data, now=now)


def record_use(tx: Connection, *, ids: Sequence[str], now: int) -> None:
    """Note that these logins were used."""
    tx.execute(_TOUCH, {"ids": list(ids), "at": now})


def delete_idle(tx: Connection, *, limit: int, now: int) -> int:
    """Remove at most `limit` logins that were idle for too long. Returns how many."""
    idle = select(sessions.c.id).where(sessions.c.used_at < now - IDLE_MS).limit(limit)
    return tx.execute(delete(sessions).where(sessions.c.id.in_(idle))).rowcount
