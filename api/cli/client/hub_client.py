"""Where the hub is, and how commands speak HTTP with it."""

import random
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import msgspec

from api.cli.client.actions import ask_hub
from api.config.parsers import is_local
from api.config.settings import Settings
from api.control.socket import NoHubRunning

# To connect, to send, and to wait for an answer.
SECONDS: Final = 30.0
# Waiting longer than this between two tries helps nobody.
LONGEST_WAIT: Final = 60.0


def hub_address(settings: Settings, given: str | None) -> str:
    """The address to talk to: the one given, else that of the hub on this machine, else the settings'."""
    if given:
        return given.rstrip("/")
    try:
        return ask_hub(settings, "hub.address", answer=str)
    except NoHubRunning:
        return settings.origin


def through_proxy(address: str) -> bool:
    """Whether a proxy of the environment may stand between us and the hub."""
    return not is_local(urlsplit(address).hostname or "")


def error_message(answer: httpx2.Response) -> str:
    """What an answer that is no success says, as its problem+json (RFC 9457) has it."""
    try:
        problem: Any = msgspec.json.decode(answer.content)
        return f"{problem['message']} ({problem['code']})"
    except (msgspec.DecodeError, KeyError, TypeError):
        return f"{answer.request.url.copy_with(query=None)} answered {answer.status_code}."


def retry_after(answer: httpx2.Response) -> float | None:
    """The seconds that an answer asks us to wait (RFC 9110, 10.2.3, as a number), within reason."""
    given = answer.headers.get("retry-after", "")
    return min(float(given), LONGEST_WAIT) if given.isdecimal() else None


def jittered(base: float, failures: int) -> float:
    """Seconds to wait after so many failures in a row: anything up to a limit that doubles (full jitter)."""
    return random.uniform(0, min(LONGEST_WAIT, base * 2.0**failures))  # noqa: S311  # no secret
