"""Accounts: made, changed, and found by id, e-mail or the id that another system knows them by."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, insert, select, update

from services import text
from services.accounts.callers import User
from services.accounts.schemas import ListedUser, Me
from services.database import outbox
from services.database.statements import Statement, json_values, to_json_list
from services.errors import Conflict, InvalidField, NotFound
from services.event_log import channels
from services.ids import new_id
from services.schemas import Role
from services.tables import inboxes, users
from services.times import to_rfc3339, to_rfc3339_or_none

EMAIL_LENGTH = 254
# What a browser's <input type=email> lets through (HTML, 4.10.5.1.5), so that no form accepts what we refuse.
_EMAIL = re.compile(
    r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
)

_COLUMNS = (users.c.id, users.c.email, users.c.name, users.c.role, users.c.skills, users.c.created_at)
_BY_ID = select(*_COLUMNS, users.c.password_hash, users.c.disabled_at).where(users.c.id == bindparam("which"))
_BY_EMAIL = select(*_COLUMNS, users.c.password_hash, users.c.disabled_at).where(users.c.email == bindparam("which"))
_BY_EXTERNAL_ID = select(*_COLUMNS).where(users.c.external_id == bindparam("which"))
_ABLE = select(*_COLUMNS).where(users.c.id.in_(bindparam("ids", expanding=True)), users.c.disabled_at.is_(None))
_AFTER = (
    select(*_COLUMNS, users.c.external_id, users.c.disabled_at)
    .where(users.c.id > bindparam("after"))
    .order_by(users.c.id)
    .limit(bindparam("most"))
)
_NAMES = select(users.c.id, users.c.name).where(users.c.id.in_(bindparam("ids", expanding=True)))
_asked = json_values("asked")
_BY_IDS = Statement(select(_asked.c.value, users.c.id).join_from(_asked, users, users.c.id == _asked.c.value))
_BY_EXTERNAL_IDS = Statement(
    select(_asked.c.value, users.c.id).join_from(_asked, users, users.c.external_id == _asked.c.value)
)


@dataclass(frozen=True, slots=True)
class Account:
    """A user as the log-in sees them."""

    user: User
    password_hash: str | None
    disabled: bool


@dataclass(frozen=True, slots=True)
class UserRef:
    """Somebody named in a body, at `pointer`, by our id or by another system's."""

    pointer: str
    user_id: str | None = None
    external_id: str | None = None


def to_schema(user: User) -> Me:
    """What a user is told about themselves."""
    return Me(
        id=user.id,
        email=user.email,
        name=user.name,
        role=user.role,
        skills=list(user.skills),
        created_at=to_rfc3339(user.created_at),
    )


def checked_email(email: str) -> str:
    """The address in lower case. Raises InvalidField at /email when it cannot be one."""
    if len(email) > EMAIL_LENGTH:
        raise InvalidField("/email", "length", f"An e-mail address has at most {EMAIL_LENGTH} characters.")
    if not email.isascii() or not _EMAIL.fullmatch(email.lower()):
        raise InvalidField("/email", "type", "That is not an e-mail address.")
    return email.lower()


def create(
    tx: Connection,
    *,
    email: str | None,
    password_hash: str | None,
    name: str,
    role: Role,
    skills: Iterable[str] = (),
    user_id: str | None = None,
    external_id: str | None = None,
    now: int,
) -> Me:
    """A new user, with an empty inbox. Raises InvalidField, and Conflict when the e-mail is taken."""
    email = None if email is None else _free(tx, checked_email(email))
    user = User(user_id or new_id(), email, name, role, tuple(text.skills(skills)), now)
    row = {
        "id": user.id,
        "email": email,
        "external_id": external_id,
        "name": name,
        "role": role,
        "skills": _json(user.skills),
        "password_hash": password_hash,
        "created_at": now,
    }
    tx.execute(insert(users), row)
    tx.execute(insert(inboxes), {"user_id": user.id, "seq": 0, "unread": 0, "unseen": 0})
    return to_schema(user)


def find_by_email(tx: Connection, *, email: str) -> Account | None:
    """The account behind an e-mail address, however it was typed; disabled ones too."""
    return _account(tx.execute(_BY_EMAIL, {"which": email.lower()}).one_or_none())


def find_by_id(tx: Connection, *, user_id: str) -> Account | None:
    """The account with this id; disabled ones too."""
    return _account(tx.execute(_BY_ID, {"which": user_id}).one_or_none())


def load_many(tx: Connection, *, ids: Sequence[str]) -> dict[str, User]:
    """Those of these users who are there and not disabled."""
    return {row.id: User.of_row(row) for row in tx.execute(_ABLE, {"ids": list(ids)})}


def list_users(tx: Connection, *, after: str, most: int) -> list[ListedUser]:
    """At most so many users, disabled ones too, oldest first, from those after this id on (empty: from the first)."""
    return [
        ListedUser(
            id=row.id,
            email=row.email,
            external_id=row.external_id,
            name=row.name,
            role=row.role,
            created_at=to_rfc3339(row.created_at),
            disabled_at=to_rfc3339_or_none(row.disabled_at),
        )
        for row in tx.execute(_AFTER, {"after": after, "most": most})
    ]


def load_names(tx: Connection, *, ids: Sequence[str]) -> dict[str, str]:
    """The names of those of these users who exist."""
    return {row.id: row.name for row in tx.execute(_NAMES, {"ids": list(ids)})}


def resolve_refs(tx: Connection, *, refs: Sequence[UserRef]) -> list[str]:
    """The user ids behind what a body names, in its order.

    Raises InvalidField (unknown user) at the pointer of the first that is nobody.
    """
    found = []
    for ref, user_id in zip(refs, find_refs(tx, refs=refs), strict=True):
        if user_id is None:
            raise unknown_user_error(ref)
        found.append(user_id)
    return found


def find_refs(tx: Connection, *, refs: Sequence[UserRef]) -> list[str | None]:
    """Like `resolve`, with None for nobody."""
    ours = _found(tx, _BY_IDS, {ref.user_id for ref in refs if ref.user_id is not None})
    theirs = _found(tx, _BY_EXTERNAL_IDS, {ref.external_id for ref in refs if ref.external_id is not None})
    return [ours.get(ref.user_id) or theirs.get(ref.external_id) for ref in refs]


def unknown_user_error(ref: UserRef) -> InvalidField:
    """What to raise for somebody who is nobody."""
    return InvalidField(ref.pointer, "unknown user", "There is no such user.")


def exists_external(tx: Connection, *, external_id: str) -> bool:
    """Whether another system's id is somebody's here."""
    return tx.execute(_BY_EXTERNAL_ID, {"which": external_id}).one_or_none() is not None


def update_profile(
    tx: Connection, *, user_id: str, name: str | None = None, skills: Iterable[str] | None = None, now: int
) -> Me:
    """Change one's own name or skills; None leaves them. Raises NotFound and InvalidField."""
    row = tx.execute(_BY_ID, {"which": user_id}).one_or_none()
    if row is None:
        raise NotFound
    changed: dict[str, str] = {}
    if name is not None:
        changed["name"] = name
    if skills is not None:
        changed["skills"] = _json(text.skills(skills))
    return to_schema(_change(tx, User.of_row(row), changed, now))


def upsert_external(
    tx: Connection, *, external_id: str, name: str, role: Role | None = None, email: str | None = None, now: int
) -> Me:
    """The user another system knows by this id, made (a client unless `role` says otherwise) or brought up to date.

    Raises InvalidField, and Conflict when the e-mail belongs to somebody else.
    """
    row = tx.execute(_BY_EXTERNAL_ID, {"which": external_id}).one_or_none()
    if row is None:
        made_role: Role = role or "client"
        return create(tx, email=email, password_hash=None, name=name, role=made_role, external_id=external_id, now=now)
    user = User.of_row(row)
    changed = {"name": name} | ({} if role is None else {"role": role})
    if email is not None and checked_email(email) != user.email:
        changed["email"] = _free(tx, checked_email(email))
    return to_schema(_change(tx, user, changed, now))


def _account(row: Row[*tuple[Any, ...]] | None) -> Account | None:
    return None if row is None else Account(User.of_row(row), row.password_hash, row.disabled_at is not None)


def _free(tx: Connection, email: str) -> str:
    if tx.execute(_BY_EMAIL, {"which": email}).one_or_none() is not None:
        raise Conflict("There is already a user with this e-mail address.")
    return email


def _change(tx: Connection, user: User, changed: Mapping[str, str], now: int) -> User:
    """Write what is new, and let the hub forget what it knew; a new role also means other channels."""
    before = {"name": user.name, "email": user.email, "role": user.role, "skills": _json(user.skills)}
    new = {column: value for column, value in changed.items() if before[column] != value}
    if not new:
        return user
    row = tx.execute(update(users).where(users.c.id == user.id).values(**new).returning(*_COLUMNS)).one()
    told = {"userId": user.id} | ({"streams": "rotate"} if "role" in new else {})
    outbox.append(tx, channels.CONTROL, "user_changed", told, now=now)
    return User.of_row(row)


def _found(tx: Connection, by: Statement, names: Collection[str]) -> Mapping[str | None, str]:
    return dict(by.all(tx, {"asked": to_json_list(names)})) if names else {}


def _json(skills: Sequence[str]) -> str:
    return msgspec.json.encode(skills).decode()
