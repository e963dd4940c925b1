"""The hire over HTTP: one winner whatever happens at once, and everybody who should know is told once."""

import asyncio
import json
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import httpx2

from tests.support.hub import Hub, Person

BIDS = 200
# Each bid is hired so many times: 1,000 hires in all.
TIMES = 5


async def posted(hub: Hub, owner: Person) -> str:
    answer = await hub.client(owner).post("/api/jobs", json={"title": "Fix it", "description": "All", "budget": 5_000})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def bid(hub: Hub, job: str, who: Person) -> str:
    async with hub.client(who) as client:
        answer = await client.post(f"/api/jobs/{job}/bids", json={"message": "Me", "price": 4_000})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def inbox(hub: Hub, who: Person) -> list[tuple[str, str]]:
    """What somebody was told: type, and the job it was about."""
    async with hub.client(who) as client:
        items = (await client.get("/api/notifications")).json()["items"]
    return [(item["type"], item["data"]["jobId"]) for item in items]


async def bids_of(client: httpx2.AsyncClient, job: str) -> dict[str, dict[str, Any]]:
    """All bids of the owner's job, page by page."""
    found: dict[str, dict[str, Any]] = {}
    after = ""
    while True:
        page = (
            await client.get(f"/api/jobs/{job}/bids", params={"limit": 100} | ({"after": after} if after else {}))
        ).json()
        found |= {item["id"]: item for item in page["items"]}
        if (after := page["next"]) is None:
            return found


async def hire_all_at_once(hub: Hub, owner: Person, bids: list[str]) -> list[tuple[int, dict[str, Any]]]:
    """Every hire on an open connection of its own, all sent in one turn of the loop; status and body of each.

    Not through a client: it takes longer to write a thousand requests than the hub takes to answer them.
    """
    where = urlsplit(hub.url)
    pipes = await asyncio.gather(*(asyncio.open_connection(where.hostname, where.port) for _ in bids))
    for (_, writer), one in zip(pipes, bids, strict=True):
        head = f"PATCH /api/bids/{one}/hire HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: Bearer {owner.token}\r\n"
        writer.write(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
    answers = []
    for reader, writer in pipes:
        first, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        answers.append((int(first.split()[1]), json.loads(body)))
    return answers


async def test_a_hire_tells_winner_loser_and_everybody_once(hub: Hub) -> None:
    owner, ann, bob = await hub.signup("client"), await hub.signup("freelancer"), await hub.signup("freelancer")
    job = await posted(hub, owner)
    hers, _ = await bid(hub, job, ann), await bid(hub, job, bob)
    async with hub.stream(ann) as winner, hub.stream(bob) as loser:
        await winner.next_event("connection_confirmed")
        await loser.next_event("connection_confirmed")
        answer = await hub.client(owner).patch(f"/api/bids/{hers}/hire")
        assert answer.status_code == 200, answer.text
        assert answer.json() | {"hiredAt": ""} == {
            "message": "Hired successfully",
            "gigId": job,
            "bidId": hers,
            "freelancerId": ann.id,
            "hiredAt": "",
        }
        assert (await winner.next_event("notification")).data["type"] == "hired"
        assert (await loser.next_event("notification")).data["type"] == "bid_rejected"
        await loser.read_until(lambda e: e.type == "job_updated" and e.data["status"] == "assigned")
    shown = (await hub.client().get(f"/api/jobs/{job}")).json()
    assert (shown["status"], shown["hiredBidId"]) == ("assigned", hers)


async def test_a_hire_asks_for_nothing_but_its_path(hub: Hub) -> None:
    owner, ann = await hub.signup("client"), await hub.signup("freelancer")
    job = await posted(hub, owner)
    hers = await bid(hub, job, ann)
    client = hub.client(owner, headers={"Idempotency-Key": "k"})
    wrong = await client.patch(f"/api/bids/{hers}/hire", json={"price": 1})
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["pointer"]) == (422, "UNKNOWN_FIELD", "/price")
    assert (await client.patch(f"/api/bids/{hers}/hire", json={})).status_code == 200
    assert (await client.patch(f"/api/bids/{hers}/hire", json={})).status_code == 200
    other = await client.patch(f"/api/bids/{hers}/hire")
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_of_a_thousand_hires_at_once_one_wins_and_the_others_are_told_why(hub: Hub) -> None:
    owner = await hub.signup("client")
    freelancers = [await hub.signup("freelancer") for _ in range(BIDS)]
    job = await posted(hub, owner)
    bids = await asyncio.gather(*(bid(hub, job, who) for who in freelancers))
    by = dict(zip(bids, freelancers, strict=True))
    async with hub.stream(owner) as listener:
        await listener.next_event("connection_confirmed")
        answers = await hire_all_at_once(hub, owner, bids * TIMES)
        # The log has an order: what was told of the hires came before this.
        later = await posted(hub, owner)
        heard = await listener.read_until(lambda event: event.type == "job_created" and event.data["id"] == later)

    assert Counter(status for status, _ in answers) == {200: 1, 400: BIDS * TIMES - 1}
    won = next(body for status, body in answers if status == 200)["bidId"]
    lost = [body for status, body in answers if status == 400]
    assert {(body["code"], body["currentStatus"], body["hiredBidId"]) for body in lost} == {
        ("GIG_NOT_OPEN", "assigned", won)
    }
    assert "locked" not in hub.log
    assert len(hub.lines("hired")) == 1

    shown = (await hub.client().get(f"/api/jobs/{job}")).json()
    assert (shown["status"], shown["hiredBidId"], shown["bidCount"]) == ("assigned", won, BIDS)
    rows = await bids_of(hub.client(owner), job)
    assert {one: row["status"] for one, row in rows.items()} == dict.fromkeys(bids, "rejected") | {won: "hired"}
    told = await asyncio.gather(*(inbox(hub, who) for who in freelancers))
    assert dict(zip(bids, told, strict=True)) == {one: [("bid_rejected", job)] for one in bids} | {
        won: [("hired", job)]
    }
    hires = [event for event in heard if event.type == "job_updated" and event.data["status"] == "assigned"]
    assert [event.data["hiredBidId"] for event in hires] == [won]
    assert by[won].id == next(body for status, body in answers if status == 200)["freelancerId"]


async def test_a_repeated_key_gets_the_first_answer_and_a_stranger_is_refused(hub: Hub) -> None:
    owner, other, ann = await hub.signup("client"), await hub.signup("client"), await hub.signup("freelancer")
    offer = await bid(hub, await posted(hub, owner), ann)
    refused = await hub.client(other).patch(f"/api/bids/{offer}/hire")
    assert (refused.status_code, refused.json()["code"]) == (403, "UNAUTHORIZED")
    asked: list[httpx2.Response] = [
        await hub.client(owner).patch(f"/api/bids/{offer}/hire", headers={"idempotency-key": "once"}) for _ in range(2)
    ]
    assert [answer.status_code for answer in asked] == [200, 200]
    assert asked[0].json() == asked[1].json()


async def test_the_last_of_many_bids_at_once_is_told_though_nobody_does_anything_more(hub: Hub) -> None:
    owner = await hub.signup("client")
    freelancers = [await hub.signup("freelancer") for _ in range(5)]
    job = await posted(hub, owner)
    async with hub.stream(owner, channels="jobs") as listener:
        await listener.next_event("connection_confirmed")
        await asyncio.gather(*(bid(hub, job, who) for who in freelancers))
        heard = await listener.read_until(lambda event: event.type == "job_updated" and event.data["bidCount"] == 5)
    counts = [event.data["bidCount"] for event in heard if event.type == "job_updated"]
    # The first at once, the others together; more tellings only where a bid took more than a second.
    assert counts == sorted(set(counts))
    assert counts[0] == 1
