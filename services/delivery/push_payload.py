"""The push payload, TTL, urgency and topic of a delivery."""

import base64
import hashlib
from typing import Any, Final, Literal

import msgspec

from services.delivery.queue import Delivery
from services.notifications.schemas import Priority
from services.times import DAY_MS, HOUR_MS

Urgency = Literal["low", "normal", "high"]

# A phone with a low battery receives only urgent messages (RFC 8030, 5.3).
URGENCY: Final[dict[Priority, Urgency]] = {"low": "low", "normal": "normal", "high": "high", "urgent": "high"}
# Time for which a push service stores a message for an unreachable browser (RFC 8030, 5.2).
TTL_MS: Final[dict[Priority, int]] = {"low": 6 * HOUR_MS, "normal": DAY_MS, "high": 3 * DAY_MS, "urgent": 7 * DAY_MS}

# One record of 4,096 bytes without header, tag and delimiter (RFC 8291, 4).
MAX_PAYLOAD_BYTES: Final = 4_096 - 86 - 16 - 1

_encoder = msgspec.json.Encoder()


def expires_at(delivery: Delivery) -> int:
    """Return the time after which the delivery is useless (ms)."""
    ttl_ends_at = delivery.created_at + TTL_MS[delivery.priority]
    return ttl_ends_at if delivery.expires_at is None else min(ttl_ends_at, delivery.expires_at)


def topic(collapse_key: str | None) -> str | None:
    """Return the topic that replaces undelivered messages (RFC 8030, 5.4): 32 characters of a hash."""
    if collapse_key is None:
        return None
    return base64.urlsafe_b64encode(hashlib.sha256(collapse_key.encode()).digest())[:32].decode()


def payload(delivery: Delivery, *, origin: str, max_bytes: int = MAX_PAYLOAD_BYTES) -> bytes:
    """Return a declarative push message (Push API) of at most `max_bytes` bytes; a long body is cut."""
    complete = _encode(delivery, delivery.body, origin)
    if len(complete) <= max_bytes:
        return complete
    # Binary search for the longest body that fits: the encoded size of a character is known only after encoding.
    fits, too_long = 0, len(delivery.body)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if len(_encode(delivery, delivery.body[:middle] + "…", origin)) <= max_bytes:
            fits = middle
        else:
            too_long = middle
    return _encode(delivery, delivery.body[:fits].rstrip() + "…", origin)


def _encode(delivery: Delivery, body: str, origin: str) -> bytes:
    def absolute(url: str | None) -> str:
        return f"{origin}{url or '/'}" if url is None or url.startswith("/") else url

    notification: dict[str, Any] = {
        "title": f"{delivery.icon} {delivery.title}" if delivery.icon else delivery.title,
        "body": body,
        "navigate": absolute(delivery.url),
        "tag": delivery.collapse_key or delivery.notification_id or "test",
        "silent": delivery.priority == "low",
        "timestamp": delivery.created_at,
        "data": {
            "id": delivery.notification_id,
            "type": delivery.type,
            "category": delivery.category,
            "priority": delivery.priority,
            "url": delivery.url,
        },
    }
    if delivery.actions:
        notification["actions"] = [
            {
                "action": action["id"],
                "title": action["label"],
                "navigate": absolute(action.get("url") or delivery.url),
            }
            for action in delivery.actions
        ]
    message = {"web_push": 8030, "notification": notification, "app_badge": delivery.unread, "mutable": True}
    return _encoder.encode(message)
