"""JSON objects of conversations and messages."""

from typing import Literal

from services.schemas import Person, Schema

MessageType = Literal["text", "image", "file"]
ConversationKind = Literal["direct", "group"]


class Attachment(Schema, frozen=True):
    """An uploaded file, sent or not."""

    id: str
    name: str
    type: str
    size: int
    width: int | None
    height: int | None
    thumbnail: bool


class Message(Schema, frozen=True):
    """A message of a conversation; a deleted one has no content and no attachments."""

    id: str
    conversation_id: str
    sender: Person
    type: MessageType
    content: str
    attachments: list[Attachment]
    reply_to: str | None
    client_message_id: str | None
    created_at: str
    edited_at: str | None
    deleted_at: str | None


class Member(Schema, frozen=True):
    """A member of a conversation, with the last messages that were read and delivered."""

    id: str
    name: str
    read_up_to: str | None
    delivered_up_to: str | None


class Conversation(Schema, frozen=True):
    """A conversation with the counters and settings of the current user."""

    id: str
    kind: ConversationKind
    title: str | None
    members: list[Member]
    last_message: Message | None
    unread: int
    muted: bool
    created_at: str
    updated_at: str


class Conversations(Schema, frozen=True):
    """A page of conversations, last active first.

    `unread` counts the unread messages of all conversations that are not muted. A stream opened from `cursor` misses
    no event after the page.
    """

    items: list[Conversation]
    next: str | None
    unread: int
    cursor: str


class Messages(Schema, frozen=True):
    """A page of messages, newest first; pass `next` in the parameter (`before` or `after`) of the request."""

    items: list[Message]
    next: str | None


class ReadReceipt(Schema, frozen=True):
    """Unread messages after a conversation was read: in it, and in all that are not muted."""

    unread: int
    unread_total: int


class BlockedUser(Schema, frozen=True):
    """A user that the current user has blocked."""

    id: str
    name: str
    created_at: str
