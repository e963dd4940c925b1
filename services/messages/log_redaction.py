"""Takes a conversation out of the log of somebody who left it: what they missed of it they shall not get any more."""

from typing import Final

from sqlalchemy import Connection, bindparam, delete, exists, or_, select

from services.database.outbox import PendingEvents
from services.event_log import channels
from services.tables import events, messages

_TYPES: Final = ("message", "message_state")

_e = events.c
_SAID = select(messages.c.id).where(messages.c.conversation_id == bindparam("which"))
# The channel's log is walked, which is only so long, and each message in it looked up; not the other way round, for
# a conversation may be long.
_FORGET = (
    delete(events)
    .where(
        _e.channel == bindparam("one"),
        _e.type.in_(_TYPES),
        or_(_e.subject == bindparam("which"), exists(_SAID.where(messages.c.id == _e.subject))),
    )
    .returning(_e.position)
)
_SAID_AMONG = _SAID.where(messages.c.id.in_(bindparam("ids", expanding=True)))


def redact_conversation(tx: Connection, *, user_id: str, conversation_id: str) -> None:
    """Take every event about this conversation out of a user's log, and out of what this transaction was to tell."""
    collected: PendingEvents = tx.info["outbox"]
    channel = channels.user_channel(user_id)
    waiting = {draft.subject for draft in collected.drafts if draft.channel == channel and draft.type in _TYPES}
    about = [subject for subject in waiting if subject is not None]
    if about:
        said = tx.execute(_SAID_AMONG, {"which": conversation_id, "ids": about}).scalars()
        until = len(collected.drafts)
        collected.cuts.extend(((channel, subject), until) for subject in [*said, conversation_id])
    gone = tx.execute(_FORGET, {"one": channel, "which": conversation_id}).scalars()
    collected.forgotten.extend(gone)
