"""Notifications over HTTP: services and admins send them and take them back."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta

from api.http.bodies import Body, Icon, Id, Line40, Line64, Line200, Text2000, Url
from api.operations.call import Call
from services import times
from services.accounts import users
from services.accounts.users import UserRef
from services.errors import InvalidField
from services.notifications import removal, sending
from services.notifications.draft import ACTIONS, Action, NotificationDraft
from services.notifications.events import IDS_AT_ONCE
from services.notifications.removal import Retracted
from services.notifications.schemas import Category, Priority
from services.notifications.sending import MAX_RECIPIENTS, SendRequest, SingleSend
from services.notifications.sending import SendResult as SendResult

BATCH_BYTES = 1024 * 1024


class ActionInput(Body, frozen=True):
    """What can be done at once."""

    id: Line40
    label: Line40
    url: Url | None = None
    style: Literal["primary", "secondary"] = "secondary"


class SendNotification(Body, frozen=True):
    """One notification for one user or for many; a service may name them by its own ids."""

    type: Line64
    title: Line200
    body: Text2000
    category: Category
    user_id: Id | None = None
    external_id: Id | None = None
    user_ids: Annotated[list[Id], Meta(min_length=1)] | None = None
    external_ids: Annotated[list[Id], Meta(min_length=1)] | None = None
    data: dict[str, Any] | None = None
    url: Url | None = None
    icon: Icon | None = None
    priority: Priority = "normal"
    collapse_key: Line64 | None = None
    expires_at: str | None = None
    actions: Annotated[list[ActionInput], Meta(max_length=ACTIONS)] | None = None


# A list's own bound is that of all recipients: one letter has one at least.
Batch = Annotated[list[SendNotification], Meta(min_length=1, max_length=MAX_RECIPIENTS)]


class Retract(Body, frozen=True):
    """Some notifications by their ids, or what a user has with a collapse key."""

    ids: Annotated[list[Id], Meta(min_length=1, max_length=IDS_AT_ONCE)] | None = None
    user_id: Id | None = None
    external_id: Id | None = None
    collapse_key: Line64 | None = None


async def send(call: Call[SendNotification, None]) -> SendResult | bytes:
    """Send a notification; on disk when this is answered."""
    parcel = _parcel(call.body, "")
    await _count(call, [parcel])
    if not parcel.as_list and call.idempotency_key() is None:
        return await call.hub.database.write_coalesced(
            sending.send_coalesced, SingleSend(parcel.letter, parcel.recipients[0], call.now)
        )
    return await call.write_idempotent(sending.send, parcel=parcel)


async def send_batch(call: Call[list[SendNotification], None]) -> list[SendResult] | bytes:
    """Send several notifications, all or none."""
    parcels = [_parcel(body, f"/{at}") for at, body in enumerate(call.body)]
    await _count(call, parcels)
    return await call.write_idempotent(sending.send_batch, parcels=parcels)


async def retract(call: Call[Retract, None]) -> Retracted:
    """Take notifications back: out of inboxes, counts and the log."""
    body = call.body
    if body.ids is not None and (body.user_id, body.external_id, body.collapse_key) == (None, None, None):
        return await call.write(removal.retract, ids=body.ids)
    if body.ids is None and body.collapse_key is not None:
        user = _one(body.user_id, body.external_id, "")
        return await call.write(removal.retract_by_key, user=user, collapse_key=body.collapse_key)
    raise InvalidField("/ids", "type", "Give ids, or userId with collapseKey.")


async def _count(call: Call[Any, None], parcels: Sequence[SendRequest]) -> None:
    """Count what a service sends to each recipient, where there is a limit. Raises RateLimited and InvalidField."""
    if call.caller.kind != "service" or call.hub.recipients.unlimited:
        return
    refs = [ref for parcel in parcels for ref in parcel.recipients]
    found = iter(await call.read(users.resolve_refs, refs=refs))
    call.hub.recipients.hit([user_id for parcel in parcels for user_id in {next(found) for _ in parcel.recipients}])


def _parcel(body: SendNotification, at: str) -> SendRequest:
    given = [name for name in (body.user_id, body.external_id, body.user_ids, body.external_ids) if name is not None]
    if len(given) != 1:
        raise InvalidField(f"{at}/userId", "type", "Name the user by userId or externalId, or several by userIds.")
    letter = _letter(body, at)
    if body.user_ids is not None:
        refs = [UserRef(f"{at}/userIds/{index}", user_id) for index, user_id in enumerate(body.user_ids)]
    elif body.external_ids is not None:
        refs = [UserRef(f"{at}/externalIds/{index}", None, theirs) for index, theirs in enumerate(body.external_ids)]
    else:
        return SendRequest(letter, [_one(body.user_id, body.external_id, at)], as_list=False)
    return SendRequest(letter, refs, as_list=True)


def _one(user_id: str | None, external_id: str | None, at: str) -> UserRef:
    if (user_id is None) == (external_id is None):
        raise InvalidField(f"{at}/userId", "type", "Name the user by userId or by externalId.")
    return UserRef(f"{at}/externalId" if user_id is None else f"{at}/userId", user_id, external_id)


def _letter(body: SendNotification, at: str) -> NotificationDraft:
    return NotificationDraft(
        type=body.type,
        category=body.category,
        priority=body.priority,
        title=body.title,
        body=body.body,
        data=body.data or {},
        url=body.url,
        icon=body.icon,
        actions=[Action(id=one.id, label=one.label, url=one.url, style=one.style) for one in body.actions or ()],
        collapse_key=body.collapse_key,
        expires_at=None if body.expires_at is None else times.parse_rfc3339(body.expires_at, f"{at}/expiresAt"),
        pointer=at,
    )
