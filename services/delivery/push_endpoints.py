"""Parses and validates push endpoints; refuses private addresses (SSRF)."""

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from services.delivery.dns_resolver import DnsResolver, NoSuchHost, Resolve, ResolverBusy
from services.delivery.public_addresses import is_public
from services.delivery.push_subscriptions import MAX_ENDPOINT_LENGTH
from services.errors import InvalidField, Overloaded

# Concurrent lookups for new subscriptions and for sending. They have separate threads, so that hosts without a
# responding name server in new subscriptions do not delay sending. The worker sends 32 deliveries concurrently.
MAX_CONCURRENT_CHECKS: Final = 8
MAX_CONCURRENT_SENDS: Final = 32
# Addresses of one host that are tried.
MAX_ADDRESSES: Final = 4

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


class NotPublic(Exception):
    """The host has an address that is not public."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The parts of a browser's endpoint URL; signatures name its `origin`."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> str:
        """Scheme, host and port, without the default port."""
        is_default = self.port == _DEFAULT_PORTS[self.scheme]
        return f"{self.scheme}://{self.host}" + ("" if is_default else f":{self.port}")


class PushEndpoints:
    """Parses and checks endpoints. `test_origin` is the only origin that need not be public or use HTTPS."""

    def __init__(self, test_origin: str | None, resolve: Resolve | None = None) -> None:
        self._test_origin = test_origin
        self._check_resolver = DnsResolver(MAX_CONCURRENT_CHECKS, resolve or _resolve, time.monotonic)
        self._send_resolver = DnsResolver(MAX_CONCURRENT_SENDS, resolve or _resolve, time.monotonic)

    def parse(self, url: str) -> Endpoint:
        """Return the parts of an endpoint URL, which must use HTTPS on port 443 and have no user part.

        Raises InvalidField (length, unsafe link).
        """
        if not 1 <= len(url) <= MAX_ENDPOINT_LENGTH:
            raise InvalidField("/endpoint", "length", f"An endpoint has 1 to {MAX_ENDPOINT_LENGTH} characters.")
        if not url.isascii() or not url.isprintable() or any(character in url for character in ' \\#"<>^`{|}'):
            raise _unsafe()
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _unsafe() from None
        if not host or "@" in parts.netloc or parts.scheme not in ("https", "http"):
            raise _unsafe()
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        bracketed_host = f"[{host}]" if ":" in host else host
        endpoint = Endpoint(
            parts.scheme, bracketed_host, _DEFAULT_PORTS[parts.scheme] if port is None else port, target
        )
        if endpoint.origin != self._test_origin and (endpoint.scheme, endpoint.port) != ("https", 443):
            raise _unsafe()
        return endpoint

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses to send to, all of them public. Raises NotPublic, NoSuchHost and ResolverBusy."""
        addresses = await self._send_resolver.resolve(host.strip("[]"), port)
        self._check_public(host, port, addresses)
        return addresses[:MAX_ADDRESSES]

    async def check(self, url: str, user_id: str) -> None:
        """Check the endpoint of a new subscription; looks up one host of a user at a time.

        Raises InvalidField for an endpoint that the hub does not send to, and Overloaded if no lookup is possible now.
        """
        endpoint = self.parse(url)
        host, port = endpoint.host, endpoint.port
        try:
            self._check_public(host, port, await self._check_resolver.resolve(host.strip("[]"), port, user_id))
        except (NotPublic, NoSuchHost):
            raise _unsafe() from None
        except ResolverBusy:
            raise Overloaded("Too many push services are being looked up. Try again in a moment.") from None

    def close(self) -> None:
        """Close both resolvers without waiting for lookups in progress."""
        self._check_resolver.close()
        self._send_resolver.close()

    def _check_public(self, host: str, port: int, addresses: Sequence[str]) -> None:
        if not self._is_test_origin(host, port) and not all(map(is_public, addresses)):
            raise NotPublic(host)

    def _is_test_origin(self, host: str, port: int) -> bool:
        return self._test_origin is not None and Endpoint("http", host, port, "").origin == self._test_origin


def _resolve(host: str, port: int) -> Sequence[str]:
    results = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(result[4][0]) for result in results))


def _unsafe() -> InvalidField:
    return InvalidField("/endpoint", "unsafe link", "This is not the address of a push service that can be reached.")
