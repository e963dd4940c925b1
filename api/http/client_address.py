"""The client’s address, from the peer or trusted proxy headers."""

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

# The address of a peer on a Unix socket, or of a test client.
UNKNOWN = "unknown"
# Real chains of proxies are short. The limit bounds the work for a long forged one.
MAX_HOPS = 32
# A customer gets at least a /64 (RFC 6177), so a limit per IPv6 address would have no effect.
IPV6_GROUP_PREFIX = 64

# The `for` of one forwarded element (RFC 7239, section 4): a token or a quoted string.
# Possessive quantifiers, so that a long element is scanned only once.
_FOR = re.compile(r'(?:^|;)\s*+for\s*+=\s*+("(?:[^"\\]|\\.)*+"|[^;"\s]*+)\s*+(?=;|$)', re.IGNORECASE)
# More than the address, port and other parameters that a real proxy writes for a hop.
_MAX_ELEMENT_LENGTH = 1_000


class ClientAddressResolver:
    """Resolves client addresses; `trusted` are the networks of the operator's proxies."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)

    def resolve(self, scope: Scope) -> str:
        """Return the client's address: the nearest hop that is not a trusted proxy.

        `Forwarded` and `X-Forwarded-For` count only if a trusted peer sent them. They are read from the right, as
        far as the hops are trusted. A proxy writes one of them and passes the other on from the client, so if they
        disagree the result is the address of the peer.
        """
        peer = _parse_address((scope.get("client") or ("", 0))[0])
        if peer is None:
            return UNKNOWN
        if not self._is_trusted(peer):
            return _to_text(peer)
        headers = Headers(scope=scope)
        claimed = {
            self._nearest_untrusted(peer, hops)
            for hops in (_x_forwarded_for(headers), _forwarded(headers))
            if hops is not None
        }
        return _to_text(claimed.pop() if len(claimed) == 1 else peer)

    def _nearest_untrusted(self, peer: Address, hops: Sequence[str]) -> Address:
        nearest = peer
        for hop in reversed(hops[-MAX_HOPS:]):
            address = _parse_address(hop)
            if address is None:
                break
            nearest = address
            if not self._is_trusted(address):
                break
        return nearest

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def rate_limit_group(address: str) -> str:
    """Return the key of a limit per address: the IPv4 address, or the /64 network of an IPv6 address."""
    parsed = _parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, IPV6_GROUP_PREFIX), strict=False))
    return address


def endpoints_of(transport: asyncio.Transport) -> tuple[tuple[str, int], tuple[str, int] | None]:
    """Return host and port of the hub and of the client; None for a client that has disconnected.

    A duplicate socket object is used: uvloop's own one would keep the addresses for the lifetime of a stream.
    """
    original = transport.get_extra_info("socket")
    duplicate = socket.socket(original.family, original.type, original.proto, original.fileno())
    try:
        return duplicate.getsockname()[:2], duplicate.getpeername()[:2]
    except OSError:
        return duplicate.getsockname()[:2], None
    finally:
        # The file descriptor belongs to the transport.
        duplicate.detach()


# Cached, because one peer sends many requests and parsing an address costs as much as routing.
@lru_cache(maxsize=4_096)
def _to_text(address: Address) -> str:
    return str(address)


@lru_cache(maxsize=4_096)
def _parse_address(text: str) -> Address | None:
    """Return an address given with or without brackets, port and zone; None for other text."""
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
    """Return the `for` value of each element; an element without a readable one gives an empty text."""
    lines = headers.getlist("forwarded")
    if not lines:
        return None
    return [_parse_for(element) for element in ",".join(lines).split(",")]


def _parse_for(element: str) -> str:
    match = _FOR.search(element.strip()) if len(element) <= _MAX_ELEMENT_LENGTH else None
    return re.sub(r"\\(.)", r"\1", match.group(1).strip('"')) if match else ""
