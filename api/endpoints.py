"""Where a user may make the hub send something to: a push service in the public, looked up and checked each time."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from services.errors import InvalidField
from services.public_addresses import is_public
from services.subscriptions import ENDPOINT_LENGTH

# A look-up of a name that takes longer has failed; a few at once, so that slow ones do not fill the process.
LOOKUP_SECONDS: Final = 5.0
LOOKUPS: Final = 4
# Addresses of one name that are tried at most.
ADDRESSES: Final = 4

Resolve = Callable[[str, int], Sequence[str]]


class NotPublic(Exception):
    """The name leads to an address that is not out in the public."""


class NoSuchHost(Exception):
    """The name leads nowhere, or whoever knows does not answer."""


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


class Endpoints:
    """Reads and checks them. `exempt` is the one origin that may be on this machine: a push service of a test."""

    def __init__(self, exempt: str | None, resolve: Resolve | None = None) -> None:
        self._exempt = exempt
        self._resolve = resolve or _resolve
        self._lookups = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="lookup")

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
        """The addresses a name has now, each of them public. Raises NotPublic and NoSuchHost."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = await loop.run_in_executor(self._lookups, self._resolve, host.strip("[]"), port)
        except (OSError, UnicodeError):  # a timeout is one
            raise NoSuchHost(host) from None
        if not found:
            raise NoSuchHost(host)
        if not self._is_exempt(host, port) and not all(map(is_public, found)):
            raise NotPublic(host)
        return found[:ADDRESSES]

    async def check(self, url: str) -> None:
        """Raises InvalidField unless this is an address the hub would send to now."""
        endpoint = self.parse(url)
        try:
            await self.addresses(endpoint.host, endpoint.port)
        except (NotPublic, NoSuchHost):
            raise _unsafe() from None

    def close(self) -> None:
        """Wait for no look-up that is under way."""
        self._lookups.shutdown(wait=False, cancel_futures=True)

    def _is_exempt(self, host: str, port: int) -> bool:
        return self._exempt is not None and Endpoint("http", host, port, "").origin == self._exempt


def _resolve(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def _unsafe() -> InvalidField:
    return InvalidField("/endpoint", "unsafe link", "That is not the address of a push service that can be reached.")
