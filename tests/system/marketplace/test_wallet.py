"""Wallets over HTTP: money comes in once, goes out once, and nothing that is no amount moves any."""

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


async def wallet(hub: Hub, who: Person) -> dict[str, Any]:
    answer = await hub.client(who).get("/api/wallet")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.fixture
async def poor_hub(start_hub: StartHub) -> Hub:
    """A hub that gives nobody anything."""
    return await start_hub(HUB_OPENING_BALANCE="0", HUB_RATE_LIMIT="0", HUB_CURRENCY="EUR")


async def test_a_payment_is_in_the_wallet_and_told_once_however_often_it_is_sent(poor_hub: Hub) -> None:
    ann, key = await poor_hub.signup("client"), await poor_hub.api_key("deposit")
    payments = poor_hub.client(key)
    body = {"userId": ann.id, "amount": 5_000, "paymentId": "pay-1"}
    async with poor_hub.stream(ann) as stream:
        await stream.next_event("connection_confirmed")
        answers = await asyncio.gather(*(payments.post("/api/wallet/deposits", json=body) for _ in range(10)))
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.text for answer in answers}) == 1
        told = (await stream.next_event("notification")).data
        assert (told["type"], told["category"], told["priority"], told["icon"]) == (
            "deposit",
            "payment",
            "normal",
            "💰",
        )
        assert told["invalidates"] == ["wallet"]
    entry = answers[0].json()
    assert set(entry) == {"id", "kind", "amount", "balance", "jobId", "createdAt"}
    assert (entry["kind"], entry["amount"], entry["balance"], entry["jobId"]) == ("deposit", 5_000, 5_000, None)
    assert await wallet(poor_hub, ann) == {"available": 5_000, "held": 0, "currency": "EUR"}
    assert (await poor_hub.client(ann).get("/api/notifications")).json()["unread"] == 1
    for other in ({"amount": 5_001}, {"userId": (await poor_hub.signup()).id}):
        assert code(await payments.post("/api/wallet/deposits", json=body | other)) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert (await poor_hub.client(ann).get("/api/wallet/entries")).json() == {"items": [entry], "next": None}


async def test_a_service_may_name_the_user_as_it_knows_them(poor_hub: Hub) -> None:
    users = poor_hub.client(await poor_hub.api_key("users"))
    payments = poor_hub.client(await poor_hub.api_key("deposit"))
    assert (await users.put("/api/users/by-external-id/crm-7", json={"name": "Ann"})).status_code == 200
    body = {"amount": 100, "paymentId": "p"}
    made = await payments.post("/api/wallet/deposits", json=body | {"externalId": "crm-7"})
    assert (made.status_code, made.json()["balance"]) == (201, 100)
    for who in ({}, {"externalId": "crm-8"}, {"userId": "crm-7"}, {"userId": "x", "externalId": "crm-7"}):
        refused = await payments.post("/api/wallet/deposits", json=body | {"paymentId": "q"} | who)
        assert code(refused) == (422, "INVALID_FIELD")
    assert code(await users.post("/api/wallet/deposits", json=body | {"externalId": "crm-7"})) == (403, "FORBIDDEN")


async def test_one_idempotency_key_is_one_withdrawal(hub: Hub) -> None:
    ann = await hub.signup("freelancer")
    client = hub.client(ann, headers={"idempotency-key": "once"})
    answers = [await client.post("/api/wallet/withdrawals", json={"amount": 400}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json()["amount"] == -400
    reused = await client.post("/api/wallet/withdrawals", json={"amount": 401})
    assert code(reused) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert (await wallet(hub, ann))["available"] == 1_000_000 - 400


async def test_of_withdrawals_of_sixty_per_cent_at_once_one_wins(hub: Hub) -> None:
    ann = await hub.signup()
    client = hub.client(ann)
    answers = await asyncio.gather(
        *(client.post("/api/wallet/withdrawals", json={"amount": 600_000}) for _ in range(20))
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [402] * 19
    for answer in answers:
        if answer.status_code == 402:
            assert (answer.json()["code"], answer.json()["available"]) == ("INSUFFICIENT_FUNDS", 400_000)
    assert (await wallet(hub, ann))["available"] == 400_000
    inbox = (await hub.client(ann).get("/api/notifications")).json()
    assert [item["type"] for item in inbox["items"]] == ["withdrawal"]


async def test_a_job_that_cannot_be_paid_for_is_not_posted(hub: Hub) -> None:
    ann = await hub.signup()
    client = hub.client(ann)
    job = {"title": "T", "description": "D", "budget": 700_000}
    answers = await asyncio.gather(*(client.post("/api/jobs", json=job) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201] + [402] * 4
    assert await wallet(hub, ann) == {"available": 300_000, "held": 700_000, "currency": "USD"}
    assert len((await client.get("/api/jobs?mine=true")).json()["items"]) == 1


async def test_the_statement_comes_in_pages_and_is_nobody_elses(hub: Hub) -> None:
    ann, bob = await hub.signup(), await hub.signup()
    client = hub.client(ann)
    for amount in range(1, 8):
        await client.post("/api/wallet/withdrawals", json={"amount": amount})
    whole = (await client.get("/api/wallet/entries?limit=100")).json()
    assert [item["amount"] for item in whole["items"]] == [-7, -6, -5, -4, -3, -2, -1, 1_000_000]
    found, after = [], ""
    while True:
        page = (await client.get(f"/api/wallet/entries?limit=3{after}")).json()
        found += page["items"]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert found == whole["items"]
    assert len((await hub.client(bob).get("/api/wallet/entries")).json()["items"]) == 1
    for path in ("/api/wallet", "/api/wallet/entries"):
        assert code(await hub.client().get(path)) == (401, "UNAUTHENTICATED")
    for query in ("after=x", "limit=0", "limit=101", "userId=" + bob.id):
        assert (await client.get(f"/api/wallet/entries?{query}")).status_code == 422


# What is no amount, as JSON has it.
NO_AMOUNTS = (
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
    """Method, path and field of everything that takes an amount, from the route table."""
    return {
        (operation.method, operation.path, name)
        for operation in OPERATIONS
        if isinstance(operation.body, type)
        for name, hint in typing.get_type_hints(operation.body, include_extras=True).items()
        if hint == Amount or Amount in typing.get_args(hint)
    }


async def test_what_is_no_amount_moves_nothing_anywhere(hub: Hub) -> None:
    ann, bob, key = await hub.signup(), await hub.signup("freelancer"), await hub.api_key("deposit")
    posted = await hub.client(ann).post("/api/jobs", json={"title": "T", "description": "D", "budget": 500})
    job = posted.json()["id"]
    asks: dict[tuple[str, str, str], tuple[Person | str, str]] = {
        ("POST", "/api/jobs", "budget"): (ann, '{"title": "T", "description": "D", "budget": %s}'),
        ("PATCH", "/api/jobs/{id}", "budget"): (ann, '{"budget": %s}'),
        ("POST", "/api/jobs/{id}/bids", "price"): (bob, '{"message": "Me", "price": %s}'),
        ("POST", "/api/wallet/deposits", "amount"): (key, f'{{"userId": "{ann.id}", "paymentId": "p", "amount": %s}}'),
        ("POST", "/api/wallet/withdrawals", "amount"): (ann, '{"amount": %s}'),
    }
    assert set(asks) == amount_fields()
    before = [await wallet(hub, who) for who in (ann, bob)]
    for (method, path, field), (who, body) in asks.items():
        client = hub.client(who, headers={"content-type": "application/json"})
        for amount in (*NO_AMOUNTS, *TOO_LARGE):
            answer = await client.request(method, path.replace("{id}", job), content=body.replace("%s", amount))
            told = answer.json()
            assert (answer.status_code, told["code"], told["pointer"]) == (422, "INVALID_FIELD", f"/{field}"), amount
            assert told["reason"] in ("type", "range")
    assert [await wallet(hub, who) for who in (ann, bob)] == before
    assert len((await hub.client(ann).get("/api/wallet/entries")).json()["items"]) == 2
    assert len((await hub.client().get("/api/jobs")).json()["items"]) == 1
    assert (await hub.client().get(f"/api/jobs/{job}")).json()["bidCount"] == 0
    largest = {"userId": ann.id, "amount": 10**12, "paymentId": "largest"}
    assert (await hub.client(key).post("/api/wallet/deposits", json=largest)).status_code == 201
