"""Logins: signed-in browsers and programs; a token carries only a login's id, the row here is the truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from services import pagination as pages
from services.accounts import schemas as account_schemas
from services.accounts.callers import User
from services.database import outbox
from services.database.statements import Prepared, as_list, each_of
from services.errors import NotFound, PasswordReplaced, Unauthenticated
from services.event_log import channels
from services.ids import new_id
from services.tables import logins
from services.tables import users as accounts
from services.times import DAY, HOUR, render

# Whoever stays away this long signs in again.
IDLE_MS = 30 * DAY
# `used_at` is this coarse, so that no request pays for a write of its own.
TOUCH_MS = HOUR
# A program that signs in anew each time would otherwise fill the table; the one unused for longest goes.
LOGINS_PER_USER = 200
USER_AGENT_LENGTH = 200

_ACCOUNT = select(accounts.c.password_hash).where(accounts.c.id == bindparam("who"), accounts.c.disabled_at.is_(None))
_START = insert(logins)
_SURPLUS = (
    select(logins.c.id)
    .where(logins.c.user_id == bindparam("owner"))
    .order_by(logins.c.used_at.desc(), logins.c.id.desc())
    .limit(-1)
    .offset(LOGINS_PER_USER)
)
_asked = each_of("ids")
_FIND = Prepared(
    select(
        accounts.c.id,
        accounts.c.email,
        accounts.c.name,
        accounts.c.role,
        accounts.c.skills,
        accounts.c.created_at,
        logins.c.id.label("login_id"),
        logins.c.used_at,
    )
    .join_from(_asked, logins, logins.c.id == _asked.c.value)
    .join(accounts, accounts.c.id == logins.c.user_id)
    .where(accounts.c.disabled_at.is_(None))
)
_OF_USER = (
    select(logins)
    .where(
        logins.c.user_id == bindparam("owner"),
        logins.c.used_at >= bindparam("since"),
        logins.c.id < bindparam("before"),
    )
    .order_by(logins.c.id.desc())
    .limit(bindparam("most"))
)
_END = delete(logins).where(logins.c.id == bindparam("which"), logins.c.user_id == bindparam("owner"))
_TOUCH = (
    update(logins)
    .where(logins.c.id.in_(bindparam("ids", expanding=True)))
    .values(used_at=func.max(logins.c.used_at, bindparam("at")))
)


@dataclass(frozen=True, slots=True)
class Login:
    """A live login, whose it is, and when it was last used (ms, up to an hour late)."""

    id: str
    user: User
    used_at: int


def start(
    tx: Connection, *, user_id: str, seen_hash: str | None, user_agent: str | None, address: str | None, now: int
) -> str:
    """Sign a user in whose password was checked against `seen_hash`. Returns the login's id.

    Raises Unauthenticated when the user was disabled in between, PasswordReplaced when it is another hash now.
    """
    account = tx.execute(_ACCOUNT, {"who": user_id}).one_or_none()
    if account is None:
        raise Unauthenticated("The e-mail address or the password is wrong.")
    if account.password_hash != seen_hash:
        raise PasswordReplaced("The e-mail address or the password is wrong.")
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
        end(tx, login_id=surplus, user_id=user_id, reason="revoked", now=now)
    return login_id


def find(tx: Connection, *, ids: Sequence[str]) -> dict[str, Login]:
    """Those of these logins that exist and whose users are not disabled; whether they are idle the caller sees."""
    rows = _FIND.rows(tx, {"ids": as_list(ids)})
    return {row.login_id: Login(row.login_id, User.of_row(row), row.used_at) for row in rows}


def of_user(
    tx: Connection, *, user_id: str, current: str | None, after: str | None, limit: int, now: int
) -> account_schemas.Logins:
    """A page of a user's live logins, the newest first; `current` is the one that asks.

    Raises InvalidField for a mark that is none.
    """
    asked = {"owner": user_id, "since": now - IDLE_MS, "before": pages.id_before(after), "most": limit + 1}
    rows = tx.execute(_OF_USER, asked).all()
    items = [
        account_schemas.Login(
            id=row.id,
            user_agent=row.user_agent,
            address=row.address,
            created_at=render(row.created_at),
            used_at=render(row.used_at),
            current=row.id == current,
        )
        for row in rows[:limit]
    ]
    return account_schemas.Logins(items=items, next=pages.mark(items[-1].id) if len(rows) > limit else None)


def end(
    tx: Connection, *, login_id: str, user_id: str, reason: Literal["logout", "revoked"] = "revoked", now: int
) -> None:
    """End one of the user's own logins; its streams end after the commit. Raises NotFound."""
    if tx.execute(_END, {"which": login_id, "owner": user_id}).rowcount == 0:
        raise NotFound
    data = {"loginId": login_id, "userId": user_id, "reason": reason}
    outbox.append(tx, channels.CONTROL, "login_ended", data, now=now)


def touch(tx: Connection, *, ids: Sequence[str], now: int) -> None:
    """Note that these logins were used."""
    tx.execute(_TOUCH, {"ids": list(ids), "at": now})


def sweep(tx: Connection, *, limit: int, now: int) -> int:
    """Remove at most `limit` logins that were idle for too long. Returns how many."""
    idle = select(logins.c.id).where(logins.c.used_at < now - IDLE_MS).limit(limit)
    return tx.execute(delete(logins).where(logins.c.id.in_(idle))).rowcount
