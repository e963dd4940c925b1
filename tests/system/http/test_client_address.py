"""Limits per client address: all addresses of an IPv6 /64 network share one limit."""

from tests.support.hub import PASSWORD, Hub
from tests.system.conftest import StartHub

# Two addresses of one network (a customer gets at least a /64, RFC 6177), and one of another network.
FIRST, SECOND, OTHER_NETWORK = "2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"


def forwarded(address: str) -> dict[str, str]:
    return {"x-forwarded-for": address}


async def sign_up(hub: Hub, address: str, email: str) -> int:
    body = {"email": email, "password": PASSWORD, "name": "N", "role": "client"}
    return (await hub.client().post("/api/auth/signup", json=body, headers=forwarded(address))).status_code


async def fail_to_log_in(hub: Hub, address: str, email: str) -> int:
    body = {"email": email, "password": "guessed"}
    return (await hub.client().post("/api/auth/login", json=body, headers=forwarded(address))).status_code


async def test_limits_are_shared_by_all_addresses_of_an_ipv6_network(start_hub: StartHub) -> None:
    hub = await start_hub(
        HUB_TRUSTED_PROXIES="127.0.0.1",
        HUB_SIGNUP_RATE_LIMIT="1/hour",
        HUB_LOGIN_ADDRESS_RATE_LIMIT="1/hour",
        HUB_MAX_STREAMS_PER_ADDRESS="1",
    )
    responses = [
        await sign_up(hub, address, f"{n}@example.org") for n, address in enumerate((FIRST, SECOND, OTHER_NETWORK))
    ]
    assert responses == [201, 429, 201]
    failed_logins = [
        await fail_to_log_in(hub, address, f"{n}x@example.org") for n, address in enumerate((FIRST, SECOND))
    ]
    assert failed_logins == [401, 429]
    # This login comes from another address, because logins from the first two are limited by now.
    ann = await hub.login("0@example.org")
    async with (
        hub.stream(ann, headers=forwarded(FIRST)) as first,
        hub.stream(ann, headers=forwarded(SECOND)) as second,
        hub.stream(ann, headers=forwarded(OTHER_NETWORK)) as other_network,
    ):
        assert (await second.next_event()).data == {"reason": "too_many_streams"}
        for stream in (first, other_network):
            assert (await stream.next_event()).type == "connection_confirmed"
