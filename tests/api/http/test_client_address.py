"""Whose address counts: the peer's, unless a trusted proxy says whose it was, and nobody can forge one."""

from ipaddress import ip_network

import pytest

from api.http.client_address import MAX_HOPS, ClientAddressResolver, rate_limit_group

PROXIES = ClientAddressResolver([ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48")])


def address(peer: str | None, *headers: tuple[str, str], addresses: ClientAddressResolver = PROXIES) -> str:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    client = None if peer is None else (peer, 50_000)
    return addresses.resolve({"type": "http", "client": client, "headers": raw})


@pytest.mark.parametrize("header", [("x-forwarded-for", "198.51.100.7"), ("forwarded", "for=198.51.100.7")])
def test_a_header_counts_only_when_the_peer_is_a_trusted_proxy(header: tuple[str, str]) -> None:
    assert address("10.0.0.1", header) == "198.51.100.7"
    assert address("203.0.113.9", header) == "203.0.113.9"
    assert address("10.0.0.1", header, addresses=ClientAddressResolver([])) == "10.0.0.1"


def test_the_walk_goes_from_the_right_over_trusted_hops_only() -> None:
    assert address("10.0.0.1", ("x-forwarded-for", "1.1.1.1, 198.51.100.7, 10.2.2.2, 10.3.3.3")) == "198.51.100.7"
    assert address("10.0.0.1", ("x-forwarded-for", "1.1.1.1, 198.51.100.7")) == "198.51.100.7"
    assert address("10.0.0.1", ("x-forwarded-for", "10.2.2.2, 10.3.3.3")) == "10.2.2.2"
    forwarded = "for=1.1.1.1, for=198.51.100.7;proto=https;by=10.0.0.1, For=10.2.2.2"
    assert address("10.0.0.1", ("forwarded", forwarded)) == "198.51.100.7"


def test_lines_of_a_header_are_one_list() -> None:
    assert address("10.0.0.1", ("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "198.51.100.7")) == "198.51.100.7"
    assert address("10.0.0.1", ("x-forwarded-for", "198.51.100.7"), ("x-forwarded-for", "10.1.1.1")) == "198.51.100.7"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("198.51.100.7:4711", "198.51.100.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_addresses_are_read_in_all_their_forms(text: str, meant: str) -> None:
    assert address("10.0.0.1", ("x-forwarded-for", text)) == meant
    assert address("10.0.0.1", ("forwarded", f'proto=http; for="{text}"')) == meant


@pytest.mark.parametrize(
    "garbage",
    ["", ",", "unknown", "_hidden", "for=", "1.2.3", "1.2.3.4.5", "[::1", "x" * 9_000, "\x01", "ÿ", '"', ":::"],
)
def test_garbage_ends_the_walk_at_the_last_hop_that_was_good(garbage: str) -> None:
    assert address("10.0.0.1", ("x-forwarded-for", garbage)) == "10.0.0.1"
    assert address("10.0.0.1", ("forwarded", garbage)) == "10.0.0.1"
    assert address("10.0.0.1", ("x-forwarded-for", f"1.1.1.1, {garbage}, 10.2.2.2")) == "10.2.2.2"


def test_where_two_headers_disagree_neither_is_believed() -> None:
    # nginx writes the one and passes the other through, whatever a client put there.
    told = ("x-forwarded-for", "198.51.100.7")
    assert address("10.0.0.1", told, ("forwarded", "for=1.1.1.1")) == "10.0.0.1"
    assert address("10.0.0.1", told, ("forwarded", "for=198.51.100.7;proto=https")) == "198.51.100.7"


def test_a_long_forged_chain_is_not_walked_to_its_end() -> None:
    chain = ", ".join(["1.1.1.1", *["10.0.0.9"] * MAX_HOPS])
    assert address("10.0.0.1", ("x-forwarded-for", chain)) == "10.0.0.9"


@pytest.mark.parametrize("peer", [None, "", "testclient"])
def test_a_peer_without_an_address_is_unknown_and_trusted_by_nobody(peer: str | None) -> None:
    everybody = ClientAddressResolver([ip_network("0.0.0.0/0"), ip_network("::/0")])
    assert address(peer, ("x-forwarded-for", "198.51.100.7"), addresses=everybody) == "unknown"


def test_a_peer_that_speaks_ipv4_over_ipv6_is_the_same_peer() -> None:
    assert address("::ffff:10.0.0.1", ("x-forwarded-for", "198.51.100.7")) == "198.51.100.7"


def test_limits_count_an_ipv6_customer_as_one() -> None:
    assert rate_limit_group("2001:db8:1:2::1") == rate_limit_group("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert rate_limit_group("2001:db8:1:3::1") != rate_limit_group("2001:db8:1:2::1")
    assert rate_limit_group("198.51.100.7") == "198.51.100.7"
    assert rate_limit_group("unknown") == "unknown"
