"""Limits per address: somebody with a whole IPv6 network is still one customer."""

from tests.support.hub import PASSWORD, Hub
from tests.system.conftest import StartHub

# Two of one customer's addresses (RFC 6177: a /64 or more), and the neighbour's.
FIRST, SECOND, NEIGHBOUR = "2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"


def forwarded(address: str) -> dict[str, str]:
    return {"x-forwarded-for": address}


async def sign_up(hub: Hub, address: str, email: str) -> int:
    body = {"email": email, "password": PASSWORD, "name": "N", "role": "client"}
    return (await hub.client().post("/api/auth/signup", json=body, headers=forwarded(address))).status_code


async def fail_to_log_in(hub: Hub, address: str, email: str) -> int:
    body = {"email": email, "password": "guessed"}
    return (await hub.client().post("/api/auth/login", json=body, headers=forwarded(address))).status_code


async def test_another_address_of_the_same_network_is_no_way_round_a_limit(start_hub: StartHub) -> None:
    hub = await start_hub(
        HUB_TRUSTED_PROXIES="127.0.0.1",
        HUB_SIGNUP_RATE_LIMIT="1/hour",
        HUB_LOGIN_ADDRESS_RATE_LIMIT="1/hour",
        HUB_MAX_STREAMS_PER_ADDRESS="1",
    )
    answers = [await sign_up(hub, address, f"{n}@example.org") for n, address in enumerate((FIRST, SECOND, NEIGHBOUR))]
    assert answers == [201, 429, 201]
    tries = [await fail_to_log_in(hub, address, f"{n}x@example.org") for n, address in enumerate((FIRST, SECOND))]
    assert tries == [401, 429]
    # From an address of its own: signing in from one of the others is what is limited by now.
    ann = await hub.login("0@example.org")
    async with (
        hub.stream(ann, headers=forwarded(FIRST)) as first,
        hub.stream(ann, headers=forwarded(SECOND)) as second,
        hub.stream(ann, headers=forwarded(NEIGHBOUR)) as neighbour,
    ):
        assert (await second.next_event()).data == {"reason": "too_many_streams"}
        for stream in (first, neighbour):
            assert (await stream.next_event()).type == "connection_confirmed"
