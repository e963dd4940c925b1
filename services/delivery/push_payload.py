"""What is pushed: the declarative payload (Push API), and how long, how urgently and in whose place it is kept."""

import base64
import hashlib
from typing import Any, Final, Literal

import msgspec

from services.delivery.queue import Delivery
from services.notifications.schemas import Priority
from services.times import DAY, HOUR

Urgency = Literal["low", "normal", "high"]

# RFC 8030, 5.3: a phone that is short of power asks for the urgent ones alone.
URGENCY: Final[dict[Priority, Urgency]] = {"low": "low", "normal": "normal", "high": "high", "urgent": "high"}
# RFC 8030, 5.2: for how long a push service keeps it for a browser that is not there.
TTL_MS: Final[dict[Priority, int]] = {"low": 6 * HOUR, "normal": DAY, "high": 3 * DAY, "urgent": 7 * DAY}

# What fits into one record of 4,096 bytes (RFC 8291, 4): without header, tag and delimiter.
PLAIN_BYTES: Final = 4_096 - 86 - 16 - 1

_encoder = msgspec.json.Encoder()


def expires_at(order: Delivery) -> int:
    """When it is of no use any more (ms)."""
    late = order.created_at + TTL_MS[order.priority]
    return late if order.expires_at is None else min(late, order.expires_at)


def topic(collapse_key: str | None) -> str | None:
    """What an undelivered one is replaced by (RFC 8030, 5.4): 32 characters that tell nothing."""
    if collapse_key is None:
        return None
    return base64.urlsafe_b64encode(hashlib.sha256(collapse_key.encode()).digest())[:32].decode()


def payload(order: Delivery, *, origin: str, most: int = PLAIN_BYTES) -> bytes:
    """A declarative push message in at most `most` bytes; the body is what is cut."""
    made = _payload(order, order.body, origin)
    if len(made) <= most:
        return made
    # The longest body that fits: how many bytes a character takes is known when it is written.
    fits, over = 0, len(order.body)
    while over - fits > 1:
        half = (fits + over) // 2
        short = len(_payload(order, order.body[:half] + "…", origin)) <= most
        fits, over = (half, over) if short else (fits, half)
    return _payload(order, order.body[:fits].rstrip() + "…", origin)


def _payload(order: Delivery, body: str, origin: str) -> bytes:
    def absolute(url: str | None) -> str:
        return f"{origin}{url or '/'}" if url is None or url.startswith("/") else url

    notification: dict[str, Any] = {
        "title": f"{order.icon} {order.title}" if order.icon else order.title,
        "body": body,
        "navigate": absolute(order.url),
        "tag": order.collapse_key or order.notification_id or "test",
        "silent": order.priority == "low",
        "timestamp": order.created_at,
        "data": {
            "id": order.notification_id,
            "type": order.type,
            "category": order.category,
            "priority": order.priority,
            "url": order.url,
        },
    }
    if order.actions:
        notification["actions"] = [
            {"action": one["id"], "title": one["label"], "navigate": absolute(one.get("url") or order.url)}
            for one in order.actions
        ]
    return _encoder.encode({"web_push": 8030, "notification": notification, "app_badge": order.unread, "mutable": True})
