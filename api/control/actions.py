"""Administrative actions, executed by the running hub or by the command itself."""

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

# Demo steps in one unit of work, which takes about 15 ms.
DEMO_STEPS_PER_UNIT: Final = 25

_ANY_USER = (
    select(table_users.c.id)
    .where(table_users.c.disabled_at.is_(None))
    .order_by((table_users.c.role == "admin").desc(), table_users.c.id)
    .limit(1)
)


class Arguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of an action; they never contain a secret in clear text."""


class NoArguments(Arguments, frozen=True):
    """No arguments."""


class NewKey(Arguments, frozen=True):
    """An API key to create; the command generates it and passes only its hash."""

    name: str
    scopes: list[str]
    hash: bytes


class KeyName(Arguments, frozen=True):
    """The name of an API key."""

    name: str


class NewUser(Arguments, frozen=True):
    """A user to create; `opening_balance` is in minor units."""

    email: str
    name: str
    role: Role
    password_hash: str
    opening_balance: int


class NewPassword(Arguments, frozen=True):
    """The e-mail address of a user and the hash of their new password."""

    email: str
    password_hash: str


class UserEmail(Arguments, frozen=True):
    """The e-mail address of a user."""

    email: str


class UserName(Arguments, frozen=True):
    """A user by id or e-mail address."""

    user: str


class StreamOwner(Arguments, frozen=True):
    """The user whose stream is opened, by id or e-mail address; None for any user, to follow shared channels."""

    user: str | None = None


class UsersAfter(Arguments, frozen=True):
    """One page of the list of users: at most `limit` users after the id `after` (empty: from the first)."""

    after: str
    limit: int


class NotificationToSend(Arguments, frozen=True, kw_only=True):
    """A notification and its recipients: ids or e-mail addresses in `to`, external ids in `external_ids`."""

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
    """The demo data to create.

    `password_hashes` are keyed by e-mail address; `renew` also sets them for existing users. `files` are already
    in the folder of attachments.
    """

    password_hashes: dict[str, str]
    renew: bool
    currency: str
    files: dict[str, StoredFile]


class Currency(Arguments, frozen=True):
    """An ISO 4217 currency code."""

    currency: str


class ReconciliationResult(Arguments, frozen=True):
    """The faults that a reconciliation run found, and when it started (milliseconds)."""

    started_at: int
    faults: list[str]


class DemoSteps(Arguments, frozen=True):
    """Steps of the demo's crowd, and the ids of what earlier steps created."""

    steps: list[Step]
    known_ids: dict[str, str]


@dataclass(frozen=True, slots=True)
class ActionContext:
    """An open store, and the hub that serves from it, if any. `now` returns wall time in milliseconds."""

    database: Database
    now: Callable[[], int]
    hub: Hub | None = None


@dataclass(frozen=True, slots=True)
class AdminAction:
    """One administrative action: its arguments and the function that runs it."""

    arguments: type[Arguments]
    run: Callable[[ActionContext, Any], Awaitable[Any]]


def _writes(arguments: type[Arguments], unit: Callable[Concatenate[Connection, ...], Any]) -> AdminAction:
    """Return an action that runs a unit of work with the arguments and `now`."""

    async def run(context: ActionContext, received: Arguments) -> Any:
        return await context.database.write(unit, **_fields(received), now=context.now())

    return AdminAction(arguments, run)


def _reads(arguments: type[Arguments], query: Callable[Concatenate[Connection, ...], Any]) -> AdminAction:
    """Return an action that runs a query with the arguments."""

    async def run(context: ActionContext, received: Arguments) -> Any:
        return await context.database.read(query, **_fields(received))

    return AdminAction(arguments, run)


def _fields(arguments: Arguments) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in arguments.__struct_fields__}


def find_user(tx: Connection, *, user: str) -> str:
    """Return the id of a user named by id or e-mail address. Raises NotFound."""
    account = users.find_by_email(tx, email=user) if "@" in user else users.find_by_id(tx, user_id=user)
    if account is None:
        raise NotFound(f"There is no user {user[: users.MAX_EMAIL]}.")
    return account.user.id


def find_stream_owner(tx: Connection, *, user: str | None) -> str:
    """Return the id of that user; for None, of an admin or else of the first user. Raises NotFound."""
    if user is not None:
        return find_user(tx, user=user)
    user_id = tx.execute(_ANY_USER).scalar_one_or_none()
    if user_id is None:
        raise NotFound("There are no users yet. Create one with `hub users create`, then follow their stream.")
    return str(user_id)


def send_notification(
    tx: Connection, *, to: list[str], external_ids: list[str], expires_at: str | None, now: int, **content: Any
) -> list[str]:
    """Send one notification; return its ids in the order of the recipients. Raises NotFound and InvalidField."""
    refs = [UserRef(f"/to/{index}", find_user(tx, user=user)) for index, user in enumerate(to)]
    refs += [UserRef(f"/externalIds/{index}", None, id) for index, id in enumerate(external_ids)]
    draft = NotificationDraft(
        expires_at=None if expires_at is None else times.parse_rfc3339(expires_at, "/expiresAt"), **content
    )
    sent = sending.send(tx, request=SendRequest(draft, refs, as_list=True), now=now)
    return [] if sent.ids is msgspec.UNSET else sent.ids


async def _local_address(context: ActionContext, _arguments: NoArguments) -> str:
    """Return the address that the hub listens on, without a proxy in front of it."""
    return replace(_running_hub(context).settings, public_url=None).origin


async def _issue_ticket(context: ActionContext, owner: StreamOwner) -> str:
    """Return a ticket for one stream. A command that can read the data directory may follow any stream."""
    hub = _running_hub(context)
    user_id = await context.database.read(find_stream_owner, user=owner.user)
    return hub.authenticator.issue_ticket(user_id, Caller("service", service="hub tail"))


async def _run_demo_steps(context: ActionContext, received: DemoSteps) -> dict[str, str]:
    """Run the steps in several units of work, so that other writers do not wait for all of them."""
    created_ids: dict[str, str] = {}
    for start in range(0, len(received.steps), DEMO_STEPS_PER_UNIT):
        steps = received.steps[start : start + DEMO_STEPS_PER_UNIT]
        known_ids = received.known_ids | created_ids
        created_ids |= await context.database.write(
            demo_steps.replay, steps=steps, known_ids=known_ids, now=context.now()
        )
    return created_ids


def _running_hub(context: ActionContext) -> Hub:
    if context.hub is None:
        raise Conflict("No hub is running in this data directory.")
    return context.hub


ACTIONS: Final[Mapping[str, AdminAction]] = {
    "demo.fill": _writes(DemoFill, fill.fill),
    "demo.has_crowd": _reads(NoArguments, demo_steps.has_crowd),
    "demo.is_filled": _reads(NoArguments, fill.is_filled),
    "demo.run_steps": AdminAction(DemoSteps, _run_demo_steps),
    "hub.address": AdminAction(NoArguments, _local_address),
    "hub.ticket": AdminAction(StreamOwner, _issue_ticket),
    "keys.create": _writes(NewKey, api_keys.create),
    "keys.list": _reads(NoArguments, api_keys.list_keys),
    "keys.revoke": _writes(KeyName, api_keys.revoke),
    "ledger.fix_currency": _writes(Currency, payment_currency.fix_currency),
    "ledger.freeze_reason": _reads(NoArguments, reconciliation.freeze_reason),
    "ledger.record_result": _writes(ReconciliationResult, reconciliation.record_result),
    "notifications.send": _writes(NotificationToSend, send_notification),
    "users.find": _reads(UserName, find_user),
    "users.list": _reads(UsersAfter, users.list_users),
    "users.create": _writes(NewUser, registration.register),
    "users.password": _writes(NewPassword, account_access.set_password),
    "users.disable": _writes(UserEmail, account_access.disable),
    "users.enable": _writes(UserEmail, account_access.enable),
}


async def execute(context: ActionContext, name: str, arguments: bytes) -> bytes:
    """Run an action; arguments and result are JSON. Raises DomainError, including those of the action."""
    action = ACTIONS.get(name)
    if action is None:
        raise NotFound(f"There is no action called {name[:40]!r}. The running hub may have another version.")
    try:
        decoded = msgspec.json.decode(arguments, type=action.arguments)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidField("", "type", f"{name}: {error}") from error
    return msgspec.json.encode(await action.run(context, decoded))
