"""One's own inbox over HTTP: the list, and what is changed in it."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from msgspec import Meta

from api.http.bodies import Body, Id, PageQuery
from api.operations.call import Call
from services.errors import InvalidField
from services.notifications import changes, listing
from services.notifications import undo as notification_undo
from services.notifications.change_rules import Verb
from services.notifications.change_steps import ChangeResult, StepResult
from services.notifications.schemas import Notification

# Rows that one call may name.
IDS = 1_000


class InboxPage(PageQuery, frozen=True):
    """Which notifications to list; `category` is a comma list."""

    filter: listing.Filter = "all"
    category: str | None = None


class InboxSelection(Body, frozen=True):
    """Some notifications by their ids, or all up to one of them, inclusive."""

    ids: Annotated[list[Id], Meta(min_length=1, max_length=IDS)] | None = None
    all: bool = False
    before: Id | None = None


class Undo(Body, frozen=True):
    """What the change to take back answered as `undo`."""

    undo: Id


async def page(call: Call[None, InboxPage]) -> listing.InboxPage:
    """One's notifications, newest first, with counts and the cursor to open the stream from."""
    query = call.query
    categories = query.category.split(",") if query.category else ()
    return await call.read(
        listing.list_page,
        user_id=call.user.id,
        filter=query.filter,
        categories=categories,
        limit=query.limit,
        after=query.after,
    )


def change(verb: Verb, summary: str) -> Callable[[Call[InboxSelection, None]], Awaitable[ChangeResult]]:
    """The handler of one verb."""

    async def handler(call: Call[InboxSelection, None]) -> ChangeResult:
        call.hub.paces.inbox.hit(call.user.id)
        body = call.body
        if body.ids is not None and not body.all and body.before is None:
            return await call.write(changes.change_ids, user_id=call.user.id, verb=verb, ids=body.ids)
        if body.ids is None and body.all and body.before is not None:
            begun = await call.write(changes.change_up_to, user_id=call.user.id, verb=verb, before=body.before)
            return await _to_the_end(call, begun, changes.continue_change)
        raise InvalidField("/ids", "type", "Give ids, or all: true with before.")

    handler.__name__, handler.__doc__ = verb, summary
    return handler


async def undo(call: Call[Undo, None]) -> ChangeResult:
    """Put back what a change did, within 30 seconds of it."""
    call.hub.paces.inbox.hit(call.user.id)
    begun = await call.write(notification_undo.undo, user_id=call.user.id, undo=call.body.undo)
    return await _to_the_end(call, begun, notification_undo.continue_undo)


async def do_action(call: Call[None, None]) -> Notification:
    """Keep that an action of a notification was done."""
    call.hub.paces.inbox.hit(call.user.id)
    return await call.write(
        listing.record_action,
        user_id=call.user.id,
        notification_id=call.path("id"),
        action_id=call.path("actionId"),
    )


async def _to_the_end(call: Call[Any, None], step: StepResult, go_on: Callable[..., StepResult]) -> ChangeResult:
    """A change of a large inbox is done in steps, each a unit of work, so that it stalls nobody."""
    while step.rest is not None:
        step = await call.write(go_on, rest=step.rest)
    return step.changes
