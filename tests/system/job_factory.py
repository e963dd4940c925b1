"""Jobs over HTTP for tests, brought to any status by the users who may do so."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from tests.support.hub import HubClients, Person


@dataclass(frozen=True, slots=True)
class PostedJob:
    """A job, its owner, and the freelancer who was or will be hired with the bid."""

    id: str
    owner: Person
    freelancer: Person
    bid_id: str


async def post_job(client: httpx2.AsyncClient, **fields: Any) -> str:
    """Post a job and return its id. `fields` are added to the body or replace its fields."""
    body = {"title": "Fix it", "description": "All", "budget": 5_000, **fields}
    response = await client.post("/api/jobs", json=body)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def place_bid(client: httpx2.AsyncClient, job_id: str, price: int = 4_000) -> str:
    """Place a bid and return its id."""
    response = await client.post(f"/api/jobs/{job_id}/bids", json={"message": "Me", "price": price})
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def time_in(seconds: float) -> str:
    """Return the time so many seconds from now, in ISO 8601."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def expire_soon(client: httpx2.AsyncClient, job_id: str, seconds: float = 0.5) -> None:
    """Let an open job expire in so many seconds.

    On a slow machine the time may have passed before the hub reads the request. Then the request is repeated.
    """
    path = f"/api/jobs/{job_id}"
    while (response := await client.patch(path, json={"expiresAt": time_in(seconds)})).status_code == 422:
        assert response.json()["pointer"] == "/expiresAt", response.text
    assert response.status_code == 200, response.text


async def change_status(
    client: httpx2.AsyncClient, job_id: str, status: str, key: str | None = None, **fields: Any
) -> httpx2.Response:
    """Send a status change, with an idempotency key if `key` is set, and return the response."""
    headers = {} if key is None else {"idempotency-key": key}
    return await client.patch(f"/api/jobs/{job_id}/status", json={"status": status, **fields}, headers=headers)


async def create_job(
    hub: HubClients,
    status: str = "open",
    *,
    owner: Person | None = None,
    freelancer: Person | None = None,
    **fields: Any,
) -> PostedJob:
    """Create a job with a bid: open, assigned, in_progress, submitted, completed, cancelled or deleted.

    `fields` are passed to `post_job`.
    """
    owner, freelancer = owner or await hub.signup("client"), freelancer or await hub.signup("freelancer")
    async with hub.client(owner) as owner_client, hub.client(freelancer) as freelancer_client:
        job_id = await post_job(owner_client, **fields)
        job = PostedJob(job_id, owner, freelancer, await place_bid(freelancer_client, job_id))
        if status == "deleted":
            assert (await owner_client.delete(f"/api/jobs/{job_id}")).status_code == 204
        elif status == "cancelled":
            assert (await change_status(owner_client, job_id, "cancelled")).status_code == 200
        elif status != "open":
            assert (await owner_client.patch(f"/api/bids/{job.bid_id}/hire")).status_code == 200
            path = ("assigned", "in_progress", "submitted", "completed")
            for target in path[1 : path.index(status) + 1]:
                client = owner_client if target == "completed" else freelancer_client
                response = await change_status(client, job_id, target)
                assert response.status_code == 200, response.text
    return job
