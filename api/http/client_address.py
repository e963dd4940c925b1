"""Which address a request comes from: the peer's, or what a trusted proxy says it was."""

import asyncio
import re
import socket
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from starlette.datastructures import Headers
from starlette.types import Scope

from api.config.parsers import Network

Address = IPv4Address | IPv6Address

# Where there is no address: a Unix socket, a test client.
UNKNOWN = "unknown"
# An honest chain of proxies is short; nobody makes us walk a long forged one.
HOPS = 32
# One customer's line gets a /64 or more (RFC 6177), so that a limit on single IPv6 addresses limits nobody.
IPV6_GROUP = 64

# The `for` of one forwarded element (RFC 7239, section 4): a token or a quoted string.
# Possessive, so that a long one is read once.
_FOR = re.compile(r'(?:^|;)\s*+for\s*+=\s*+("(?:[^"\\]|\\.)*+"|[^;"\s]*+)\s*+(?=;|$)', re.IGNORECASE)
# An address with a port, and what else an honest proxy says of a hop.
_ELEMENT_LENGTH = 1_000


class ClientAddressResolver:
    """Reads client addresses; `trusted` are the networks of one's own proxies."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)

    def of(self, scope: Scope) -> str:
        """The client's address: the nearest hop that is none of our proxies.

        `Forwarded` and `X-Forwarded-For` count only where a trusted peer sent them, from the right, as far as the
        hops are trusted. A proxy writes one of them and passes the other through as the client made it up, so where
        they disagree neither is believed and it is the peer.
        """
        peer = _address((scope.get("client") or ("", 0))[0])
        if peer is None:
            return UNKNOWN
        if not self._is_trusted(peer):
            return _spelt(peer)
        headers = Headers(scope=scope)
        told = {self._walk(peer, hops) for hops in (_x_forwarded_for(headers), _forwarded(headers)) if hops is not None}
        return _spelt(told.pop() if len(told) == 1 else peer)

    def _walk(self, peer: Address, hops: Sequence[str]) -> Address:
        nearest = peer
        for hop in reversed(hops[-HOPS:]):
            address = _address(hop)
            if address is None:
                break
            nearest = address
            if not self._is_trusted(address):
                break
        return nearest

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def rate_limit_group(address: str) -> str:
    """What a limit per address counts: an IPv4 address itself, an IPv6 address's /64."""
    known = _address(address)
    if isinstance(known, IPv6Address):
        return str(IPv6Network((known, IPV6_GROUP), strict=False))
    return address


def endpoints_of(transport: asyncio.Transport) -> tuple[tuple[str, int], tuple[str, int] | None]:
    """A connection's addresses, ours and the client's: host and port; None for one who has gone already.

    uvicorn asks uvloop's own socket, which then keeps them for as long as a stream lives.
    """
    kept = transport.get_extra_info("socket")
    bare = socket.socket(kept.family, kept.type, kept.proto, kept.fileno())
    try:
        return bare.getsockname()[:2], bare.getpeername()[:2]
    except OSError:
        return bare.getsockname()[:2], None
    finally:
        # The file is the transport's.
        bare.detach()


# Kept, because one peer sends many requests and reading an address costs as much as routing.
@lru_cache(maxsize=4_096)
def _spelt(address: Address) -> str:
    return str(address)


@lru_cache(maxsize=4_096)
def _address(text: str) -> Address | None:
    """An address with or without brackets, port and zone; None for anything else."""
    text = text.strip()
    if text.startswith("["):
        text, closed, _ = text[1:].partition("]")
        text = text if closed else ""
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _x_forwarded_for(headers: Headers) -> list[str] | None:
    lines = headers.getlist("x-forwarded-for")
    return ",".join(lines).split(",") if lines else None


def _forwarded(headers: Headers) -> list[str] | None:
    """The `for` of each element; an element without one, or that cannot be read, ends the walk as garbage does."""
    lines = headers.getlist("forwarded")
    if not lines:
        return None
    return [_for_of(element) for element in ",".join(lines).split(",")]


def _for_of(element: str) -> str:
    found = _FOR.search(element.strip()) if len(element) <= _ELEMENT_LENGTH else None
    return re.sub(r"\\(.)", r"\1", found.group(1).strip('"')) if found else ""
