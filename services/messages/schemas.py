"""What the outside sees of conversations: messages, members, attachments, blocks, presence."""

from typing import Literal

from services.schemas import Person, Schema

MessageType = Literal["text", "image", "file"]
Kind = Literal["direct", "group"]


class Attachment(Schema, frozen=True):
    """A file that was sent or is about to be."""

    id: str
    name: str
    type: str
    size: int
    width: int | None
    height: int | None
    thumbnail: bool


class Message(Schema, frozen=True):
    """Something that was said; a deleted one has no words and no files any more."""

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
    """Somebody in a conversation, and the last messages they have read and been given."""

    id: str
    name: str
    read_up_to: str | None
    delivered_up_to: str | None


class Conversation(Schema, frozen=True):
    """A conversation as one of its members sees it."""

    id: str
    kind: Kind
    title: str | None
    members: list[Member]
    last_message: Message | None
    unread: int
    muted: bool
    created_at: str
    updated_at: str


class Conversations(Schema, frozen=True):
    """A page of one's conversations, the last active first; `unread` is what is unread in all that are not muted.

    `cursor` is where to open the stream from: nothing falls between the page and the stream.
    """

    items: list[Conversation]
    next: str | None
    unread: int
    cursor: str


class Messages(Schema, frozen=True):
    """Part of a conversation, the newest first; `next` goes into the parameter (`before` or `after`) that was used."""

    items: list[Message]
    next: str | None


class ReadReceipt(Schema, frozen=True):
    """What is unread after a reading: in this conversation, and in all that are not muted."""

    unread: int
    unread_total: int


class BlockedUser(Schema, frozen=True):
    """Somebody one does not want to hear of."""

    id: str
    name: str
    created_at: str
