"""Removes a conversation from the event log of a member who left."""

from typing import Final

from sqlalchemy import Connection, bindparam, delete, exists, or_, select

from services.database.outbox import PendingEvents
from services.event_log import channels
from services.tables import events, messages

_TYPES: Final = ("message", "message_state")

_e = events.c
_MESSAGE_IDS = select(messages.c.id).where(messages.c.conversation_id == bindparam("conversation_id"))
# The statement scans the channel's log, whose length is bounded, and looks up the message of each event. Scanning the
# messages of the conversation instead would be unbounded.
_DELETE_EVENTS = (
    delete(events)
    .where(
        _e.channel == bindparam("channel"),
        _e.type.in_(_TYPES),
        or_(_e.subject == bindparam("conversation_id"), exists(_MESSAGE_IDS.where(messages.c.id == _e.subject))),
    )
    .returning(_e.position)
)
_MESSAGE_IDS_AMONG = _MESSAGE_IDS.where(messages.c.id.in_(bindparam("ids", expanding=True)))


def redact_conversation(tx: Connection, *, user_id: str, conversation_id: str) -> None:
    """Delete every event about this conversation from a user's log and from the pending events of this transaction."""
    pending: PendingEvents = tx.info["outbox"]
    channel = channels.user_channel(user_id)
    subjects = {event.subject for event in pending.events if event.channel == channel and event.type in _TYPES}
    ids = [subject for subject in subjects if subject is not None]
    if ids:
        message_ids = tx.execute(_MESSAGE_IDS_AMONG, {"conversation_id": conversation_id, "ids": ids}).scalars()
        end = len(pending.events)
        pending.forgotten_subjects.extend(((channel, subject), end) for subject in [*message_ids, conversation_id])
    deleted = tx.execute(_DELETE_EVENTS, {"channel": channel, "conversation_id": conversation_id}).scalars()
    pending.forgotten.extend(deleted)
