"""What commands may have done to a store: a fixed table of acts, done by the running hub or by the command itself."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, Final, TypeVar

import msgspec
from sqlalchemy import Connection

from api.hub import Hub
from services import access, keys, users
from services.callers import Caller
from services.database import Database
from services.errors import Conflict, InvalidField, NotFound
from services.shapes import Role

T = TypeVar("T")


class Arguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an act is told; no secret in clear is ever among it."""


class NoArguments(Arguments, frozen=True):
    """Nothing to tell."""


class NewKey(Arguments, frozen=True):
    """A key to keep: the command makes it, and only its hash leaves the command."""

    name: str
    scopes: list[str]
    hash: bytes


class KeyName(Arguments, frozen=True):
    """Which key."""

    name: str


class NewUser(Arguments, frozen=True):
    """A user to make."""

    email: str
    name: str
    role: Role
    password_hash: str


class NewPassword(Arguments, frozen=True):
    """Whose password, and the hash of the new one."""

    email: str
    password_hash: str


class UserEmail(Arguments, frozen=True):
    """Which user."""

    email: str


class Whom(Arguments, frozen=True):
    """A user by id or by e-mail address."""

    user: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where acts are done: an open store, and the hub that serves from it if there is one. `now` gives ms."""

    database: Database
    now: Callable[[], int]
    hub: Hub | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """One row of the table."""

    arguments: type[Arguments]
    do: Callable[[Place, Any], Awaitable[Any]]


def _writes(arguments: type[Arguments], unit: Callable[Concatenate[Connection, ...], Any]) -> Act:
    """A unit of work, told these arguments and the time."""

    async def do(place: Place, told: Arguments) -> Any:
        return await place.database.write(unit, **_fields(told), now=place.now())

    return Act(arguments, do)


def _reads(arguments: type[Arguments], query: Callable[Concatenate[Connection, ...], Any]) -> Act:
    async def do(place: Place, told: Arguments) -> Any:
        return await place.database.read(query, **_fields(told))

    return Act(arguments, do)


def _fields(told: Arguments) -> dict[str, Any]:
    return {name: getattr(told, name) for name in told.__struct_fields__}


def find_user(tx: Connection, *, user: str) -> str:
    """The id of a user who is named by id or e-mail address. Raises NotFound."""
    account = users.by_email(tx, email=user) if "@" in user else users.by_id(tx, user_id=user)
    if account is None:
        raise NotFound(f"There is no user {user[: users.EMAIL_LENGTH]}.")
    return account.user.id


async def _address(place: Place, told: NoArguments) -> str:
    return _serving(place).settings.origin


async def _ticket(place: Place, told: Whom) -> str:
    """A ticket for one stream of theirs: who may read the data folder may listen, too."""
    hub = _serving(place)
    user_id = await place.database.read(find_user, user=told.user)
    return hub.identities.ticket_for(user_id, Caller("service", service="hub tail"))


def _serving(place: Place) -> Hub:
    if place.hub is None:
        raise Conflict("No hub is serving from this data folder.")
    return place.hub


ACTS: Final[Mapping[str, Act]] = {
    "hub.address": Act(NoArguments, _address),
    "hub.ticket": Act(Whom, _ticket),
    "keys.create": _writes(NewKey, keys.create),
    "keys.list": _reads(NoArguments, keys.all_of_them),
    "keys.revoke": _writes(KeyName, keys.revoke),
    "users.create": _writes(NewUser, users.create),
    "users.password": _writes(NewPassword, access.set_password),
    "users.disable": _writes(UserEmail, access.disable),
    "users.enable": _writes(UserEmail, access.enable),
}


async def perform(place: Place, name: str, arguments: bytes) -> bytes:
    """Do an act; arguments and answer are JSON. Raises DomainError, what the act raises among it."""
    act = ACTS.get(name)
    if act is None:
        raise NotFound(f"There is no act called {name[:40]!r}; is the hub of another version?")
    try:
        told = msgspec.json.decode(arguments, type=act.arguments)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidField("", "type", f"{name}: {error}") from error
    return msgspec.json.encode(await act.do(place, told))
