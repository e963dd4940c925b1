"""Where a user may make the hub send something to: a push service in the public, looked up and checked each time."""

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from services.delivery.dns_resolver import DnsResolver, NoSuchHost, Resolve, ResolverBusy
from services.delivery.public_addresses import is_public
from services.delivery.push_subscriptions import ENDPOINT_LENGTH
from services.errors import InvalidField, Overloaded

# Names looked up at once: of those that users come with, and of those that are sent to. They are apart, so that whoever
# makes up names keeps no push waiting; the second are as many as are sent at once.
CHECKS: Final = 8
SENDS: Final = 32
# Addresses of one name that are tried at most.
ADDRESSES: Final = 4


class NotPublic(Exception):
    """The name leads to an address that is not out in the public."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A push service's address for one browser, in the parts that are sent; `origin` is what a signature names."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> str:
        """Scheme, host and port, the usual port left out."""
        usual = {"https": 443, "http": 80}[self.scheme]
        return f"{self.scheme}://{self.host}" + ("" if self.port == usual else f":{self.port}")


class PushEndpoints:
    """Reads and checks them. `exempt` is the one origin that may be on this machine: a push service of a test."""

    def __init__(self, exempt: str | None, resolve: Resolve | None = None) -> None:
        self._exempt = exempt
        self._checks = DnsResolver(CHECKS, resolve or _resolve, time.monotonic)
        self._sends = DnsResolver(SENDS, resolve or _resolve, time.monotonic)

    def parse(self, url: str) -> Endpoint:
        """The parts of an address as a browser gives it: https on its usual port, without a user.

        Raises InvalidField: length, unsafe link.
        """
        if not 1 <= len(url) <= ENDPOINT_LENGTH:
            raise InvalidField("/endpoint", "length", f"An endpoint is 1 to {ENDPOINT_LENGTH} characters long.")
        if not url.isascii() or not url.isprintable() or any(each in url for each in ' \\#"<>^`{|}'):
            raise _unsafe()
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _unsafe() from None
        if not host or "@" in parts.netloc or parts.scheme not in ("https", "http"):
            raise _unsafe()
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        shown = f"[{host}]" if ":" in host else host
        usual = {"https": 443, "http": 80}[parts.scheme]
        found = Endpoint(parts.scheme, shown, usual if port is None else port, target)
        if found.origin != self._exempt and (found.scheme, found.port) != ("https", 443):
            raise _unsafe()
        return found

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """The addresses to send to, each of them public. Raises NotPublic, NoSuchHost and Busy."""
        found = await self._sends.addresses(host.strip("[]"), port)
        self._check_public(host, port, found)
        return found[:ADDRESSES]

    async def check(self, url: str, user_id: str) -> None:
        """Whether the hub would send to an address that a user has come with; it looks up one name of theirs at once.

        Raises InvalidField and Overloaded.
        """
        endpoint = self.parse(url)
        host, port = endpoint.host, endpoint.port
        try:
            self._check_public(host, port, await self._checks.addresses(host.strip("[]"), port, user_id))
        except (NotPublic, NoSuchHost):
            raise _unsafe() from None
        except ResolverBusy:
            raise Overloaded("Too many push services are being looked up; try again in a moment.") from None

    def close(self) -> None:
        """Wait for no look-up that is under way."""
        self._checks.close()
        self._sends.close()

    def _check_public(self, host: str, port: int, found: Sequence[str]) -> None:
        if not self._is_exempt(host, port) and not all(map(is_public, found)):
            raise NotPublic(host)

    def _is_exempt(self, host: str, port: int) -> bool:
        return self._exempt is not None and Endpoint("http", host, port, "").origin == self._exempt


def _resolve(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def _unsafe() -> InvalidField:
    return InvalidField("/endpoint", "unsafe link", "That is not the address of a push service that can be reached.")
