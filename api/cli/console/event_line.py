"""What `hub tail` says of an event to a person: one line, and nothing in it that a terminal would obey."""

from typing import Any

import msgspec

_RESETS = {
    "trimmed": "too much was missed to be given again",
    "epoch_changed": "the store was restored",
    "ahead": "the cursor is from a future that this store does not have",
    "malformed": "the cursor cannot be read",
}


def human_line(type: str, data: Any) -> str:
    """The type, and what it is about; the stream's own events in words."""
    match type:
        case "connection_confirmed":
            text = f"connected: {', '.join(data['channels'])}; {data['unread']} unread"
        case "reset":
            text = f"reset: {_RESETS.get(data['reason'], data['reason'])}; what came before is not shown"
        case "bye":
            text = f"bye: {data['reason']}"
        case "notification":
            text = f"{type:<16} {data.get('icon') or '·'} {data['title']} – {data['body']}"
        case _:
            text = f"{type:<16} {_about(data)}"
    return "".join(character if character.isprintable() else " " for character in text)


def _about(data: Any) -> str:
    """A title, where there is one (a job, an announcement), else all of it."""
    title = data.get("title") if isinstance(data, dict) else None
    if not isinstance(title, str):
        return msgspec.json.encode(data).decode()
    details = [str(data[name]) for name in ("status", "budget", "currency") if data.get(name) is not None]
    return f"{title} ({' '.join(details)})" if details else title
