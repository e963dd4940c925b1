"""Push endpoints: only public addresses are accepted, and slow lookups are bounded."""

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest

from services.delivery import dns_resolver
from services.delivery.dns_resolver import NoSuchHost, ResolverBusy
from services.delivery.public_addresses import is_public
from services.delivery.push_endpoints import (
    MAX_ADDRESSES,
    MAX_CONCURRENT_CHECKS,
    MAX_CONCURRENT_SENDS,
    NotPublic,
    PushEndpoints,
)
from services.errors import InvalidField, Overloaded
from tests.support.timeouts import TIMEOUT_SECONDS

SPECIAL_ADDRESSES = (
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.9.9.9"),
    *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.1"),
    *("198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1"),
    "255.255.255.255",
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1"),
    *("64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1"),
    *("fc00::1", "fd12:3456:789a::1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "ff02::1", "4000::1"),
)
PUBLIC_ADDRESSES = (
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255"),
    *("172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255"),
    *("2001:4860:4860::8888", "2606:4700:4700::1111", "2a00:1450:4001:82b::200a"),
)


@pytest.mark.parametrize("address", SPECIAL_ADDRESSES)
def test_special_purpose_address_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC_ADDRESSES)
def test_public_address_is_public(address: str) -> None:
    assert is_public(address)


def endpoints_resolving_to(*addresses: str, test_origin: str | None = None) -> PushEndpoints:
    def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return PushEndpoints(test_origin, resolve)


@pytest.mark.parametrize("address", SPECIAL_ADDRESSES)
async def test_host_with_any_private_address_is_rejected(address: str) -> None:
    for addresses in ([address], ["8.8.8.8", address], [address, "8.8.8.8"]):
        with pytest.raises(NotPublic):
            await endpoints_resolving_to(*addresses).resolve("push.example", 443)
        with pytest.raises(InvalidField) as error:
            await endpoints_resolving_to(*addresses).check("https://push.example/x", "ann")
        assert error.value.details == {"pointer": "/endpoint", "reason": "unsafe link"}


async def test_public_host_resolves_to_its_checked_addresses() -> None:
    assert await endpoints_resolving_to("8.8.8.8", "2606:4700::1").resolve("push.example", 443) == (
        "8.8.8.8",
        "2606:4700::1",
    )
    await endpoints_resolving_to("8.8.8.8").check("https://push.example/x?y=1", "ann")


async def test_host_without_addresses_is_rejected() -> None:
    with pytest.raises(NoSuchHost):
        await endpoints_resolving_to().resolve("push.example", 443)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0",
        "[::]",
    ],
)
async def test_no_spelling_of_loopback_is_accepted(host: str) -> None:
    # Uses the resolver of the machine.
    with pytest.raises(InvalidField):
        await PushEndpoints(None).check(f"https://{host}/x", "ann")


@pytest.mark.parametrize(
    "url",
    [
        *("http://push.example/x", "ftp://push.example/x", "//push.example/x", "/x", "x", "", "https:push.example/x"),
        *("https:///x", "https://push.example:8443/x", "https://push.example:22/x", "https://push.example:0/x"),
        *("https://a@push.example/x", "https://a:b@push.example/x", "https://push.example\\@127.0.0.1/x"),
        *("https://push.example/a b", "https://push.example/\r\nHost: x", "https://push.example/x#y", "https://[::1/x"),
        *(
            "https://püsh.example/x",
            "https://push.example:99999/x",
            "https://push.example:x/",
            "https://" + "x" * 1_000,
        ),
        *("javascript:alert(1)", "file:///etc/passwd", "https://push.example/\0", "https://?x"),
    ],
)
def test_endpoint_that_is_not_plain_https_is_rejected(url: str) -> None:
    with pytest.raises(InvalidField) as error:
        endpoints_resolving_to("8.8.8.8").parse(url)
    assert error.value.details["pointer"] == "/endpoint"


async def test_test_origin_exempts_exactly_one_scheme_host_and_port() -> None:
    endpoints = endpoints_resolving_to("127.0.0.1", test_origin="http://127.0.0.1:9000")
    assert endpoints.parse("http://127.0.0.1:9000/x").origin == "http://127.0.0.1:9000"
    assert await endpoints.resolve("127.0.0.1", 9000) == ("127.0.0.1",)
    for url in ("http://127.0.0.1:9001/x", "https://127.0.0.1:9000/x", "http://localhost:9000/x"):
        with pytest.raises(InvalidField):
            endpoints.parse(url)
    for host, port in (("127.0.0.1", 443), ("push.example", 9000), ("127.0.0.1", 80)):
        with pytest.raises(NotPublic):
            await endpoints.resolve(host, port)


@pytest.fixture
def hanging_hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator["HangingHosts"]:
    hosts = HangingHosts(monkeypatch)
    yield hosts
    hosts.end.set()


class HangingHosts:
    """A resolver function: lookups of hosts that begin with `hole` hang until `end`, all others are public."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.end = threading.Event()
        self.lookups: list[str] = []
        self._monkeypatch = monkeypatch
        # Short, so that a test does not wait for hanging lookups.
        monkeypatch.setattr(dns_resolver, "TIMEOUT_SECONDS", 0.2)

    def allow_slow_lookups(self) -> None:
        """Restore a long timeout for the lookups that do not hang."""
        self._monkeypatch.setattr(dns_resolver, "TIMEOUT_SECONDS", TIMEOUT_SECONDS)

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.lookups.append(host)
        if host.startswith("hole"):
            assert self.end.wait(TIMEOUT_SECONDS)
        return ["8.8.8.8"]


async def test_hanging_lookups_delay_neither_sending_nor_other_users(hanging_hosts: HangingHosts) -> None:
    endpoints = PushEndpoints(None, hanging_hosts)
    for number in range(MAX_CONCURRENT_CHECKS + 1):
        with pytest.raises((InvalidField, Overloaded)):
            await endpoints.check(f"https://hole{number}.example/x", "eve")
    assert hanging_hosts.lookups == ["hole0.example"], "a user occupies one thread"
    hanging_hosts.allow_slow_lookups()
    await endpoints.check("https://push.example/x", "ann")
    assert await endpoints.resolve("push.example", 443) == ["8.8.8.8"]


async def test_busy_resolver_responds_at_once_with_overloaded(hanging_hosts: HangingHosts) -> None:
    endpoints = PushEndpoints(None, hanging_hosts)
    for number in range(MAX_CONCURRENT_CHECKS):
        with pytest.raises(InvalidField):
            await endpoints.check(f"https://hole{number}.example/x", f"user {number}")
    with pytest.raises(Overloaded):
        await endpoints.check("https://push.example/x", "ann")
    lookups = (endpoints.resolve(f"hole{number}.example", 443) for number in range(MAX_CONCURRENT_SENDS))
    assert [type(error) for error in await asyncio.gather(*lookups, return_exceptions=True)] == [
        NoSuchHost
    ] * MAX_CONCURRENT_SENDS
    hanging_hosts.allow_slow_lookups()
    with pytest.raises(ResolverBusy):
        await endpoints.resolve("push.example", 443)
    hanging_hosts.end.set()
    await wait_until_free(endpoints)
    assert await endpoints.resolve("push.example", 443) == ["8.8.8.8"]


async def test_slow_host_is_not_looked_up_again_for_a_minute(hanging_hosts: HangingHosts) -> None:
    now = 0.0
    resolver = dns_resolver.DnsResolver(1, hanging_hosts, lambda: now)
    with pytest.raises(NoSuchHost):
        await resolver.resolve("hole.example", 443)
    hanging_hosts.allow_slow_lookups()
    hanging_hosts.end.set()
    await wait_until_free(resolver)
    now = dns_resolver.SLOW_HOST_SECONDS - 1
    with pytest.raises(NoSuchHost):
        await resolver.resolve("hole.example", 443)
    assert hanging_hosts.lookups.count("hole.example") == 1
    now = dns_resolver.SLOW_HOST_SECONDS
    assert await resolver.resolve("hole.example", 443) == ["8.8.8.8"]


async def wait_until_free(resolver: dns_resolver.DnsResolver | PushEndpoints) -> None:
    """Wait until a hanging lookup has finished."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while True:
            try:
                await resolver.resolve("push.example", 443)
            except ResolverBusy:
                await asyncio.sleep(0)
            else:
                return


async def test_number_of_remembered_slow_hosts_is_limited(
    hanging_hosts: HangingHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns_resolver, "MAX_SLOW_HOSTS", 2)
    resolver = dns_resolver.DnsResolver(9, hanging_hosts, lambda: 0.0)
    names = [f"hole{number}.example" for number in range(3)]
    await asyncio.gather(*(resolver.resolve(name, 443) for name in names), return_exceptions=True)
    hanging_hosts.allow_slow_lookups()
    hanging_hosts.end.set()
    assert await resolver.resolve(names[0], 443) == ["8.8.8.8"]
    for name in names[1:]:
        with pytest.raises(NoSuchHost):
            await resolver.resolve(name, 443)


async def test_host_with_many_addresses_is_limited_to_the_first_ones() -> None:
    addresses = [f"8.8.8.{number}" for number in range(50)]
    assert await endpoints_resolving_to(*addresses).resolve("push.example", 443) == tuple(addresses[:MAX_ADDRESSES])
