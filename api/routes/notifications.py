"""Sending and retracting notifications."""

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
from services.notifications.draft import MAX_ACTIONS, Action, NotificationDraft
from services.notifications.events import MAX_IDS_PER_EVENT
from services.notifications.removal import Retracted
from services.notifications.schemas import Category, Priority
from services.notifications.sending import MAX_RECIPIENTS, SendRequest, SendResult, SingleSend

MAX_BATCH_BYTES = 1024 * 1024


class ActionInput(Body, frozen=True):
    """A button of a notification."""

    id: Line40
    label: Line40
    url: Url | None = None
    style: Literal["primary", "secondary"] = "secondary"


class SendNotification(Body, frozen=True):
    """One notification for one user or several; a service may name users by its external ids."""

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
    actions: Annotated[list[ActionInput], Meta(max_length=MAX_ACTIONS)] | None = None


# Each notification has at least one recipient, so the limit of recipients also limits the list.
Batch = Annotated[list[SendNotification], Meta(min_length=1, max_length=MAX_RECIPIENTS)]


class Retract(Body, frozen=True):
    """Notifications by their ids, or those of a user with a collapse key."""

    ids: Annotated[list[Id], Meta(min_length=1, max_length=MAX_IDS_PER_EVENT)] | None = None
    user_id: Id | None = None
    external_id: Id | None = None
    collapse_key: Line64 | None = None


async def send(call: Call[SendNotification, None]) -> SendResult | bytes:
    """Send a notification; durable before the response."""
    request = _to_request(call.body, "")
    await _count_recipients(call, [request])
    if not request.as_list and call.idempotency_key() is None:
        return await call.hub.database.write_coalesced(
            sending.send_coalesced, SingleSend(request.draft, request.recipients[0], call.now)
        )
    return await call.write_idempotent(sending.send, request=request)


async def send_batch(call: Call[list[SendNotification], None]) -> list[SendResult] | bytes:
    """Send several notifications, all or none."""
    requests = [_to_request(body, f"/{index}") for index, body in enumerate(call.body)]
    await _count_recipients(call, requests)
    return await call.write_idempotent(sending.send_batch, requests=requests)


async def retract(call: Call[Retract, None]) -> Retracted:
    """Retract notifications: remove them from inboxes, counts and event log."""
    body = call.body
    if body.ids is not None and (body.user_id, body.external_id, body.collapse_key) == (None, None, None):
        return await call.write(removal.retract, ids=body.ids)
    if body.ids is None and body.collapse_key is not None:
        user = _to_user_ref(body.user_id, body.external_id, "")
        return await call.write(removal.retract_by_key, user=user, collapse_key=body.collapse_key)
    raise InvalidField("/ids", "type", "Give ids, or userId with collapseKey.")


async def _count_recipients(call: Call[Any, None], requests: Sequence[SendRequest]) -> None:
    """Count the notifications of a service per recipient if there is a limit. Raises RateLimited and InvalidField."""
    if call.caller.kind != "service" or call.hub.rate_limits.recipients.is_unlimited:
        return
    refs = [ref for request in requests for ref in request.recipients]
    resolved = iter(await call.read(users.resolve_refs, refs=refs))
    call.hub.rate_limits.recipients.hit(
        [user_id for request in requests for user_id in {next(resolved) for _ in request.recipients}]
    )


def _to_request(body: SendNotification, pointer: str) -> SendRequest:
    fields = (body.user_id, body.external_id, body.user_ids, body.external_ids)
    if sum(field is not None for field in fields) != 1:
        raise InvalidField(f"{pointer}/userId", "type", "Name the user by userId or externalId, or several by userIds.")
    draft = _to_draft(body, pointer)
    if body.user_ids is not None:
        refs = [UserRef(f"{pointer}/userIds/{index}", user_id) for index, user_id in enumerate(body.user_ids)]
    elif body.external_ids is not None:
        refs = [
            UserRef(f"{pointer}/externalIds/{index}", None, external_id)
            for index, external_id in enumerate(body.external_ids)
        ]
    else:
        return SendRequest(draft, [_to_user_ref(body.user_id, body.external_id, pointer)], as_list=False)
    return SendRequest(draft, refs, as_list=True)


def _to_user_ref(user_id: str | None, external_id: str | None, pointer: str) -> UserRef:
    if (user_id is None) == (external_id is None):
        raise InvalidField(f"{pointer}/userId", "type", "Name the user by userId or by externalId.")
    return UserRef(f"{pointer}/externalId" if user_id is None else f"{pointer}/userId", user_id, external_id)


def _to_draft(body: SendNotification, pointer: str) -> NotificationDraft:
    actions = body.actions or ()
    expires_at = body.expires_at
    return NotificationDraft(
        type=body.type,
        category=body.category,
        priority=body.priority,
        title=body.title,
        body=body.body,
        data=body.data or {},
        url=body.url,
        icon=body.icon,
        actions=[Action(id=action.id, label=action.label, url=action.url, style=action.style) for action in actions],
        collapse_key=body.collapse_key,
        expires_at=None if expires_at is None else times.parse_rfc3339(expires_at, f"{pointer}/expiresAt"),
        pointer=pointer,
    )
