"""Finds the hub's address and talks HTTP with it."""

import random
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import msgspec

from api.cli.client.actions import execute_on_hub
from api.config.parsers import is_local
from api.config.settings import Settings
from api.control.socket import NoHubRunning

# For a connection, for sending, and for the response.
TIMEOUT_SECONDS: Final = 30.0
# The longest wait between two attempts.
MAX_WAIT_SECONDS: Final = 60.0


def find_hub_url(settings: Settings, url: str | None) -> str:
    """Return `url` if given; otherwise the address of the hub on this machine, otherwise the configured origin."""
    if url:
        return url.rstrip("/")
    try:
        return execute_on_hub(settings, "hub.address", result=str)
    except NoHubRunning:
        return settings.origin


def may_use_proxy(url: str) -> bool:
    """Return whether requests to this hub may use a proxy from the environment: not on this machine."""
    return not is_local(urlsplit(url).hostname or "")


def error_message(response: httpx2.Response) -> str:
    """Return the message and code of a failed response, from its problem+json body (RFC 9457) if it has one."""
    try:
        problem: Any = msgspec.json.decode(response.content)
        return f"{problem['message']} ({problem['code']})"
    except (msgspec.DecodeError, KeyError, TypeError):
        return f"{response.request.url.copy_with(query=None)} responded with status {response.status_code}."


def retry_after_seconds(response: httpx2.Response) -> float | None:
    """Return the seconds of Retry-After (RFC 9110, 10.2.3), at most MAX_WAIT_SECONDS; None without a number."""
    value = response.headers.get("retry-after", "")
    return min(float(value), MAX_WAIT_SECONDS) if value.isdecimal() else None


def backoff_seconds(base: float, failures: int) -> float:
    """Return a random wait after `failures` consecutive failures; its upper limit doubles each time (full jitter)."""
    return random.uniform(0, min(MAX_WAIT_SECONDS, base * 2.0**failures))  # noqa: S311  # not a secret
