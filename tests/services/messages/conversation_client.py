"""A client that fetches a user's conversations once and then applies only events."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection

from realtime.event import Event
from services.messages import conversations, history

Item = dict[str, Any]


@dataclass
class ConversationClient:
    """The conversations of one user by id, and the total of unread messages."""

    user_id: str
    conversations_by_id: dict[str, Item]
    unread: int
    position: int
    # Conversations first seen in an event; `fetch_unknown` fetches them after the events.
    unknown: set[str] = field(default_factory=set)

    @classmethod
    def fetch(cls, tx: Connection, user_id: str) -> "ConversationClient":
        """Fetch all pages in one snapshot."""
        conversations_by_id: dict[str, Item] = {}
        after = None
        while True:
            page = conversations.list_conversations(tx, user_id=user_id, limit=2, after=after)
            conversations_by_id |= {
                item.id: _fetch_conversation(tx, msgspec.to_builtins(item), user_id) for item in page.items
            }
            if (after := page.next) is None:
                break
        return cls(user_id, conversations_by_id, page.unread, int(page.cursor.split(".")[1]))

    def apply(self, event: Event) -> None:
        """Apply one event."""
        data = msgspec.json.decode(event.data)
        self.unread = data.get("unreadTotal", self.unread)
        conversation = self.conversations_by_id.get(data["conversationId"])
        if event.type == "message_state" and self.user_id in data.get("removed", ()):
            self.conversations_by_id.pop(data["conversationId"], None)
            self.unknown.discard(data["conversationId"])
        elif conversation is None:
            self.unknown.add(data["conversationId"])
        elif event.type == "message":
            conversation["messages"][data["id"]] = _visible_fields(data)
            conversation["unread"] = data["unread"]
            conversation["members"][data["sender"]["id"]] = data["id"]
        else:
            _apply_state(conversation, data)

    def fetch_unknown(self, tx: Connection) -> None:
        """Fetch the conversations first seen in an event."""
        for conversation_id in sorted(self.unknown):
            fetched = conversations.get_conversation(tx, conversation_id=conversation_id, user_id=self.user_id)
            self.conversations_by_id[conversation_id] = _fetch_conversation(
                tx, msgspec.to_builtins(fetched), self.user_id
            )
        self.unknown.clear()

    def state(self) -> tuple[dict[str, Any], int]:
        """Return the conversations, with their messages in order, and the unread total."""
        return {
            id: conversation | {"messages": list(conversation["messages"].items())}
            for id, conversation in self.conversations_by_id.items()
        }, self.unread


def _fetch_conversation(tx: Connection, conversation: Item, user_id: str) -> Item:
    messages: list[Item] = []
    before = None
    while True:
        page = history.list_messages(tx, conversation_id=conversation["id"], user_id=user_id, before=before, limit=3)
        messages += [msgspec.to_builtins(item) for item in page.items]
        if (before := page.next) is None:
            break
    assert conversation["lastMessage"] == (messages[0] if messages else None)
    return {
        "title": conversation["title"],
        "unread": conversation["unread"],
        "muted": conversation["muted"],
        "members": {member["id"]: member["readUpTo"] for member in conversation["members"]},
        "messages": {item["id"]: _visible_fields(item) for item in reversed(messages)},
    }


def _apply_state(conversation: Item, data: Item) -> None:
    conversation["unread"] = data.get("unread", conversation["unread"])
    match data["kind"]:
        case "read":
            conversation["members"][data["userId"]] = data["upTo"]
        case "edited" | "deleted":
            # A message that was deleted from the log is first seen in this event.
            conversation["messages"][data["message"]["id"]] = _visible_fields(data["message"])
        case "members":
            conversation["members"] |= {member["id"]: member["readUpTo"] for member in data["members"]}
            conversation["members"] = {
                id: read for id, read in conversation["members"].items() if id not in data["removed"]
            }
            conversation["title"] = data["title"]
        case "muted":
            conversation["muted"] = data["muted"]


def _visible_fields(message: Item) -> Item:
    """Return the fields of a message that a page shows."""
    return {
        "sender": message["sender"]["id"],
        "content": message["content"],
        "replyTo": message["replyTo"],
        "edited": message["editedAt"] is not None,
        "deleted": message["deletedAt"] is not None,
    }
