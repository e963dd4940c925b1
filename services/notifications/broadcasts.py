"""Broadcasts a custom event to a channel."""

import re
from typing import Any

from sqlalchemy import Connection

from services import text
from services.accounts import users
from services.accounts.callers import Caller
from services.accounts.users import UserRef
from services.database import outbox
from services.errors import Forbidden, InvalidField
from services.event_log import channels
from services.schemas import Schema

MAX_DATA_BYTES = 16 * 1024

# The hub publishes these types for its own jobs. Scope `jobs` may send them for jobs of another system.
JOB_TYPES = frozenset({"job_created", "job_updated", "job_deleted", "job_accepted", "job_completed", "job_refunded"})
RESERVED_TYPES = JOB_TYPES | {
    "connection_confirmed",
    "reset",
    "notification",
    "notification_state",
    "message",
    "message_state",
    "typing",
    "presence",
    "announcement",
    "bye",
    "heartbeat",
}
_TYPE = re.compile(r"[a-z][a-z0-9_]{0,63}")


class BroadcastAccepted(Schema, frozen=True):
    """The cursor of the event: a stream that resumes from it does not receive the event again."""

    cursor: str


def send(
    tx: Connection, *, caller: Caller, type: str, data: dict[str, Any], channel: str = channels.JOBS, now: int
) -> BroadcastAccepted:
    """Append an event to a channel and return its cursor.

    Raises InvalidField for an invalid or reserved type, invalid data, and an unknown channel or user.
    Raises Forbidden for a type that needs another scope.
    """
    _check_type(type, channel, caller)
    text.check_json_object(data, "/data", MAX_DATA_BYTES)
    outbox.append(tx, _resolve_channel(tx, channel), type, data, now=now)
    return BroadcastAccepted(outbox.next_cursor(tx))


def _check_type(type: str, channel: str, caller: Caller) -> None:
    if not _TYPE.fullmatch(type):
        raise InvalidField(
            "/type", "type", "A type has 1 to 64 characters of a-z, 0-9 and _, and begins with a letter."
        )
    is_allowed_job_type = "jobs" in caller.scopes and type.startswith("job_") and channel == channels.JOBS
    if type in RESERVED_TYPES and not (type in JOB_TYPES and is_allowed_job_type):
        raise InvalidField("/type", "range", f"The type {type} is reserved for events of the hub.")
    if caller.kind == "service" and "broadcast" not in caller.scopes and not is_allowed_job_type:
        raise Forbidden("Scope jobs may send job_… types on the channel jobs. Anything else needs scope broadcast.")


def _resolve_channel(tx: Connection, channel: str) -> str:
    """Return the channel with an external user id replaced by the id of this hub.

    Raises InvalidField for an unknown channel or user.
    """
    user_id = channels.user_of_channel(channel)
    if user_id is not None:
        return channels.user_channel(users.resolve_refs(tx, refs=[UserRef("/channel", user_id, user_id)])[0])
    if not channels.is_channel(channel):
        raise InvalidField("/channel", "unknown channel", f"There is no channel called {channel[:80]!r}.")
    return channel
