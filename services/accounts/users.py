"""User accounts: create, update, find by id, e-mail or external id."""

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

MAX_EMAIL = 254
# The addresses that <input type=email> accepts (HTML, 4.10.5.1.5), so that no form accepts an address we reject.
_EMAIL = re.compile(
    r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
)

_COLUMNS = (users.c.id, users.c.email, users.c.name, users.c.role, users.c.skills, users.c.created_at)
_BY_ID = select(*_COLUMNS, users.c.password_hash, users.c.disabled_at).where(users.c.id == bindparam("id"))
_BY_EMAIL = select(*_COLUMNS, users.c.password_hash, users.c.disabled_at).where(users.c.email == bindparam("email"))
_BY_EXTERNAL_ID = select(*_COLUMNS).where(users.c.external_id == bindparam("external_id"))
_ENABLED = select(*_COLUMNS).where(users.c.id.in_(bindparam("ids", expanding=True)), users.c.disabled_at.is_(None))
_PAGE = (
    select(*_COLUMNS, users.c.external_id, users.c.disabled_at)
    .where(users.c.id > bindparam("after_id"))
    .order_by(users.c.id)
    .limit(bindparam("limit"))
)
_NAMES = select(users.c.id, users.c.name).where(users.c.id.in_(bindparam("ids", expanding=True)))
_values = json_values("values")
_BY_IDS = Statement(select(_values.c.value, users.c.id).join_from(_values, users, users.c.id == _values.c.value))
_BY_EXTERNAL_IDS = Statement(
    select(_values.c.value, users.c.id).join_from(_values, users, users.c.external_id == _values.c.value)
)


@dataclass(frozen=True, slots=True)
class Account:
    """A user with the data that log-in needs."""

    user: User
    password_hash: str | None
    disabled: bool


@dataclass(frozen=True, slots=True)
class UserRef:
    """A user that a body names at `pointer`, by user id or by external id."""

    pointer: str
    user_id: str | None = None
    external_id: str | None = None


def to_schema(user: User) -> Me:
    """Return the JSON object of the current user."""
    return Me(
        id=user.id,
        email=user.email,
        name=user.name,
        role=user.role,
        skills=list(user.skills),
        created_at=to_rfc3339(user.created_at),
    )


def check_email(email: str) -> str:
    """Return the address in lower case. Raises InvalidField at /email for an invalid address."""
    if len(email) > MAX_EMAIL:
        raise InvalidField("/email", "length", f"An e-mail address has at most {MAX_EMAIL} characters.")
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
    """Create a user with an empty inbox. Raises InvalidField, and Conflict when the e-mail address is in use."""
    email = None if email is None else _require_free_email(tx, check_email(email))
    user = User(user_id or new_id(), email, name, role, tuple(text.normalize_skills(skills)), now)
    row = {
        "id": user.id,
        "email": email,
        "external_id": external_id,
        "name": name,
        "role": role,
        "skills": _to_json(user.skills),
        "password_hash": password_hash,
        "created_at": now,
    }
    tx.execute(insert(users), row)
    tx.execute(insert(inboxes), {"user_id": user.id, "seq": 0, "unread": 0, "unseen": 0})
    return to_schema(user)


def find_by_email(tx: Connection, *, email: str) -> Account | None:
    """Return the account with this e-mail address in any letter case, even if it is disabled."""
    return _to_account(tx.execute(_BY_EMAIL, {"email": email.lower()}).one_or_none())


def find_by_id(tx: Connection, *, user_id: str) -> Account | None:
    """Return the account with this id, even if it is disabled."""
    return _to_account(tx.execute(_BY_ID, {"id": user_id}).one_or_none())


def load_many(tx: Connection, *, ids: Sequence[str]) -> dict[str, User]:
    """Return these users by id, without disabled ones."""
    return {row.id: User.from_row(row) for row in tx.execute(_ENABLED, {"ids": list(ids)})}


def list_users(tx: Connection, *, after: str, limit: int) -> list[ListedUser]:
    """Return at most `limit` users with ids after `after` (empty: all), oldest first, including disabled ones."""
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
        for row in tx.execute(_PAGE, {"after_id": after, "limit": limit})
    ]


def load_names(tx: Connection, *, ids: Sequence[str]) -> dict[str, str]:
    """Return the names of these users by id, as far as they exist."""
    return {row.id: row.name for row in tx.execute(_NAMES, {"ids": list(ids)})}


def resolve_refs(tx: Connection, *, refs: Sequence[UserRef]) -> list[str]:
    """Return the user ids of these references, in their order.

    Raises InvalidField (unknown user) at the pointer of the first unknown one.
    """
    user_ids = []
    for ref, user_id in zip(refs, find_refs(tx, refs=refs), strict=True):
        if user_id is None:
            raise unknown_user_error(ref)
        user_ids.append(user_id)
    return user_ids


def find_refs(tx: Connection, *, refs: Sequence[UserRef]) -> list[str | None]:
    """Return the user ids of these references, in their order, with None for unknown users."""
    by_id = _find_by(tx, _BY_IDS, {ref.user_id for ref in refs if ref.user_id is not None})
    by_external_id = _find_by(tx, _BY_EXTERNAL_IDS, {ref.external_id for ref in refs if ref.external_id is not None})
    return [by_id.get(ref.user_id) or by_external_id.get(ref.external_id) for ref in refs]


def unknown_user_error(ref: UserRef) -> InvalidField:
    """Return the error for a reference to an unknown user."""
    return InvalidField(ref.pointer, "unknown user", "There is no such user.")


def exists_external(tx: Connection, *, external_id: str) -> bool:
    """Return whether a user has this external id."""
    return tx.execute(_BY_EXTERNAL_ID, {"external_id": external_id}).one_or_none() is not None


def update_profile(
    tx: Connection, *, user_id: str, name: str | None = None, skills: Iterable[str] | None = None, now: int
) -> Me:
    """Update the name or the skills of a user; None leaves them unchanged. Raises NotFound and InvalidField."""
    row = tx.execute(_BY_ID, {"id": user_id}).one_or_none()
    if row is None:
        raise NotFound
    changed: dict[str, str] = {}
    if name is not None:
        changed["name"] = name
    if skills is not None:
        changed["skills"] = _to_json(text.normalize_skills(skills))
    return to_schema(_update(tx, User.from_row(row), changed, now))


def upsert_external(
    tx: Connection, *, external_id: str, name: str, role: Role | None = None, email: str | None = None, now: int
) -> Me:
    """Create or update the user with this external id; a new user is a client unless `role` is given.

    Raises InvalidField, and Conflict when another user has the e-mail address.
    """
    row = tx.execute(_BY_EXTERNAL_ID, {"external_id": external_id}).one_or_none()
    if row is None:
        new_role: Role = role or "client"
        return create(tx, email=email, password_hash=None, name=name, role=new_role, external_id=external_id, now=now)
    user = User.from_row(row)
    changed = {"name": name} | ({} if role is None else {"role": role})
    if email is not None and check_email(email) != user.email:
        changed["email"] = _require_free_email(tx, check_email(email))
    return to_schema(_update(tx, user, changed, now))


def _to_account(row: Row[*tuple[Any, ...]] | None) -> Account | None:
    return None if row is None else Account(User.from_row(row), row.password_hash, row.disabled_at is not None)


def _require_free_email(tx: Connection, email: str) -> str:
    if tx.execute(_BY_EMAIL, {"email": email}).one_or_none() is not None:
        raise Conflict("There is already a user with this e-mail address.")
    return email


def _update(tx: Connection, user: User, changed: Mapping[str, str], now: int) -> User:
    """Write the changed columns and publish the control event; a new role rotates the streams to its channels."""
    current = {"name": user.name, "email": user.email, "role": user.role, "skills": _to_json(user.skills)}
    new = {column: value for column, value in changed.items() if current[column] != value}
    if not new:
        return user
    row = tx.execute(update(users).where(users.c.id == user.id).values(**new).returning(*_COLUMNS)).one()
    event = {"userId": user.id} | ({"streams": "rotate"} if "role" in new else {})
    outbox.append(tx, channels.CONTROL, "user_changed", event, now=now)
    return User.from_row(row)


def _find_by(tx: Connection, statement: Statement, keys: Collection[str]) -> Mapping[str | None, str]:
    return dict(statement.all(tx, {"values": to_json_list(keys)})) if keys else {}


def _to_json(skills: Sequence[str]) -> str:
    return msgspec.json.encode(skills).decode()
