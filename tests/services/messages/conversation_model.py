"""The expected state of conversations, for the model test."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class ModelMessage:
    """A sent message."""

    id: str
    sender: str
    content: str
    client_message_id: str | None
    edited: bool = False
    deleted: bool = False
    reply_to: str | None = None


@dataclass
class ModelMember:
    """A membership."""

    first: int = 0  # index of the first visible message
    read: int = 0  # number of read messages
    muted: bool = False


@dataclass
class ModelConversation:
    """A conversation and its messages in order."""

    kind: str
    creator: str
    title: str | None = None
    messages: list[ModelMessage] = field(default_factory=list)
    members: dict[str, ModelMember] = field(default_factory=dict)

    def unread(self, user_id: str) -> int:
        """Return the unread messages of a member."""
        member = self.members[user_id]
        unread = self.messages[max(member.first, member.read) :]
        return sum(message.sender != user_id and not message.deleted for message in unread)

    def state(self, user_id: str) -> dict[str, Any]:
        """Return what `ConversationClient.state` holds for a member."""
        return {
            "title": self.title,
            "unread": self.unread(user_id),
            "muted": self.members[user_id].muted,
            "members": {
                member_id: self.messages[member.read - 1].id if member.read else None
                for member_id, member in self.members.items()
            },
            "messages": [
                (
                    message.id,
                    {
                        "sender": message.sender,
                        "content": "" if message.deleted else message.content,
                        "replyTo": message.reply_to,
                        "edited": message.edited,
                        "deleted": message.deleted,
                    },
                )
                for message in self.messages[self.members[user_id].first :]
            ],
        }
