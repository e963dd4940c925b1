"""The hire over HTTP: one of many concurrent hires succeeds, and each user is notified once."""

import asyncio
import json
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import httpx2

from tests.support.hub import Hub, Person

BIDS = 200
# Concurrent hires of each bid; 1,000 hires in total.
HIRES_PER_BID = 5


async def post_job(hub: Hub, owner: Person) -> str:
    response = await hub.client(owner).post(
        "/api/jobs", json={"title": "Fix it", "description": "All", "budget": 5_000}
    )
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def bid(hub: Hub, job: str, freelancer: Person) -> str:
    async with hub.client(freelancer) as client:
        response = await client.post(f"/api/jobs/{job}/bids", json={"message": "Me", "price": 4_000})
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def inbox(hub: Hub, user: Person) -> list[tuple[str, str]]:
    """Return the type and job id of the user's notifications."""
    async with hub.client(user) as client:
        items = (await client.get("/api/notifications")).json()["items"]
    return [(item["type"], item["data"]["jobId"]) for item in items]


async def list_bids(client: httpx2.AsyncClient, job: str) -> dict[str, dict[str, Any]]:
    """Return all bids of the owner's job by id, read page by page."""
    by_id: dict[str, dict[str, Any]] = {}
    after = ""
    while True:
        page = (
            await client.get(f"/api/jobs/{job}/bids", params={"limit": 100} | ({"after": after} if after else {}))
        ).json()
        by_id |= {item["id"]: item for item in page["items"]}
        if (after := page["next"]) is None:
            return by_id


async def hire_concurrently(hub: Hub, owner: Person, bids: list[str]) -> list[tuple[int, dict[str, Any]]]:
    """Send each hire on its own open connection, all in one loop iteration; return the status and body of each.

    An HTTP client is not used: it would write a thousand requests more slowly than the hub responds to them.
    """
    url = urlsplit(hub.url)
    connections = await asyncio.gather(*(asyncio.open_connection(url.hostname, url.port) for _ in bids))
    for (_, writer), bid_id in zip(connections, bids, strict=True):
        head = (
            f"PATCH /api/bids/{bid_id}/hire HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Bearer {owner.token}\r\n"
        )
        writer.write(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
    responses = []
    for reader, writer in connections:
        first, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        responses.append((int(first.split()[1]), json.loads(body)))
    return responses


async def test_hire_notifies_hired_and_rejected_bidders_and_publishes(hub: Hub) -> None:
    owner, ann, bob = await hub.signup("client"), await hub.signup("freelancer"), await hub.signup("freelancer")
    job = await post_job(hub, owner)
    ann_bid, _ = await bid(hub, job, ann), await bid(hub, job, bob)
    async with hub.stream(ann) as ann_stream, hub.stream(bob) as bob_stream:
        await ann_stream.next_event("connection_confirmed")
        await bob_stream.next_event("connection_confirmed")
        response = await hub.client(owner).patch(f"/api/bids/{ann_bid}/hire")
        assert response.status_code == 200, response.text
        assert response.json() | {"hiredAt": ""} == {
            "message": "Hired successfully",
            "gigId": job,
            "bidId": ann_bid,
            "freelancerId": ann.id,
            "hiredAt": "",
        }
        assert (await ann_stream.next_event("notification")).data["type"] == "hired"
        assert (await bob_stream.next_event("notification")).data["type"] == "bid_rejected"
        await bob_stream.read_until(lambda e: e.type == "job_updated" and e.data["status"] == "assigned")
    job_shown = (await hub.client().get(f"/api/jobs/{job}")).json()
    assert (job_shown["status"], job_shown["hiredBidId"]) == ("assigned", ann_bid)


async def test_hire_accepts_no_or_an_empty_body_only(hub: Hub) -> None:
    owner, ann = await hub.signup("client"), await hub.signup("freelancer")
    job = await post_job(hub, owner)
    ann_bid = await bid(hub, job, ann)
    client = hub.client(owner, headers={"Idempotency-Key": "k"})
    wrong = await client.patch(f"/api/bids/{ann_bid}/hire", json={"price": 1})
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["pointer"]) == (422, "UNKNOWN_FIELD", "/price")
    assert (await client.patch(f"/api/bids/{ann_bid}/hire", json={})).status_code == 200
    assert (await client.patch(f"/api/bids/{ann_bid}/hire", json={})).status_code == 200
    other = await client.patch(f"/api/bids/{ann_bid}/hire")
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_one_of_1000_concurrent_hires_succeeds_and_others_get_errors(hub: Hub) -> None:
    owner = await hub.signup("client")
    freelancers = [await hub.signup("freelancer") for _ in range(BIDS)]
    job = await post_job(hub, owner)
    bids = await asyncio.gather(*(bid(hub, job, freelancer) for freelancer in freelancers))
    freelancer_by_bid = dict(zip(bids, freelancers, strict=True))
    async with hub.stream(owner) as listener:
        await listener.next_event("connection_confirmed")
        responses = await hire_concurrently(hub, owner, bids * HIRES_PER_BID)
        # The event log is ordered: every event of the hires comes before this one.
        later = await post_job(hub, owner)
        events = await listener.read_until(lambda event: event.type == "job_created" and event.data["id"] == later)

    assert Counter(status for status, _ in responses) == {200: 1, 400: BIDS * HIRES_PER_BID - 1}
    hired = next(body for status, body in responses if status == 200)["bidId"]
    errors = [body for status, body in responses if status == 400]
    assert {(body["code"], body["currentStatus"], body["hiredBidId"]) for body in errors} == {
        ("GIG_NOT_OPEN", "assigned", hired)
    }
    assert "locked" not in hub.log
    assert len(hub.lines("job_hired")) == 1

    job_shown = (await hub.client().get(f"/api/jobs/{job}")).json()
    assert (job_shown["status"], job_shown["hiredBidId"], job_shown["bidCount"]) == ("assigned", hired, BIDS)
    rows = await list_bids(hub.client(owner), job)
    assert {bid_id: row["status"] for bid_id, row in rows.items()} == dict.fromkeys(bids, "rejected") | {hired: "hired"}
    inboxes = await asyncio.gather(*(inbox(hub, freelancer) for freelancer in freelancers))
    assert dict(zip(bids, inboxes, strict=True)) == {bid_id: [("bid_rejected", job)] for bid_id in bids} | {
        hired: [("hired", job)]
    }
    hires = [event for event in events if event.type == "job_updated" and event.data["status"] == "assigned"]
    assert [event.data["hiredBidId"] for event in hires] == [hired]
    assert freelancer_by_bid[hired].id == next(body for status, body in responses if status == 200)["freelancerId"]


async def test_repeated_key_returns_the_first_response_for_the_owner_only(hub: Hub) -> None:
    owner, other, ann = await hub.signup("client"), await hub.signup("client"), await hub.signup("freelancer")
    bid_id = await bid(hub, await post_job(hub, owner), ann)
    rejected = await hub.client(other).patch(f"/api/bids/{bid_id}/hire")
    assert (rejected.status_code, rejected.json()["code"]) == (403, "UNAUTHORIZED")
    repeated: list[httpx2.Response] = [
        await hub.client(owner).patch(f"/api/bids/{bid_id}/hire", headers={"idempotency-key": "once"}) for _ in range(2)
    ]
    assert [response.status_code for response in repeated] == [200, 200]
    assert repeated[0].json() == repeated[1].json()


async def test_last_of_many_concurrent_bids_is_published(hub: Hub) -> None:
    owner = await hub.signup("client")
    freelancers = [await hub.signup("freelancer") for _ in range(5)]
    job = await post_job(hub, owner)
    async with hub.stream(owner, channels="jobs") as listener:
        await listener.next_event("connection_confirmed")
        await asyncio.gather(*(bid(hub, job, freelancer) for freelancer in freelancers))
        events = await listener.read_until(lambda event: event.type == "job_updated" and event.data["bidCount"] == 5)
    counts = [event.data["bidCount"] for event in events if event.type == "job_updated"]
    # The first bid is published at once, the others together. More events occur only if a bid takes over a second.
    assert counts == sorted(set(counts))
    assert counts[0] == 1
