"""Presence and typing."""

from typing import Final

import msgspec

from api.http.bodies import Body, Id, Line64, Query
from api.operations.call import Call
from realtime.cursor import Cursor
from realtime.event import Event
from services.errors import InvalidField
from services.event_log import channels
from services.messages import membership
from services.presence import visibility
from services.presence.schemas import PresenceList
from services.schemas import Schema

# A typing event expires after this time.
TYPING_SECONDS: Final = 8
MAX_USER_IDS: Final = 100


class ActivityReport(Body, frozen=True):
    """Whether there was recent input, and the last cursor that this browser has stored."""

    active: bool
    cursor: Line64 | None = None


class VisibilityUpdate(Body, frozen=True):
    """Whether the user is invisible to everyone."""

    invisible: bool


class TypingUpdate(Body, frozen=True):
    """Whether the user is typing in a conversation."""

    conversation_id: Id
    typing: bool


class PresenceQuery(Query, frozen=True):
    """The requested users: at most 100 ids separated by commas."""

    user_ids: str


class TypingEvent(Schema, frozen=True):
    """The `typing` event; it expires after `expires_in` seconds."""

    conversation_id: str
    user_id: str
    typing: bool
    expires_in: int


async def report_activity(call: Call[ActivityReport, None]) -> None:
    """Report activity and the last cursor this browser has stored."""
    hub, user_id = call.hub, call.user.id
    hub.rate_limits.presence_reports.hit(user_id)
    if call.body.active:
        hub.manager.presence.input_received(user_id, hub.monotonic())
    if call.body.cursor is not None:
        hub.acknowledgements.acknowledge(user_id, _cursor(call.body.cursor), hub.manager.head)


async def set_visibility(call: Call[VisibilityUpdate, None]) -> None:
    """Become invisible to everyone, or visible to users who share a conversation or a hire with you."""
    call.hub.rate_limits.changes.hit(call.user.id)
    await call.write(visibility.set_invisible, user_id=call.user.id, invisible=call.body.invisible)
    await call.hub.presence.publish_now(call.user.id)


async def get_presence(call: Call[None, PresenceQuery]) -> PresenceList:
    """Get the presence of users who share a conversation or a hire with you; others are left out."""
    user_ids = list(dict.fromkeys(call.query.user_ids.split(",")))
    if len(user_ids) > MAX_USER_IDS:
        raise InvalidField("userIds", "length", f"At most {MAX_USER_IDS} users can be requested.")
    visible = await call.read(visibility.load_visible, ids=user_ids, user_id=call.user.id)
    broadcaster = call.hub.presence
    return PresenceList(items=[broadcaster.get_presence(id, visible[id]) for id in user_ids if id in visible])


async def set_typing(call: Call[TypingUpdate, None]) -> None:
    """Publish that you are typing, at most once in 3 seconds; the event is not stored."""
    hub, user_id, conversation_id = call.hub, call.user.id, call.body.conversation_id
    limit = hub.rate_limits.typing_started if call.body.typing else hub.rate_limits.typing_stopped
    if not limit.try_hit(f"{user_id}:{conversation_id}"):
        return
    other_ids = await call.read(membership.visible_members, conversation_id=conversation_id, user_id=user_id)
    event = TypingEvent(
        conversation_id=conversation_id, user_id=user_id, typing=call.body.typing, expires_in=TYPING_SECONDS
    )
    data = msgspec.json.encode(event)
    hub.manager.publish([Event.ephemeral(channels.user_channel(other_id), "typing", data) for other_id in other_ids])


def _cursor(text: str) -> Cursor:
    try:
        return Cursor.parse(text)
    except ValueError:
        raise InvalidField("/cursor", "type", "This is not a cursor.") from None
