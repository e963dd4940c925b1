"""ClientAddressResolver: forwarded headers, trusted proxies and forged addresses."""

from ipaddress import ip_network

import pytest

from api.http.client_address import MAX_HOPS, ClientAddressResolver, rate_limit_group

PROXIES = ClientAddressResolver([ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48")])


def address(peer: str | None, *headers: tuple[str, str], addresses: ClientAddressResolver = PROXIES) -> str:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    client = None if peer is None else (peer, 50_000)
    return addresses.resolve({"type": "http", "client": client, "headers": raw})


@pytest.mark.parametrize(
    "header",
    [("x-forwarded-for", "198.51.100.7"), ("forwarded", "for=198.51.100.7")],
    ids=["x-forwarded-for", "forwarded"],
)
def test_forwarded_header_counts_only_from_a_trusted_proxy(header: tuple[str, str]) -> None:
    assert address("10.0.0.1", header) == "198.51.100.7"
    assert address("203.0.113.9", header) == "203.0.113.9"
    assert address("10.0.0.1", header, addresses=ClientAddressResolver([])) == "10.0.0.1"


def test_hops_are_read_from_the_right_while_trusted() -> None:
    assert address("10.0.0.1", ("x-forwarded-for", "1.1.1.1, 198.51.100.7, 10.2.2.2, 10.3.3.3")) == "198.51.100.7"
    assert address("10.0.0.1", ("x-forwarded-for", "1.1.1.1, 198.51.100.7")) == "198.51.100.7"
    assert address("10.0.0.1", ("x-forwarded-for", "10.2.2.2, 10.3.3.3")) == "10.2.2.2"
    forwarded = "for=1.1.1.1, for=198.51.100.7;proto=https;by=10.0.0.1, For=10.2.2.2"
    assert address("10.0.0.1", ("forwarded", forwarded)) == "198.51.100.7"


def test_repeated_header_lines_form_one_list() -> None:
    assert address("10.0.0.1", ("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "198.51.100.7")) == "198.51.100.7"
    assert address("10.0.0.1", ("x-forwarded-for", "198.51.100.7"), ("x-forwarded-for", "10.1.1.1")) == "198.51.100.7"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("198.51.100.7:4711", "198.51.100.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_addresses_are_parsed_in_all_formats(text: str, expected: str) -> None:
    assert address("10.0.0.1", ("x-forwarded-for", text)) == expected
    assert address("10.0.0.1", ("forwarded", f'proto=http; for="{text}"')) == expected


@pytest.mark.parametrize(
    "hop",
    ["", ",", "unknown", "_hidden", "for=", "1.2.3", "1.2.3.4.5", "[::1", "x" * 9_000, "\x01", "ÿ", '"', ":::"],
    ids=[
        "empty",
        "comma",
        "unknown",
        "obfuscated",
        "empty for",
        "three octets",
        "five octets",
        "open bracket",
        "long",
        "control character",
        "not ascii",
        "quote",
        "colons",
    ],
)
def test_invalid_hop_ends_at_the_last_valid_hop(hop: str) -> None:
    assert address("10.0.0.1", ("x-forwarded-for", hop)) == "10.0.0.1"
    assert address("10.0.0.1", ("forwarded", hop)) == "10.0.0.1"
    assert address("10.0.0.1", ("x-forwarded-for", f"1.1.1.1, {hop}, 10.2.2.2")) == "10.2.2.2"


def test_conflicting_headers_are_ignored() -> None:
    # nginx writes one of the headers and passes the other on as the client sent it.
    header = ("x-forwarded-for", "198.51.100.7")
    assert address("10.0.0.1", header, ("forwarded", "for=1.1.1.1")) == "10.0.0.1"
    assert address("10.0.0.1", header, ("forwarded", "for=198.51.100.7;proto=https")) == "198.51.100.7"


def test_long_forged_chain_is_read_only_to_the_limit() -> None:
    chain = ", ".join(["1.1.1.1", *["10.0.0.9"] * MAX_HOPS])
    assert address("10.0.0.1", ("x-forwarded-for", chain)) == "10.0.0.9"


@pytest.mark.parametrize("peer", [None, "", "testclient"], ids=["none", "empty", "name"])
def test_peer_without_an_address_is_unknown_and_not_trusted(peer: str | None) -> None:
    trusting_all = ClientAddressResolver([ip_network("0.0.0.0/0"), ip_network("::/0")])
    assert address(peer, ("x-forwarded-for", "198.51.100.7"), addresses=trusting_all) == "unknown"


def test_ipv4_mapped_peer_equals_the_ipv4_peer() -> None:
    assert address("::ffff:10.0.0.1", ("x-forwarded-for", "198.51.100.7")) == "198.51.100.7"


def test_rate_limit_group_is_the_64_network_of_an_ipv6_address() -> None:
    assert rate_limit_group("2001:db8:1:2::1") == rate_limit_group("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert rate_limit_group("2001:db8:1:3::1") != rate_limit_group("2001:db8:1:2::1")
    assert rate_limit_group("198.51.100.7") == "198.51.100.7"
    assert rate_limit_group("unknown") == "unknown"
