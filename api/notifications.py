"""Notifications over HTTP: services and admins send them."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import Connection

from api.bodies import Body, Icon, Id, Line40, Line64, Line200, Text2000, Url
from api.call import Call
from services import notifications, times, users
from services.errors import InvalidField
from services.letters import Action, Letter
from services.shapes import Category, Priority, Shape

RECIPIENTS = 1_000


class Button(Struct, frozen=True, forbid_unknown_fields=True):
    """What can be done at once."""

    id: Line40
    label: Line40
    url: Url | None = None
    style: Literal["primary", "secondary"] = "secondary"


class Send(Body, frozen=True):
    """One notification for one user or for many; a service may name them by its own ids."""

    type: Line64
    title: Line200
    body: Text2000
    category: Category
    user_id: Id | None = None
    external_id: Id | None = None
    user_ids: Annotated[list[Id], Meta(min_length=1, max_length=RECIPIENTS)] | None = None
    data: dict[str, Any] | None = None
    url: Url | None = None
    icon: Icon | None = None
    priority: Priority = "normal"
    collapse_key: Line64 | None = None
    expires_at: str | None = None
    actions: Annotated[list[Button], Meta(max_length=2)] = []  # noqa: RUF012  # msgspec copies it


class Sent(Shape, frozen=True):
    """The ids of what was made: one, or one for each of `userIds` in their order."""

    id: str | UnsetType = UNSET
    ids: list[str] | UnsetType = UNSET


async def send(call: Call[Send, None]) -> Sent | bytes:
    """Send a notification; on disk when this is answered."""
    return await call.create(_send, body=call.body)


def _send(tx: Connection, *, body: Send, now: int) -> Sent:
    found = users.resolve(tx, refs=_named(body))
    unique = list(dict.fromkeys(found))
    ids = notifications.add_many(tx, user_ids=unique, letter=_letter(body), now=now)
    if body.user_ids is None:
        return Sent(id=ids[0])
    made = dict(zip(unique, ids, strict=True))
    return Sent(ids=[made[user_id] for user_id in unique])


def _named(body: Send) -> list[users.Ref]:
    given = [name for name in (body.user_id, body.external_id, body.user_ids) if name is not None]
    if len(given) != 1:
        raise InvalidField("/userId", "type", "Name the user by userId or externalId, or several by userIds.")
    if body.user_ids is not None:
        return [users.Ref(f"/userIds/{at}", user_id) for at, user_id in enumerate(body.user_ids)]
    pointer = "/userId" if body.external_id is None else "/externalId"
    return [users.Ref(pointer, body.user_id, body.external_id)]


def _letter(body: Send) -> Letter:
    return Letter(
        type=body.type,
        category=body.category,
        priority=body.priority,
        title=body.title,
        body=body.body,
        data=body.data or {},
        url=body.url,
        icon=body.icon,
        actions=[Action(id=one.id, label=one.label, url=one.url, style=one.style) for one in body.actions],
        collapse_key=body.collapse_key,
        expires_at=None if body.expires_at is None else times.parse(body.expires_at, "/expiresAt"),
    )
