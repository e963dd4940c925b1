"""Parsers from text to setting values.

Each parser raises ValueError; its message completes the sentence that starts with the name of the setting.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from realtime.rate_limiter import RateLimit
from services.payments.amounts import UNSUPPORTED_CURRENCIES

T = TypeVar("T")
Network = IPv4Network | IPv6Network

_INTEGER = re.compile(r"[0-9]{1,18}", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,18}(\.[0-9]{1,9})?", re.ASCII)
_HOST = re.compile(r"[a-z0-9.:_-]{1,253}", re.ASCII | re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*", re.ASCII)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class SettingDefinition:
    """The parser, default and description of a setting. Defaults are text, as in the environment."""

    parse: Callable[[str], object]
    default: str
    description: str
    # The default where HUB_ENV is `production`, if it differs.
    production_default: str | None = None
    secret: bool = False

    def default_in(self, env: str) -> str:
        """Return the default in that environment."""
        return self.production_default if env == "production" and self.production_default is not None else self.default


def setting(
    parse: Callable[[str], T], default: str, description: str, *, production: str | None = None, secret: bool = False
) -> T:
    """Return a field of Settings. The value of a `secret` appears in no message and no repr."""
    definition = SettingDefinition(parse, default, description, production, secret)
    setting_field: T = field(repr=not secret, metadata={"definition": definition})
    return setting_field


def text(value: str) -> str:
    """Return the text. Control characters are rejected."""
    if not value.isprintable():
        raise ValueError("must not hold control characters")
    return value


def choice(*allowed: str) -> Callable[[str], str]:
    """Return a parser of one of these words, in any case."""

    def parse(value: str) -> str:
        if value.lower() not in allowed:
            raise ValueError(f"must be {', '.join(allowed[:-1])} or {allowed[-1]}")
        return value.lower()

    return parse


def integer(low: int, high: int) -> Callable[[str], int]:
    """Return a parser of an integer from `low` to `high`."""

    def parse(value: str) -> int:
        if not _INTEGER.fullmatch(value) or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)

    return parse


def decimal(low: float, high: float) -> Callable[[str], float]:
    """Return a parser of a decimal number from `low` to `high`."""

    def parse(value: str) -> float:
        if not _DECIMAL.fullmatch(value) or not low <= float(value) <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}")
        return float(value)

    return parse


def host_name(value: str) -> str:
    """Return the host name or address to listen on."""
    if not _HOST.fullmatch(value):
        raise ValueError("must be a host name or an address, such as 127.0.0.1 or ::1")
    return value


def directory(value: str) -> Path:
    """Return the path of a folder; `~` is expanded."""
    if "\0" in value:
        raise ValueError("must not hold control characters")
    return Path(value).expanduser()


def currency(value: str) -> str:
    """Return the ISO 4217 code of a currency with two decimals."""
    if not re.fullmatch(r"[A-Z]{3}", value, re.ASCII):
        raise ValueError("must be a currency's three capital letters, such as USD")
    if value in UNSUPPORTED_CURRENCIES:
        raise ValueError("must be a currency with two decimals")
    return value


def rate_limit(value: str) -> RateLimit | None:
    """Return a limit such as `100/minute` (second, minute, hour or day); None for `0`, which disables it."""
    try:
        return RateLimit.parse(value)
    except ValueError:
        raise ValueError("must be like 100/minute (second, minute, hour or day), or 0 for no limit") from None


def origin(value: str) -> str:
    """Return scheme, host and port as in the `Origin` header (RFC 6454): lower case, without a default port."""
    invalid = ValueError("must be an origin like https://hub.example.org, without path or user")
    try:
        parts = urlsplit(value.lower())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise invalid from None
    extra = parts.path.rstrip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if not host or extra or not _SCHEME.fullmatch(parts.scheme) or not _HOST.fullmatch(host):
        raise invalid
    host_part = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host_part}" + ("" if port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{port}")


def web_origin(value: str) -> str | None:
    """Return an http or https origin, or None for empty text."""
    if not value:
        return None
    parsed = origin(value)
    if not parsed.startswith(("http://", "https://")):
        raise ValueError("must start with https:// (or http:// on localhost)")
    return parsed


def comma_separated(parse: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Return a parser of a comma-separated list; empty entries are ignored."""
    return lambda value: tuple(parse(part.strip()) for part in value.split(",") if part.strip())


def network(value: str) -> Network:
    """Return an address or a network in CIDR notation."""
    try:
        return ip_network(value)
    except ValueError:
        raise ValueError("must be addresses or networks such as 127.0.0.1 or 10.0.0.0/8") from None


def is_local(host: str) -> bool:
    """Return whether a host name or address is this machine."""
    name = host.strip("[]")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def push_contact(value: str) -> str:
    """Return a `mailto:` or `https:` address; it may be empty."""
    if value and not re.fullmatch(
        r"(mailto:[^\s@<>\"]{1,64}@[a-z0-9.-]{1,253}|https://[^\s<>\"]{1,500})", value, re.ASCII
    ):
        raise ValueError("must be like mailto:admin@example.org or https://example.org/contact")
    return value


def test_origin(value: str) -> str | None:
    """Return an http origin with a loopback address and a port, or None for empty text."""
    if not value:
        return None
    parsed = origin(value)
    host, port = urlsplit(parsed).hostname or "", urlsplit(parsed).port
    try:
        loopback = ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not parsed.startswith("http://") or not loopback or port is None:
        raise ValueError("must be like http://127.0.0.1:9000, with a loopback address and a port")
    return parsed


def mail_server(value: str) -> str:
    """Return a URL `smtp[s]://[user:password@]host[:port]`; it may be empty."""
    if not value:
        return value
    invalid = ValueError("must be like smtp://user:password@mail.example.org:587 or smtps://…")
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise invalid from None
    extra = parts.path.rstrip("/") or parts.query or parts.fragment
    if parts.scheme not in ("smtp", "smtps") or not host or not _HOST.fullmatch(host) or port == 0 or extra:
        raise invalid
    return value


def mail_sender(value: str) -> str:
    """Return an e-mail address, with or without a name; it may be empty."""
    if value and not re.fullmatch(r"([^<>@\",:;]{1,80} <)?[^\s<>@\",:;]{1,64}@[a-z0-9.-]{1,253}>?", value, re.ASCII):
        raise ValueError("must be like Gigwire <hub@example.org>")
    return value
