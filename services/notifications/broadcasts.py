"""Tells a channel something that another system made up: any type but the hub's own, and no rows but the event."""

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

DATA_BYTES = 16 * 1024

# Told by the hub about its own rows; scope `jobs` may send those about jobs, for jobs kept elsewhere.
JOB_TYPES = frozenset({"job_created", "job_updated", "job_deleted", "job_accepted", "job_completed", "job_refunded"})
OWN_TYPES = JOB_TYPES | {
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
    """Where in the log the event stands: a stream that resumes from there has it behind it."""

    cursor: str


def send(
    tx: Connection, *, caller: Caller, type: str, data: dict[str, Any], channel: str = channels.JOBS, now: int
) -> BroadcastAccepted:
    """Tell a channel; on disk with this transaction.

    Raises InvalidField (type, unknown channel, unknown user, length…) and Forbidden (a type that needs another scope).
    """
    _check_type(type, channel, caller)
    text.check_json_object(data, "/data", DATA_BYTES)
    outbox.append(tx, _existing(tx, channel), type, data, now=now)
    return BroadcastAccepted(outbox.next_cursor(tx))


def _check_type(type: str, channel: str, caller: Caller) -> None:
    if not _TYPE.fullmatch(type):
        raise InvalidField("/type", "type", "A type is a-z, 0-9 and _, begins with a letter, and has 64 at most.")
    may_tell_jobs = "jobs" in caller.scopes and type.startswith("job_") and channel == channels.JOBS
    if type in OWN_TYPES and not (type in JOB_TYPES and may_tell_jobs):
        raise InvalidField("/type", "range", f"The type {type} is the hub's own.")
    if caller.kind == "service" and "broadcast" not in caller.scopes and not may_tell_jobs:
        raise Forbidden("Scope jobs sends job_… types on the channel jobs; anything else needs scope broadcast.")


def _existing(tx: Connection, channel: str) -> str:
    """The channel by our own ids. Raises InvalidField where there is none."""
    named = channels.user_of_channel(channel)
    if named is not None:
        return channels.user_channel(users.resolve_refs(tx, refs=[UserRef("/channel", named, named)])[0])
    if not channels.is_channel(channel):
        raise InvalidField("/channel", "unknown channel", f"There is no channel called {channel[:80]!r}.")
    return channel
