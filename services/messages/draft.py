"""MessageDraft: validated content of a message, and its recipient."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services import text
from services.errors import InvalidField
from services.messages.schemas import MessageType

# Characters of a message. They are at most 20,000 bytes of UTF-8, which is its limit in bytes.
MAX_CONTENT: Final = 5_000
MAX_FILES: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Where a message is sent: exactly one of a user and a conversation."""

    recipient_id: str | None = None
    conversation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDraft:
    """The content of a message, validated on construction. Raises InvalidField."""

    type: MessageType = "text"
    content: str = ""
    attachment_ids: Sequence[str] = ()
    reply_to: str | None = None
    client_message_id: str | None = None

    def __post_init__(self) -> None:
        """Check everything that needs no query."""
        if self.content or self.type == "text":
            text.check_multiline(self.content, "/content", MAX_CONTENT)
        if self.client_message_id is not None:
            text.check_line(self.client_message_id, "/clientMessageId", 64)
        if (self.type == "text") == bool(self.attachment_ids):
            raise InvalidField(
                "/attachmentIds",
                "length",
                "A message of type text has no attachments; use type image or file."
                if self.attachment_ids
                else "A message without attachments must be of type text.",
            )
        if len(set(self.attachment_ids)) < len(self.attachment_ids) or len(self.attachment_ids) > MAX_FILES:
            raise InvalidField(
                "/attachmentIds", "length", f"A message has at most {MAX_FILES} attachments, each at most once."
            )
