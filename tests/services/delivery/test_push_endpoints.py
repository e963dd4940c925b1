"""A user can make the hub send to push services out in the public, and nowhere else: neither by name nor by address."""

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest

from services.delivery import dns_resolver
from services.delivery.dns_resolver import NoSuchHost, ResolverBusy
from services.delivery.public_addresses import is_public
from services.delivery.push_endpoints import ADDRESSES, CHECKS, SENDS, NotPublic, PushEndpoints
from services.errors import InvalidField, Overloaded

INSIDE = (
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.9.9.9"),
    *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.1"),
    *("198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1"),
    "255.255.255.255",
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1"),
    *("64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1"),
    *("fc00::1", "fd12:3456:789a::1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "ff02::1", "4000::1"),
)
OUTSIDE = (
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255"),
    *("172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255"),
    *("2001:4860:4860::8888", "2606:4700:4700::1111", "2a00:1450:4001:82b::200a"),
)


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_outside_is_public(address: str) -> None:
    assert is_public(address)


def leading_to(*addresses: str, exempt: str | None = None) -> PushEndpoints:
    def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return PushEndpoints(exempt, resolve)


@pytest.mark.parametrize("address", INSIDE)
async def test_a_name_that_leads_inside_is_refused_even_if_it_leads_outside_too(address: str) -> None:
    for found in ([address], ["8.8.8.8", address], [address, "8.8.8.8"]):
        with pytest.raises(NotPublic):
            await leading_to(*found).addresses("push.example", 443)
        with pytest.raises(InvalidField) as refused:
            await leading_to(*found).check("https://push.example/x", "ann")
        assert refused.value.details == {"pointer": "/endpoint", "reason": "unsafe link"}


async def test_what_leads_outside_is_taken_with_the_addresses_that_were_checked() -> None:
    assert await leading_to("8.8.8.8", "2606:4700::1").addresses("push.example", 443) == ("8.8.8.8", "2606:4700::1")
    await leading_to("8.8.8.8").check("https://push.example/x?y=1", "ann")


async def test_a_name_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(NoSuchHost):
        await leading_to().addresses("push.example", 443)


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
async def test_no_way_of_writing_this_machine_leads_to_it(host: str) -> None:
    # By the machine's own look-up, with nothing planted.
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
def test_what_is_no_plain_https_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidField) as refused:
        leading_to("8.8.8.8").parse(url)
    assert refused.value.details["pointer"] == "/endpoint"


async def test_a_test_may_name_one_origin_on_this_machine_and_no_other_port_of_it() -> None:
    endpoints = leading_to("127.0.0.1", exempt="http://127.0.0.1:9000")
    assert endpoints.parse("http://127.0.0.1:9000/x").origin == "http://127.0.0.1:9000"
    assert await endpoints.addresses("127.0.0.1", 9000) == ("127.0.0.1",)
    for url in ("http://127.0.0.1:9001/x", "https://127.0.0.1:9000/x", "http://localhost:9000/x"):
        with pytest.raises(InvalidField):
            endpoints.parse(url)
    for host, port in (("127.0.0.1", 443), ("push.example", 9000), ("127.0.0.1", 80)):
        with pytest.raises(NotPublic):
            await endpoints.addresses(host, port)


@pytest.fixture
def black_holes(monkeypatch: pytest.MonkeyPatch) -> Iterator["BlackHoles"]:
    holes = BlackHoles(monkeypatch)
    yield holes
    holes.end.set()


class BlackHoles:
    """Looks names up: those that begin with `hole` hang until the end, all others are out in the public."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.end = threading.Event()
        self.asked: list[str] = []
        self._monkeypatch = monkeypatch
        # So short that a test does not wait for what hangs.
        monkeypatch.setattr(dns_resolver, "SECONDS", 0.2)

    def are_made(self) -> None:
        """From here on what answers may take its time."""
        self._monkeypatch.setattr(dns_resolver, "SECONDS", 60.0)

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host.startswith("hole"):
            assert self.end.wait(60)
        return ["8.8.8.8"]


async def test_names_that_nobody_answers_keep_neither_a_push_nor_another_user_waiting(black_holes: BlackHoles) -> None:
    endpoints = PushEndpoints(None, black_holes)
    for number in range(CHECKS + 1):
        with pytest.raises((InvalidField, Overloaded)):
            await endpoints.check(f"https://hole{number}.example/x", "eve")
    assert black_holes.asked == ["hole0.example"], "one thread is all that she holds"
    black_holes.are_made()
    await endpoints.check("https://push.example/x", "ann")
    assert await endpoints.addresses("push.example", 443) == ["8.8.8.8"]


async def test_a_full_house_is_nobody_s_fault_and_is_said_at_once(black_holes: BlackHoles) -> None:
    endpoints = PushEndpoints(None, black_holes)
    for number in range(CHECKS):
        with pytest.raises(InvalidField):
            await endpoints.check(f"https://hole{number}.example/x", f"user {number}")
    with pytest.raises(Overloaded):
        await endpoints.check("https://push.example/x", "ann")
    many = (endpoints.addresses(f"hole{number}.example", 443) for number in range(SENDS))
    assert [type(each) for each in await asyncio.gather(*many, return_exceptions=True)] == [NoSuchHost] * SENDS
    black_holes.are_made()
    with pytest.raises(ResolverBusy):
        await endpoints.addresses("push.example", 443)
    black_holes.end.set()
    await free_again(endpoints)
    assert await endpoints.addresses("push.example", 443) == ["8.8.8.8"]


async def test_a_name_that_nobody_answered_is_not_asked_for_again_for_a_minute(black_holes: BlackHoles) -> None:
    now = 0.0
    asked = dns_resolver.DnsResolver(1, black_holes, lambda: now)
    with pytest.raises(NoSuchHost):
        await asked.addresses("hole.example", 443)
    black_holes.are_made()
    black_holes.end.set()
    await free_again(asked)
    now = dns_resolver.SLOW_SECONDS - 1
    with pytest.raises(NoSuchHost):
        await asked.addresses("hole.example", 443)
    assert black_holes.asked.count("hole.example") == 1
    now = dns_resolver.SLOW_SECONDS
    assert await asked.addresses("hole.example", 443) == ["8.8.8.8"]


async def free_again(asked: dns_resolver.DnsResolver | PushEndpoints) -> None:
    """Wait until a thread that hung has ended."""
    while True:
        try:
            await asked.addresses("push.example", 443)
        except ResolverBusy:
            await asyncio.sleep(0)
        else:
            return


async def test_names_that_nobody_answered_are_remembered_up_to_a_number(
    black_holes: BlackHoles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns_resolver, "SLOW_NAMES", 2)
    asked = dns_resolver.DnsResolver(9, black_holes, lambda: 0.0)
    names = [f"hole{number}.example" for number in range(3)]
    await asyncio.gather(*(asked.addresses(name, 443) for name in names), return_exceptions=True)
    black_holes.are_made()
    black_holes.end.set()
    assert await asked.addresses(names[0], 443) == ["8.8.8.8"]
    for name in names[1:]:
        with pytest.raises(NoSuchHost):
            await asked.addresses(name, 443)


async def test_of_a_name_with_very_many_addresses_a_few_are_tried() -> None:
    many = [f"8.8.8.{number}" for number in range(50)]
    assert await leading_to(*many).addresses("push.example", 443) == tuple(many[:ADDRESSES])
