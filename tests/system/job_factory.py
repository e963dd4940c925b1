"""Jobs over HTTP, for tests: posted, bid on, hired, and brought to any state by those who may."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from tests.support.hub import Hub, Person


@dataclass(frozen=True, slots=True)
class Gig:
    """A job, its owner, the freelancer who was or will be hired, and their bid."""

    id: str
    owner: Person
    worker: Person
    bid: str


async def post(client: httpx2.AsyncClient, **more: Any) -> str:
    answer = await client.post("/api/jobs", json={"title": "Fix it", "description": "All", "budget": 5_000, **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def bid(client: httpx2.AsyncClient, job: str, price: int = 4_000) -> str:
    answer = await client.post(f"/api/jobs/{job}/bids", json={"message": "Me", "price": price})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def end_soon(client: httpx2.AsyncClient, job: str, seconds: float = 0.5) -> None:
    """Have an open job expire in so many seconds: asked again as long as they were over before the hub had heard it."""
    path = f"/api/jobs/{job}"
    while (answer := await client.patch(path, json={"expiresAt": soon(seconds)})).status_code == 422:
        assert answer.json()["pointer"] == "/expiresAt", answer.text
    assert answer.status_code == 200, answer.text


async def move(
    client: httpx2.AsyncClient, job: str, status: str, key: str | None = None, **more: Any
) -> httpx2.Response:
    headers = {} if key is None else {"idempotency-key": key}
    return await client.patch(f"/api/jobs/{job}/status", json={"status": status, **more}, headers=headers)


async def gig(
    hub: Hub, status: str = "open", *, owner: Person | None = None, worker: Person | None = None, **more: Any
) -> Gig:
    """A job in this state: open, assigned, in_progress, submitted, completed, cancelled or deleted."""
    owner, worker = owner or await hub.signup("client"), worker or await hub.signup("freelancer")
    async with hub.client(owner) as boss, hub.client(worker) as hand:
        job = await post(boss, **more)
        made = Gig(job, owner, worker, await bid(hand, job))
        if status == "deleted":
            assert (await boss.delete(f"/api/jobs/{job}")).status_code == 204
        elif status == "cancelled":
            assert (await move(boss, job, "cancelled")).status_code == 200
        elif status != "open":
            assert (await boss.patch(f"/api/bids/{made.bid}/hire")).status_code == 200
            path = ("assigned", "in_progress", "submitted", "completed")
            for step in path[1 : path.index(status) + 1]:
                answer = await move(boss if step == "completed" else hand, job, step)
                assert answer.status_code == 200, answer.text
    return made
