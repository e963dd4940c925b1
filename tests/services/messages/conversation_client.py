"""A page as it should be written: it fetches one's conversations once and from then on believes its events."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection

from realtime.event import Event
from services.messages import conversations, history

Item = dict[str, Any]


@dataclass
class Page:
    """What a page knows of its user's conversations, by id, and the total of what is unread."""

    user_id: str
    talks: dict[str, Item]
    unread: int
    position: int
    # Conversations heard of for the first time: fetched whole once the events are through, as `settle` does.
    unknown: set[str] = field(default_factory=set)

    @classmethod
    def fetch(cls, tx: Connection, user_id: str) -> "Page":
        """Everything by pages, all of one snapshot."""
        talks: dict[str, Item] = {}
        after = None
        while True:
            page = conversations.list_conversations(tx, user_id=user_id, limit=2, after=after)
            talks |= {each.id: _talk(tx, msgspec.to_builtins(each), user_id) for each in page.items}
            if (after := page.next) is None:
                break
        return cls(user_id, talks, page.unread, int(page.cursor.split(".")[1]))

    def apply(self, event: Event) -> None:
        """Take one event in."""
        data = msgspec.json.decode(event.data)
        self.unread = data.get("unreadTotal", self.unread)
        talk = self.talks.get(data["conversationId"])
        if event.type == "message_state" and self.user_id in data.get("removed", ()):
            self.talks.pop(data["conversationId"], None)
            self.unknown.discard(data["conversationId"])
        elif talk is None:
            self.unknown.add(data["conversationId"])
        elif event.type == "message":
            talk["messages"][data["id"]] = _known(data)
            talk["unread"] = data["unread"]
            talk["members"][data["sender"]["id"]] = data["id"]
        else:
            _change(talk, data)

    def settle(self, tx: Connection) -> None:
        """Fetch what was heard of and not known."""
        for conversation_id in sorted(self.unknown):
            shown = conversations.get_conversation(tx, conversation_id=conversation_id, user_id=self.user_id)
            self.talks[conversation_id] = _talk(tx, msgspec.to_builtins(shown), self.user_id)
        self.unknown.clear()

    def state(self) -> tuple[dict[str, Any], int]:
        """What is compared: the order of the messages too."""
        return {id: talk | {"messages": list(talk["messages"].items())} for id, talk in self.talks.items()}, self.unread


def _talk(tx: Connection, shown: Item, user_id: str) -> Item:
    said: list[Item] = []
    before = None
    while True:
        part = history.list_messages(tx, conversation_id=shown["id"], user_id=user_id, before=before, limit=3)
        said += [msgspec.to_builtins(each) for each in part.items]
        if (before := part.next) is None:
            break
    assert shown["lastMessage"] == (said[0] if said else None)
    return {
        "title": shown["title"],
        "unread": shown["unread"],
        "muted": shown["muted"],
        "members": {member["id"]: member["readUpTo"] for member in shown["members"]},
        "messages": {each["id"]: _known(each) for each in reversed(said)},
    }


def _change(talk: Item, data: Item) -> None:
    talk["unread"] = data.get("unread", talk["unread"])
    match data["kind"]:
        case "read":
            talk["members"][data["userId"]] = data["upTo"]
        case "edited" | "deleted":
            # One whose words are gone from the log is heard of here first.
            talk["messages"][data["message"]["id"]] = _known(data["message"])
        case "members":
            talk["members"] |= {member["id"]: member["readUpTo"] for member in data["members"]}
            talk["members"] = {id: read for id, read in talk["members"].items() if id not in data["removed"]}
            talk["title"] = data["title"]
        case "muted":
            talk["muted"] = data["muted"]


def _known(shown: Item) -> Item:
    """What of a message a page shows."""
    return {
        "sender": shown["sender"]["id"],
        "content": shown["content"],
        "replyTo": shown["replyTo"],
        "edited": shown["editedAt"] is not None,
        "deleted": shown["deletedAt"] is not None,
    }
