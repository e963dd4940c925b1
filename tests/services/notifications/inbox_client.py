"""InboxClient: fetches an inbox once, then applies its events, as a page does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection

from realtime.event import Event
from services.notifications import listing

Item = dict[str, Any]


@dataclass
class InboxClient:
    """The rows listed under `all` or `archived`, by id, and the counts."""

    items: dict[str, Item]
    unread: int
    unseen: int
    position: int

    @classmethod
    def fetch(cls, tx: Connection, user_id: str, limit: int = 3) -> "InboxClient":
        """Load all pages in one snapshot."""
        items: dict[str, Item] = {}
        for name in ("all", "archived"):
            after = None
            while True:
                page = listing.list_page(tx, user_id=user_id, filter=name, limit=limit, after=after)
                items |= {item.id: _to_item(msgspec.to_builtins(item)) for item in page.items}
                if (after := page.next) is None:
                    break
        return cls(items, page.unread, page.unseen, int(page.cursor.split(".")[1]))

    def apply(self, event: Event) -> None:
        """Apply one event."""
        data = msgspec.json.decode(event.data)
        self.unread, self.unseen = data["unread"], data["unseen"]
        if event.type == "notification":
            self.items[data["id"]] = _to_item(data)
            return
        for item in self._find_affected(data):
            self._change(item, data)

    def recount(self) -> tuple[int, int]:
        """Return the counts computed from the rows."""
        visible = [item for item in self.items.values() if not item["archived"]]
        return sum(not item["read"] for item in visible), sum(not item["seen"] for item in visible)

    def _find_affected(self, data: Item) -> Sequence[Item]:
        if "ids" in data:
            return [self.items[id] for id in data["ids"] if id in self.items]
        archived = data["state"] == "unarchived"
        return [item for item in self.items.values() if item["archived"] == archived and item["id"] <= data["before"]]

    def _change(self, item: Item, data: Item) -> None:
        match data["state"]:
            case "read":
                item |= {"read": True, "seen": True}
            case "unread":
                item |= {"read": False, "seen": item["seen"] and data.get("seen", True)}
            case "seen":
                item["seen"] = True
            case "archived" | "unarchived" as state:
                item["archived"] = state == "archived"
            case "retracted":
                del self.items[item["id"]]
            case "action":
                item["done"] = sorted({*item["done"], data["action"]})


def _to_item(notification: Item) -> Item:
    """Return the fields that events determine; the times of changes are not among them."""
    return {
        "id": notification["id"],
        "title": notification["title"],
        "count": notification["count"],
        "key": notification["collapseKey"],
        "seen": notification["seenAt"] is not None,
        "read": notification["readAt"] is not None,
        "archived": notification["archivedAt"] is not None,
        "done": sorted(action["id"] for action in notification["actions"] if action.get("done")),
    }
