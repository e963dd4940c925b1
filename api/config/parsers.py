"""How the text of a setting becomes a value: each parser raises ValueError with the rest of a sentence."""

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

_WHOLE = re.compile(r"[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,18}(\.[0-9]{1,9})?", re.ASCII)
_HOST = re.compile(r"[a-z0-9.:_-]{1,253}", re.ASCII | re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*", re.ASCII)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class SettingDefinition:
    """What is known of a setting before it is read; the defaults are text, as an environment would give it."""

    parse: Callable[[str], object]
    default: str
    about: str
    # Another default where HUB_ENV is production.
    production: str | None = None
    secret: bool = False

    def default_in(self, env: str) -> str:
        """The text that counts when nothing is set."""
        return self.production if env == "production" and self.production is not None else self.default


def setting(
    parse: Callable[[str], T], default: str, about: str, *, production: str | None = None, secret: bool = False
) -> T:
    """A field of Settings. `secret` keeps its value out of every message and repr."""
    known = SettingDefinition(parse, default, about, production, secret)
    made: T = field(repr=not secret, metadata={"knob": known})
    return made


def text(value: str) -> str:
    """Any printable text."""
    if not value.isprintable():
        raise ValueError("must not hold control characters")
    return value


def choice(*allowed: str) -> Callable[[str], str]:
    """One of these words, in any case."""

    def parse(value: str) -> str:
        if value.lower() not in allowed:
            raise ValueError(f"must be {', '.join(allowed[:-1])} or {allowed[-1]}")
        return value.lower()

    return parse


def integer(low: int, high: int) -> Callable[[str], int]:
    """A whole number in a range."""

    def parse(value: str) -> int:
        if not _WHOLE.fullmatch(value) or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)

    return parse


def decimal(low: float, high: float) -> Callable[[str], float]:
    """A number in a range, with or without a fraction."""

    def parse(value: str) -> float:
        if not _NUMBER.fullmatch(value) or not low <= float(value) <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}")
        return float(value)

    return parse


def host_name(value: str) -> str:
    """A name or an address, as it is bound to."""
    if not _HOST.fullmatch(value):
        raise ValueError("must be a host name or an address, such as 127.0.0.1 or ::1")
    return value


def directory(value: str) -> Path:
    """A folder, `~` understood."""
    if "\0" in value:
        raise ValueError("must not hold control characters")
    return Path(value).expanduser()


def currency(value: str) -> str:
    """An ISO 4217 code of a currency with cents."""
    if not re.fullmatch(r"[A-Z]{3}", value, re.ASCII):
        raise ValueError("must be a currency's three capital letters, such as USD")
    if value in UNSUPPORTED_CURRENCIES:
        raise ValueError("must be a currency whose minor unit is a hundredth: amounts have two decimals here")
    return value


def rate(value: str) -> RateLimit | None:
    """`100/minute` (second, minute, hour, day); `0` is None, no limit."""
    try:
        return RateLimit.parse(value)
    except ValueError:
        raise ValueError("must be like 100/minute (second, minute, hour or day), or 0 for no limit") from None


def origin(value: str) -> str:
    """Scheme, host and port as a browser writes them in `Origin` (RFC 6454): lower case, no default port."""
    wrong = ValueError("must be an origin like https://hub.example.org, with neither path nor user")
    try:
        parts = urlsplit(value.lower())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    extra = parts.path.rstrip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if not host or extra or not _SCHEME.fullmatch(parts.scheme) or not _HOST.fullmatch(host):
        raise wrong
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + ("" if port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{port}")


def web_origin(value: str) -> str | None:
    """An http or https origin; nothing is None."""
    if not value:
        return None
    made = origin(value)
    if not made.startswith(("http://", "https://")):
        raise ValueError("must start with https:// (or http:// on localhost)")
    return made


def comma_separated(parse: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """A comma list; empty places are passed over."""
    return lambda value: tuple(parse(part.strip()) for part in value.split(",") if part.strip())


def network(value: str) -> Network:
    """An address, or a network in CIDR form."""
    try:
        return ip_network(value)
    except ValueError:
        raise ValueError("must be addresses or networks such as 127.0.0.1 or 10.0.0.0/8") from None


def is_local(host: str) -> bool:
    """Whether a host name or address means this machine."""
    name = host.strip("[]")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def push_contact(value: str) -> str:
    """A `mailto:` or `https:` address; nothing is nobody."""
    if value and not re.fullmatch(
        r"(mailto:[^\s@<>\"]{1,64}@[a-z0-9.-]{1,253}|https://[^\s<>\"]{1,500})", value, re.ASCII
    ):
        raise ValueError("must be like mailto:admin@example.org or https://example.org/contact")
    return value


def test_origin(value: str) -> str | None:
    """An http origin on a loopback address, with its port; nothing is None."""
    if not value:
        return None
    made = origin(value)
    host, port = urlsplit(made).hostname or "", urlsplit(made).port
    try:
        loopback = ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not made.startswith("http://") or not loopback or port is None:
        raise ValueError("must be like http://127.0.0.1:9000, with a loopback address and a port")
    return made


def mail_server(value: str) -> str:
    """`smtp[s]://[user:password@]host[:port]`; nothing is none."""
    if not value:
        return value
    wrong = ValueError("must be like smtp://user:password@mail.example.org:587 or smtps://…")
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    extra = parts.path.rstrip("/") or parts.query or parts.fragment
    if parts.scheme not in ("smtp", "smtps") or not host or not _HOST.fullmatch(host) or port == 0 or extra:
        raise wrong
    return value


def mail_sender(value: str) -> str:
    """An e-mail address, with or without a name; nothing is nobody."""
    if value and not re.fullmatch(r"([^<>@\",:;]{1,80} <)?[^\s<>@\",:;]{1,64}@[a-z0-9.-]{1,253}>?", value, re.ASCII):
        raise ValueError("must be like Gigwire <hub@example.org>")
    return value
