"""Presence and typing over HTTP: what a page reports of its user, and what it may know of others."""

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

# Somebody stops typing this many seconds after they were last said to.
TYPING_SECONDS: Final = 8
MAX_USER_IDS: Final = 100


class ActivityReport(Body, frozen=True):
    """Whether there was input lately, and the cursor that this browser has stored."""

    active: bool
    cursor: Line64 | None = None


class VisibilityUpdate(Body, frozen=True):
    """Whether to be seen by nobody."""

    invisible: bool


class TypingUpdate(Body, frozen=True):
    """That one is writing something in a conversation, or is not any more."""

    conversation_id: Id
    typing: bool


class PresenceQuery(Query, frozen=True):
    """Whom to look at: a comma list of at most 100 ids."""

    user_ids: str


class TypingEvent(Schema, frozen=True):
    """The `typing` event; it is over by itself after `expires_in` seconds."""

    conversation_id: str
    user_id: str
    typing: bool
    expires_in: int


async def report_activity(call: Call[ActivityReport, None]) -> None:
    """Say whether one is active, and what this browser has stored: the proof of delivery."""
    hub, user_id = call.hub, call.user.id
    hub.rate_limits.presence_reports.hit(user_id)
    if call.body.active:
        hub.manager.presence.input_received(user_id, hub.monotonic())
    if call.body.cursor is not None:
        hub.acknowledgements.acknowledge(user_id, _cursor(call.body.cursor), hub.manager.head)


async def set_visibility(call: Call[VisibilityUpdate, None]) -> None:
    """Be seen by nobody, or again by those one shares a conversation or a hire with."""
    call.hub.rate_limits.changes.hit(call.user.id)
    await call.write(visibility.set_invisible, user_id=call.user.id, invisible=call.body.invisible)
    await call.hub.presence.publish_now(call.user.id)


async def get_presence(call: Call[None, PresenceQuery]) -> PresenceList:
    """Who of these users is there; those one shares neither a conversation nor a hire with are left out."""
    asked = list(dict.fromkeys(call.query.user_ids.split(",")))
    if len(asked) > MAX_USER_IDS:
        raise InvalidField("userIds", "length", f"Ask about {MAX_USER_IDS} users at most.")
    found = await call.read(visibility.load_visible, ids=asked, user_id=call.user.id)
    teller = call.hub.presence
    return PresenceList(items=[teller.get_presence(each, found[each]) for each in asked if each in found])


async def set_typing(call: Call[TypingUpdate, None]) -> None:
    """Say that one is typing; told at most once in 3 seconds, and kept nowhere."""
    hub, user_id, place = call.hub, call.user.id, call.body.conversation_id
    pace = hub.rate_limits.typing_started if call.body.typing else hub.rate_limits.typing_stopped
    if not pace.try_hit(f"{user_id}:{place}"):
        return
    others = await call.read(membership.visible_members, conversation_id=place, user_id=user_id)
    event = TypingEvent(conversation_id=place, user_id=user_id, typing=call.body.typing, expires_in=TYPING_SECONDS)
    data = msgspec.json.encode(event)
    hub.manager.publish([Event.ephemeral(channels.user_channel(each), "typing", data) for each in others])


def _cursor(text: str) -> Cursor:
    try:
        return Cursor.parse(text)
    except ValueError:
        raise InvalidField("/cursor", "type", "That is no cursor.") from None
