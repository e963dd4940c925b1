"""What commands may have done to a store: a fixed table of acts, done by the running hub or by the command itself."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Concatenate, Final

import msgspec
from sqlalchemy import Connection, select

from api.hub import Hub
from services import times
from services.accounts import account_access, api_keys, users
from services.accounts.callers import Caller
from services.accounts.users import UserRef
from services.attachments.records import StoredFile
from services.database.database import Database
from services.demo import fill
from services.demo import steps as demo_steps
from services.demo.steps import Step
from services.errors import Conflict, InvalidField, NotFound
from services.notifications import sending
from services.notifications.draft import Action, NotificationDraft
from services.notifications.schemas import Category, Priority
from services.notifications.sending import SendRequest
from services.payments import currency as payment_currency
from services.payments import reconciliation, registration
from services.schemas import Role
from services.tables import users as table_users

# Steps of the demo in one unit of work, which takes some 15 ms.
STEPS_AT_ONCE: Final = 25

_ANYBODY = (
    select(table_users.c.id)
    .where(table_users.c.disabled_at.is_(None))
    .order_by((table_users.c.role == "admin").desc(), table_users.c.id)
    .limit(1)
)


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
    opening_balance: int


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


class Listener(Arguments, frozen=True):
    """Whose stream to listen to, by id or by e-mail address; anybody's will do where it is about shared channels."""

    user: str | None = None


class UsersAfter(Arguments, frozen=True):
    """Where the next page of the list of users begins, and how long it is."""

    after: str
    most: int


class Notice(Arguments, frozen=True, kw_only=True):
    """A notification, and for whom: ids or e-mail addresses in `to`, another system's ids in `external_ids`."""

    to: list[str]
    external_ids: list[str] = []
    type: str
    category: Category
    priority: Priority
    title: str
    body: str
    data: dict[str, Any]
    url: str | None = None
    icon: str | None = None
    collapse_key: str | None = None
    expires_at: str | None = None
    actions: list[Action] = []


class DemoFill(Arguments, frozen=True):
    """Password hashes of all demo users by e-mail address, whether they go to those who exist too, the currency, and
    the files that people send each other, already in their place."""

    password_hashes: dict[str, str]
    renew: bool
    currency: str
    files: dict[str, StoredFile]


class Currency(Arguments, frozen=True):
    """An ISO 4217 code."""

    currency: str


class Looked(Arguments, frozen=True):
    """What a look through the books found, and when it began (ms)."""

    began: int
    faults: list[str]


class DemoSteps(Arguments, frozen=True):
    """Some of what the demo's crowd does, and the ids of what earlier steps made."""

    steps: list[Step]
    known: dict[str, str]


@dataclass(frozen=True, slots=True)
class ActionContext:
    """Where acts are done: an open store, and the hub that serves from it if there is one. `now` gives ms."""

    database: Database
    now: Callable[[], int]
    hub: Hub | None = None


@dataclass(frozen=True, slots=True)
class AdminAction:
    """One row of the table."""

    arguments: type[Arguments]
    do: Callable[[ActionContext, Any], Awaitable[Any]]


def _writes(arguments: type[Arguments], unit: Callable[Concatenate[Connection, ...], Any]) -> AdminAction:
    """A unit of work, told these arguments and the time."""

    async def do(place: ActionContext, told: Arguments) -> Any:
        return await place.database.write(unit, **_fields(told), now=place.now())

    return AdminAction(arguments, do)


def _reads(arguments: type[Arguments], query: Callable[Concatenate[Connection, ...], Any]) -> AdminAction:
    async def do(place: ActionContext, told: Arguments) -> Any:
        return await place.database.read(query, **_fields(told))

    return AdminAction(arguments, do)


def _fields(told: Arguments) -> dict[str, Any]:
    return {name: getattr(told, name) for name in told.__struct_fields__}


def find_user(tx: Connection, *, user: str) -> str:
    """The id of a user who is named by id or e-mail address. Raises NotFound."""
    account = users.find_by_email(tx, email=user) if "@" in user else users.find_by_id(tx, user_id=user)
    if account is None:
        raise NotFound(f"There is no user {user[: users.EMAIL_LENGTH]}.")
    return account.user.id


def listener_id(tx: Connection, *, user: str | None) -> str:
    """The id of that user; of an admin, or else of the first user, if any will do. Raises NotFound."""
    if user is not None:
        return find_user(tx, user=user)
    found = tx.execute(_ANYBODY).scalar_one_or_none()
    if found is None:
        raise NotFound("There are no users yet, and only users can listen: hub users create.")
    return str(found)


def send(
    tx: Connection, *, to: list[str], external_ids: list[str], expires_at: str | None, now: int, **words: Any
) -> list[str]:
    """Send one notification; the ids in the order of those it is for. Raises NotFound and InvalidField."""
    refs = [UserRef(f"/to/{at}", find_user(tx, user=each)) for at, each in enumerate(to)]
    refs += [UserRef(f"/externalIds/{at}", None, each) for at, each in enumerate(external_ids)]
    letter = NotificationDraft(
        expires_at=None if expires_at is None else times.parse_rfc3339(expires_at, "/expiresAt"), **words
    )
    sent = sending.send(tx, parcel=SendRequest(letter, refs, as_list=True), now=now)
    return [] if sent.ids is msgspec.UNSET else sent.ids


async def _address(place: ActionContext, told: NoArguments) -> str:
    """Where the hub itself listens, whatever may stand in front of it."""
    return replace(_serving(place).settings, public_url=None).origin


async def _ticket(place: ActionContext, told: Listener) -> str:
    """A ticket for one stream of theirs: who may read the data folder may listen, too."""
    hub = _serving(place)
    user_id = await place.database.read(listener_id, user=told.user)
    return hub.identities.ticket_for(user_id, Caller("service", service="hub tail"))


async def _play(place: ActionContext, told: DemoSteps) -> dict[str, str]:
    """A few steps in a unit, so that others who write need not wait for all of them."""
    made: dict[str, str] = {}
    for start in range(0, len(told.steps), STEPS_AT_ONCE):
        part = told.steps[start : start + STEPS_AT_ONCE]
        made |= await place.database.write(demo_steps.replay, steps=part, known=told.known | made, now=place.now())
    return made


def _serving(place: ActionContext) -> Hub:
    if place.hub is None:
        raise Conflict("No hub is serving from this data folder.")
    return place.hub


ACTIONS: Final[Mapping[str, AdminAction]] = {
    "books.settle": _writes(Looked, reconciliation.record_result),
    "books.why_frozen": _reads(NoArguments, reconciliation.freeze_reason),
    "demo.fill": _writes(DemoFill, fill.fill),
    "demo.has_crowd": _reads(NoArguments, demo_steps.has_crowd),
    "demo.is_filled": _reads(NoArguments, fill.is_filled),
    "demo.play": AdminAction(DemoSteps, _play),
    "hub.address": AdminAction(NoArguments, _address),
    "hub.ticket": AdminAction(Listener, _ticket),
    "keys.create": _writes(NewKey, api_keys.create),
    "keys.list": _reads(NoArguments, api_keys.list_keys),
    "keys.revoke": _writes(KeyName, api_keys.revoke),
    "ledger.settle": _writes(Currency, payment_currency.fix_currency),
    "notifications.send": _writes(Notice, send),
    "users.find": _reads(Whom, find_user),
    "users.list": _reads(UsersAfter, users.list_users),
    "users.create": _writes(NewUser, registration.register),
    "users.password": _writes(NewPassword, account_access.set_password),
    "users.disable": _writes(UserEmail, account_access.disable),
    "users.enable": _writes(UserEmail, account_access.enable),
}


async def execute(place: ActionContext, name: str, arguments: bytes) -> bytes:
    """Do an act; arguments and answer are JSON. Raises DomainError, what the act raises among it."""
    act = ACTIONS.get(name)
    if act is None:
        raise NotFound(f"There is no act called {name[:40]!r}; is the hub of another version?")
    try:
        told = msgspec.json.decode(arguments, type=act.arguments)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidField("", "type", f"{name}: {error}") from error
    return msgspec.json.encode(await act.do(place, told))
