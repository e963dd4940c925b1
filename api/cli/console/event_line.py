"""Formats an event as one safe line."""

from typing import Any

import msgspec

from api.cli.console.output import printable

_RESET_REASONS = {
    "trimmed": "too many events were missed to replay them",
    "epoch_changed": "the store was restored",
    "ahead": "the cursor is ahead of this store",
    "malformed": "the cursor is malformed",
}


def format_event(type: str, data: Any) -> str:
    """Return the type of the event and a summary of its data, without control characters."""
    match type:
        case "connection_confirmed":
            text = f"connected: {', '.join(data['channels'])}; {data['unread']} unread"
        case "reset":
            text = f"reset: {_RESET_REASONS.get(data['reason'], data['reason'])}; earlier events are not shown"
        case "bye":
            text = f"bye: {data['reason']}"
        case "notification":
            text = f"{type:<16} {data.get('icon') or '·'} {data['title']} – {data['body']}"
        case _:
            text = f"{type:<16} {_summary(data)}"
    return printable(text)


def _summary(data: Any) -> str:
    """Return the title of a job or announcement with its details; for other events all data."""
    title = data.get("title") if isinstance(data, dict) else None
    if not isinstance(title, str):
        return msgspec.json.encode(data).decode()
    details = [str(data[name]) for name in ("status", "budget", "currency") if data.get(name) is not None]
    return f"{title} ({' '.join(details)})" if details else title
