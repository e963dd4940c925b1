"""Conversation events for each member, with that member's counters."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection

from services.database import outbox
from services.event_log import channels
from services.messages.membership import UnreadCounts
from services.messages.schemas import Member, Message
from services.schemas import Schema

MessageStateKind = Literal["read", "edited", "deleted", "members", "muted"]

_encoder = msgspec.json.Encoder()


class MessageStateEvent(Schema, frozen=True, kw_only=True):
    """The `message_state` event.

    - read: `user_id` has read up to the message `up_to`.
    - edited, deleted: `message` in its new state.
    - members: `members` joined or changed, `removed` left; `title` is the current title.
    - muted: whether the receiving user has muted the conversation.

    `unread` and `unread_total` belong to the receiving user; they are set where they may have changed.
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

    def with_counts(self, counts: UnreadCounts) -> "MessageStateEvent":
        """Return a copy with the counts of one user."""
        return msgspec.structs.replace(self, unread=counts.unread, unread_total=counts.total)


def publish_created(tx: Connection, message: Message, counts: Mapping[str, UnreadCounts], *, now: int) -> None:
    """Publish a new message to every member.

    `counts` holds the counts after the message by member id; it must not be empty.
    """
    # The message is encoded once; only the counts at the end differ between members.
    shared = _encoder.encode(message)[:-1]
    for user_id, (unread, total) in counts.items():
        data = msgspec.Raw(b'%b,"unread":%d,"unreadTotal":%d}' % (shared, unread, total))
        outbox.append(tx, channels.user_channel(user_id), "message", data, now=now, subject=message.id)


def publish_changed(tx: Connection, event: MessageStateEvent, counts: Mapping[str, UnreadCounts], *, now: int) -> None:
    """Publish an event to each of these members together with that member's counts."""
    for user_id, user_counts in counts.items():
        _append(tx, user_id, event.with_counts(user_counts), now)


def publish_to_others(tx: Connection, event: MessageStateEvent, user_ids: Iterable[str], *, now: int) -> None:
    """Publish an event without counts to these members."""
    for user_id in user_ids:
        _append(tx, user_id, event, now)


def _append(tx: Connection, user_id: str, event: MessageStateEvent, now: int) -> None:
    # The subject decides with what the event is deleted from the log: its message or its conversation.
    subject = event.message.id if isinstance(event.message, Message) else event.conversation_id
    outbox.append(tx, channels.user_channel(user_id), "message_state", event, now=now, subject=subject)
