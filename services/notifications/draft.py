"""What a notification says, before it is in anybody's inbox; one that exists keeps the rules for words and links."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec import Struct

from services import text
from services.errors import InvalidField
from services.notifications.schemas import Category, Priority

DATA_BYTES = 8 * 1024
# What browsers show of a system notification's actions (Notification.maxActions).
ACTIONS = 2

# An action's id is a segment of a path (RFC 3986, unreserved).
_ACTION_ID = re.compile(r"[A-Za-z0-9._~-]{1,40}")

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A button: `url` opens, and that it was pressed is kept."""

    id: str
    label: str
    url: str | None = None
    style: Literal["primary", "secondary"] = "secondary"

    def to_json(self) -> dict[str, Any]:
        """The action as JSON has it, and as a row keeps it."""
        shown: dict[str, Any] = {"id": self.id, "label": self.label, "style": self.style}
        return shown if self.url is None else shown | {"url": self.url}


class NotificationDraft(Struct, frozen=True, kw_only=True):
    """A notification without its recipient. `expires_at` is milliseconds since 1970.

    `invalidates` are the cache keys a page should drop when it arrives; `at` is where the letter stands in what was
    asked (an RFC 6901 pointer), for errors. Raises InvalidField.
    """

    type: str
    category: Category
    priority: Priority = "normal"
    title: str
    body: str
    data: dict[str, Any] = {}  # a new one for each, says msgspec
    url: str | None = None
    icon: str | None = None
    actions: Sequence[Action] = ()
    collapse_key: str | None = None
    expires_at: int | None = None
    invalidates: Sequence[str] = ()
    pointer: str = ""

    def __post_init__(self) -> None:
        """Check every word."""
        text.check_line(self.type, f"{self.pointer}/type", 64)
        text.check_line(self.title, f"{self.pointer}/title", 200)
        text.check_multiline(self.body, f"{self.pointer}/body", 2_000)
        text.check_json_object(self.data, f"{self.pointer}/data", DATA_BYTES)
        if self.url is not None:
            text.check_link(self.url, f"{self.pointer}/url")
        if self.icon is not None:
            text.check_line(self.icon, f"{self.pointer}/icon", 16)
        if self.collapse_key is not None:
            text.check_line(self.collapse_key, f"{self.pointer}/collapseKey", 64)
        _check_actions(self.actions, f"{self.pointer}/actions")

    def check_expiry(self, now: int) -> None:
        """Raises InvalidField for a letter that would have expired before it arrives."""
        if self.expires_at is not None and self.expires_at <= now:
            raise InvalidField(f"{self.pointer}/expiresAt", "range", "It would have expired before it was sent.")

    def to_row(self) -> dict[str, Any]:
        """The values of a row of `notifications` that are the same for every recipient."""
        return {
            "type": self.type,
            "category": self.category,
            "priority": self.priority,
            "title": self.title,
            "body": self.body,
            "data": _encoder.encode(self.data).decode(),
            "url": self.url,
            "icon": self.icon,
            "actions": _encoder.encode([action.to_json() for action in self.actions]).decode(),
            "collapse_key": self.collapse_key,
            "expires_at": self.expires_at,
        }


def _check_actions(actions: Sequence[Action], pointer: str) -> None:
    if len(actions) > ACTIONS:
        raise InvalidField(pointer, "length", f"A notification has at most {ACTIONS} actions.")
    for index, action in enumerate(actions):
        at = f"{pointer}/{index}"
        if not _ACTION_ID.fullmatch(action.id):
            raise InvalidField(f"{at}/id", "type", "An action's id is 1 to 40 letters, digits or any of . _ ~ -")
        text.check_line(action.label, f"{at}/label", 40)
        if action.url is not None:
            text.check_link(action.url, f"{at}/url")
    if len({action.id for action in actions}) < len(actions):
        raise InvalidField(f"{pointer}/1/id", "type", "Each action needs an id of its own.")
