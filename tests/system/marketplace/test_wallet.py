"""Wallets over HTTP: deposits, withdrawals, idempotency, statements and invalid amounts."""

import asyncio
import typing
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from api.http.bodies import Amount
from api.routes.table import OPERATIONS
from tests.support.hub import Hub, Person
from tests.system.conftest import StartHub


async def get_wallet(hub: Hub, user: Person) -> dict[str, Any]:
    response = await hub.client(user).get("/api/wallet")
    assert response.status_code == 200, response.text
    return dict(response.json())


def status_and_code(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


@pytest.fixture
async def poor_hub(start_hub: StartHub) -> Hub:
    """A hub whose new users have no money."""
    return await start_hub(HUB_OPENING_BALANCE="0", HUB_RATE_LIMIT="0", HUB_CURRENCY="EUR")


async def test_repeated_deposit_is_booked_and_notified_once(poor_hub: Hub) -> None:
    ann, key = await poor_hub.signup("client"), await poor_hub.api_key("deposit")
    payments = poor_hub.client(key)
    body = {"userId": ann.id, "amount": 5_000, "paymentId": "pay-1"}
    async with poor_hub.stream(ann) as stream:
        await stream.next_event("connection_confirmed")
        responses = await asyncio.gather(*(payments.post("/api/wallet/deposits", json=body) for _ in range(10)))
        assert {response.status_code for response in responses} == {201}
        assert len({response.text for response in responses}) == 1
        notification = (await stream.next_event("notification")).data
        assert (
            notification["type"],
            notification["category"],
            notification["priority"],
            notification["icon"],
        ) == (
            "deposit",
            "payment",
            "normal",
            "💰",
        )
        assert notification["invalidates"] == ["wallet"]
    entry = responses[0].json()
    assert set(entry) == {"id", "kind", "amount", "balance", "jobId", "createdAt"}
    assert (entry["kind"], entry["amount"], entry["balance"], entry["jobId"]) == ("deposit", 5_000, 5_000, None)
    assert await get_wallet(poor_hub, ann) == {"available": 5_000, "held": 0, "currency": "EUR"}
    assert (await poor_hub.client(ann).get("/api/notifications")).json()["unread"] == 1
    for other in ({"amount": 5_001}, {"userId": (await poor_hub.signup()).id}):
        assert status_and_code(await payments.post("/api/wallet/deposits", json=body | other)) == (
            422,
            "IDEMPOTENCY_KEY_REUSED",
        )
    assert (await poor_hub.client(ann).get("/api/wallet/entries")).json() == {"items": [entry], "next": None}


async def test_deposit_accepts_an_external_user_id(poor_hub: Hub) -> None:
    users = poor_hub.client(await poor_hub.api_key("users"))
    payments = poor_hub.client(await poor_hub.api_key("deposit"))
    assert (await users.put("/api/users/by-external-id/crm-7", json={"name": "Ann"})).status_code == 200
    body = {"amount": 100, "paymentId": "p"}
    deposited = await payments.post("/api/wallet/deposits", json=body | {"externalId": "crm-7"})
    assert (deposited.status_code, deposited.json()["balance"]) == (201, 100)
    for user in ({}, {"externalId": "crm-8"}, {"userId": "crm-7"}, {"userId": "x", "externalId": "crm-7"}):
        rejected = await payments.post("/api/wallet/deposits", json=body | {"paymentId": "q"} | user)
        assert status_and_code(rejected) == (422, "INVALID_FIELD")
    assert status_and_code(await users.post("/api/wallet/deposits", json=body | {"externalId": "crm-7"})) == (
        403,
        "FORBIDDEN",
    )


async def test_repeated_idempotency_key_makes_one_withdrawal(hub: Hub) -> None:
    ann = await hub.signup("freelancer")
    client = hub.client(ann, headers={"idempotency-key": "once"})
    responses = [await client.post("/api/wallet/withdrawals", json={"amount": 400}) for _ in range(3)]
    assert [response.status_code for response in responses] == [201] * 3
    assert len({response.text for response in responses}) == 1
    assert responses[0].json()["amount"] == -400
    reused = await client.post("/api/wallet/withdrawals", json={"amount": 401})
    assert status_and_code(reused) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert (await get_wallet(hub, ann))["available"] == 1_000_000 - 400


async def test_one_of_many_concurrent_withdrawals_of_60_percent_succeeds(hub: Hub) -> None:
    ann = await hub.signup()
    client = hub.client(ann)
    responses = await asyncio.gather(
        *(client.post("/api/wallet/withdrawals", json={"amount": 600_000}) for _ in range(20))
    )
    assert sorted(response.status_code for response in responses) == [201] + [402] * 19
    for response in responses:
        if response.status_code == 402:
            assert (response.json()["code"], response.json()["available"]) == ("INSUFFICIENT_FUNDS", 400_000)
    assert (await get_wallet(hub, ann))["available"] == 400_000
    inbox = (await hub.client(ann).get("/api/notifications")).json()
    assert [item["type"] for item in inbox["items"]] == ["withdrawal"]


async def test_posting_a_job_is_rejected_when_funds_are_insufficient(hub: Hub) -> None:
    ann = await hub.signup()
    client = hub.client(ann)
    job = {"title": "T", "description": "D", "budget": 700_000}
    responses = await asyncio.gather(*(client.post("/api/jobs", json=job) for _ in range(5)))
    assert sorted(response.status_code for response in responses) == [201] + [402] * 4
    assert await get_wallet(hub, ann) == {"available": 300_000, "held": 700_000, "currency": "USD"}
    assert len((await client.get("/api/jobs?mine=true")).json()["items"]) == 1


async def test_statement_is_paged_and_private(hub: Hub) -> None:
    ann, bob = await hub.signup(), await hub.signup()
    client = hub.client(ann)
    for amount in range(1, 8):
        await client.post("/api/wallet/withdrawals", json={"amount": amount})
    whole = (await client.get("/api/wallet/entries?limit=100")).json()
    assert [item["amount"] for item in whole["items"]] == [-7, -6, -5, -4, -3, -2, -1, 1_000_000]
    entries, after = [], ""
    while True:
        page = (await client.get(f"/api/wallet/entries?limit=3{after}")).json()
        entries += page["items"]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert entries == whole["items"]
    assert len((await hub.client(bob).get("/api/wallet/entries")).json()["items"]) == 1
    for path in ("/api/wallet", "/api/wallet/entries"):
        assert status_and_code(await hub.client().get(path)) == (401, "UNAUTHENTICATED")
    for query in ("after=x", "limit=0", "limit=101", "userId=" + bob.id):
        assert (await client.get(f"/api/wallet/entries?{query}")).status_code == 422


# Invalid amounts, as JSON text.
INVALID_AMOUNTS = (
    "0",
    "-1",
    "0.1",
    '"100"',
    "true",
    "null",
    "1e18",
    "1000000000000000000",
    "9223372036854775807",
    "1000000000001",
)
TOO_LARGE = ("9223372036854775808", "-9223372036854775809")

Ask = Callable[[str], Awaitable[httpx2.Response]]


def amount_fields() -> set[tuple[str, str, str]]:
    """Return method, path and field of every amount in a request body, from the route table."""
    return {
        (operation.method, operation.path, name)
        for operation in OPERATIONS
        if isinstance(operation.body, type)
        for name, hint in typing.get_type_hints(operation.body, include_extras=True).items()
        if hint == Amount or Amount in typing.get_args(hint)
    }


async def test_invalid_amounts_are_rejected_by_every_route_without_a_transfer(hub: Hub) -> None:
    ann, bob, key = await hub.signup(), await hub.signup("freelancer"), await hub.api_key("deposit")
    posted = await hub.client(ann).post("/api/jobs", json={"title": "T", "description": "D", "budget": 500})
    job = posted.json()["id"]
    requests: dict[tuple[str, str, str], tuple[Person | str, str]] = {
        ("POST", "/api/jobs", "budget"): (ann, '{"title": "T", "description": "D", "budget": %s}'),
        ("PATCH", "/api/jobs/{id}", "budget"): (ann, '{"budget": %s}'),
        ("POST", "/api/jobs/{id}/bids", "price"): (bob, '{"message": "Me", "price": %s}'),
        ("POST", "/api/wallet/deposits", "amount"): (key, f'{{"userId": "{ann.id}", "paymentId": "p", "amount": %s}}'),
        ("POST", "/api/wallet/withdrawals", "amount"): (ann, '{"amount": %s}'),
    }
    assert set(requests) == amount_fields()
    before = [await get_wallet(hub, user) for user in (ann, bob)]
    for (method, path, field), (caller, body) in requests.items():
        client = hub.client(caller, headers={"content-type": "application/json"})
        for amount in (*INVALID_AMOUNTS, *TOO_LARGE):
            response = await client.request(method, path.replace("{id}", job), content=body.replace("%s", amount))
            problem = response.json()
            assert (response.status_code, problem["code"], problem["pointer"]) == (422, "INVALID_FIELD", f"/{field}"), (
                amount
            )
            assert problem["reason"] in ("type", "range")
    assert [await get_wallet(hub, user) for user in (ann, bob)] == before
    assert len((await hub.client(ann).get("/api/wallet/entries")).json()["items"]) == 2
    assert len((await hub.client().get("/api/jobs")).json()["items"]) == 1
    assert (await hub.client().get(f"/api/jobs/{job}")).json()["bidCount"] == 0
    largest = {"userId": ann.id, "amount": 10**12, "paymentId": "largest"}
    assert (await hub.client(key).post("/api/wallet/deposits", json=largest)).status_code == 201
