"""Which addresses are out in the public: what a user names may lead the hub nowhere else (RFC 6890)."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

# Not public: this network, private, shared (CGNAT), loopback, link-local (metadata services too), protocol assignments,
# documentation, 6to4 relays, benchmarks, multicast, reserved, broadcast.
_NOT_PUBLIC_4: Final = tuple(
    IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
# Of IPv6 only this part is given to anybody, and of it these are not: Teredo and other protocols, documentation, 6to4.
_GIVEN_6: Final = IPv6Network("2000::/3")
_NOT_PUBLIC_6: Final = tuple(IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))


def is_public(text: str) -> bool:
    """Whether an address is one that anybody may reach; an IPv4 address inside an IPv6 one (mapped, NAT64) is none."""
    address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _GIVEN_6 and not any(address in network for network in _NOT_PUBLIC_6)
