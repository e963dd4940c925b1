"""NotificationDraft: the content of a notification before it has a recipient."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec import Struct

from services import text
from services.errors import InvalidField
from services.notifications.schemas import Category, Priority

MAX_DATA_BYTES = 8 * 1024
# Browsers show two actions of a system notification (Notification.maxActions).
MAX_ACTIONS = 2

# The id of an action is a path segment of unreserved characters (RFC 3986, 2.3).
_ACTION_ID = re.compile(r"[A-Za-z0-9._~-]{1,40}")

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A button of a notification, which opens `url` if there is one."""

    id: str
    label: str
    url: str | None = None
    style: Literal["primary", "secondary"] = "secondary"

    def to_json(self) -> dict[str, Any]:
        """Return the action as stored in a row and as sent to clients."""
        fields: dict[str, Any] = {"id": self.id, "label": self.label, "style": self.style}
        return fields if self.url is None else fields | {"url": self.url}


class NotificationDraft(Struct, frozen=True, kw_only=True):
    """A notification without a recipient; validated on construction.

    `expires_at` is milliseconds since 1970. `invalidates` are the cache keys that a page drops when it receives the
    notification. `pointer` is the position of the draft in the request body (RFC 6901), used in errors.
    Raises InvalidField for invalid texts, links, data and actions.
    """

    type: str
    category: Category
    priority: Priority = "normal"
    title: str
    body: str
    data: dict[str, Any] = {}  # msgspec copies this default for each instance
    url: str | None = None
    icon: str | None = None
    actions: Sequence[Action] = ()
    collapse_key: str | None = None
    expires_at: int | None = None
    invalidates: Sequence[str] = ()
    pointer: str = ""

    def __post_init__(self) -> None:
        """Validate all texts, links, data and actions."""
        text.check_line(self.type, f"{self.pointer}/type", 64)
        text.check_line(self.title, f"{self.pointer}/title", 200)
        text.check_multiline(self.body, f"{self.pointer}/body", 2_000)
        text.check_json_object(self.data, f"{self.pointer}/data", MAX_DATA_BYTES)
        if self.url is not None:
            text.check_link(self.url, f"{self.pointer}/url")
        if self.icon is not None:
            text.check_line(self.icon, f"{self.pointer}/icon", 16)
        if self.collapse_key is not None:
            text.check_line(self.collapse_key, f"{self.pointer}/collapseKey", 64)
        _check_actions(self.actions, f"{self.pointer}/actions")

    def check_expiry(self, now: int) -> None:
        """Raise InvalidField if the draft has expired at `now` (ms)."""
        if self.expires_at is not None and self.expires_at <= now:
            raise InvalidField(f"{self.pointer}/expiresAt", "range", "The expiry time must be in the future.")

    def to_row(self) -> dict[str, Any]:
        """Return the columns of `notifications` that are equal for all recipients."""
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


# Pairs of a user id and the draft for that user.
AddressedDrafts = Sequence[tuple[str, NotificationDraft]]


def _check_actions(actions: Sequence[Action], pointer: str) -> None:
    if len(actions) > MAX_ACTIONS:
        raise InvalidField(pointer, "length", f"A notification has at most {MAX_ACTIONS} actions.")
    for index, action in enumerate(actions):
        action_pointer = f"{pointer}/{index}"
        if not _ACTION_ID.fullmatch(action.id):
            raise InvalidField(
                f"{action_pointer}/id", "type", "The id of an action has 1 to 40 letters, digits or any of . _ ~ -"
            )
        text.check_line(action.label, f"{action_pointer}/label", 40)
        if action.url is not None:
            text.check_link(action.url, f"{action_pointer}/url")
    if len({action.id for action in actions}) < len(actions):
        raise InvalidField(f"{pointer}/1/id", "type", "The two actions must have different ids.")
