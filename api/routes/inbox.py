"""The user’s inbox."""

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

# Ids in one request.
MAX_IDS = 1_000


class InboxQuery(PageQuery, frozen=True):
    """The notifications to list; `category` is a comma-separated list."""

    filter: listing.Filter = "all"
    category: str | None = None


class InboxSelection(Body, frozen=True):
    """Notifications by their ids, or all up to `before`, inclusive."""

    ids: Annotated[list[Id], Meta(min_length=1, max_length=MAX_IDS)] | None = None
    all: bool = False
    before: Id | None = None


class UndoRequest(Body, frozen=True):
    """The `undo` id that a change returned."""

    undo: Id


async def list_notifications(call: Call[None, InboxQuery]) -> listing.InboxPage:
    """List your notifications, newest first, with counts and the cursor to open the stream from."""
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


def change_handler(verb: Verb, summary: str) -> Callable[[Call[InboxSelection, None]], Awaitable[ChangeResult]]:
    """Return the handler of one verb; `summary` becomes its docstring."""

    async def handler(call: Call[InboxSelection, None]) -> ChangeResult:
        call.hub.rate_limits.inbox_changes.hit(call.user.id)
        body = call.body
        if body.ids is not None and not body.all and body.before is None:
            return await call.write(changes.change_ids, user_id=call.user.id, verb=verb, ids=body.ids)
        if body.ids is None and body.all and body.before is not None:
            step = await call.write(changes.change_up_to, user_id=call.user.id, verb=verb, before=body.before)
            return await _run_remaining(call, step, changes.continue_change)
        raise InvalidField("/ids", "type", "Give ids, or all: true with before.")

    handler.__name__, handler.__doc__ = verb, summary
    return handler


mark_read = change_handler("read", "Mark notifications as read.")
mark_unread = change_handler("unread", "Mark notifications as unread.")
mark_seen = change_handler("seen", "Mark notifications as seen.")
archive = change_handler("archive", "Archive notifications.")
unarchive = change_handler("unarchive", "Move notifications from the archive back to the inbox.")


async def undo(call: Call[UndoRequest, None]) -> ChangeResult:
    """Undo a change of your inbox within 30 seconds."""
    call.hub.rate_limits.inbox_changes.hit(call.user.id)
    step = await call.write(notification_undo.undo, user_id=call.user.id, undo_id=call.body.undo)
    return await _run_remaining(call, step, notification_undo.continue_undo)


async def record_action(call: Call[None, None]) -> Notification:
    """Record that an action of a notification was done."""
    call.hub.rate_limits.inbox_changes.hit(call.user.id)
    return await call.write(
        listing.record_action,
        user_id=call.user.id,
        notification_id=call.path("id"),
        action_id=call.path("actionId"),
    )


async def _run_remaining(
    call: Call[Any, None], step: StepResult, continue_step: Callable[..., StepResult]
) -> ChangeResult:
    """Run the remaining steps of a large change, each as a unit of work, so that other writers are not blocked."""
    while step.remaining is not None:
        step = await call.write(continue_step, remaining=step.remaining)
    return step.result
