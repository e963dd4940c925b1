"""What the streams of a conversation's members hear of it, each with their own counts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection

from services.database import outbox
from services.event_log import channels
from services.messages.membership import Unread
from services.messages.schemas import Member, Message
from services.schemas import Schema

MessageStateKind = Literal["read", "edited", "deleted", "members", "muted"]

_encoder = msgspec.json.Encoder()


class MessageStateEvent(Schema, frozen=True, kw_only=True):
    """The `message_state` event.

    read: `user_id` has read `up_to`. edited, deleted: the `message` as it is now. members: these `members` are in the
    conversation as they are now, those `removed` are not, and its `title`. muted: whether it is, for oneself. The
    counts are the listener's own, given where they may have changed.
    """

    conversation_id: str
    kind: MessageStateKind
    user_id: str | UnsetType = UNSET
    up_to: str | UnsetType = UNSET
    message: Message | UnsetType = UNSET
    members: Sequence[Member] | UnsetType = UNSET
    removed: Sequence[str] | UnsetType = UNSET
    title: str | UnsetType | None = UNSET
    muted: bool | UnsetType = UNSET
    unread: int | UnsetType = UNSET
    unread_total: int | UnsetType = UNSET

    def counted(self, counts: Unread) -> "MessageStateEvent":
        """The same with somebody's counts."""
        return msgspec.structs.replace(self, unread=counts.unread, unread_total=counts.total)


def publish_created(tx: Connection, message: Message, counts: Mapping[str, Unread], *, now: int) -> None:
    """Tell every member of a new message; `counts` are those after it, by member, and there is one at least."""
    # Encoded once for all: what differs from member to member stands at its end.
    shared = _encoder.encode(message)[:-1]
    for user_id, (unread, total) in counts.items():
        data = msgspec.Raw(b'%b,"unread":%d,"unreadTotal":%d}' % (shared, unread, total))
        outbox.append(tx, channels.user_channel(user_id), "message", data, now=now, subject=message.id)


def publish_changed(tx: Connection, event: MessageStateEvent, readers: Mapping[str, Unread], *, now: int) -> None:
    """Tell these members, each with their counts. What is about a message is forgotten with it."""
    for user_id, counts in readers.items():
        _append(tx, user_id, event.counted(counts), now)


def publish_to_others(tx: Connection, event: MessageStateEvent, user_ids: Iterable[str], *, now: int) -> None:
    """Tell these members of something that does not change what they have to read."""
    for user_id in user_ids:
        _append(tx, user_id, event, now)


def _append(tx: Connection, user_id: str, event: MessageStateEvent, now: int) -> None:
    about = event.message.id if isinstance(event.message, Message) else event.conversation_id
    outbox.append(tx, channels.user_channel(user_id), "message_state", event, now=now, subject=about)
