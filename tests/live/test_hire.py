"""The hire over HTTP: one winner whatever happens at once, and everybody who should know is told once."""

import asyncio

import httpx2

from tests.hub import Hub, Person

TRIES = 50


async def posted(hub: Hub, owner: Person) -> str:
    answer = await hub.client(owner).post("/api/jobs", json={"title": "Fix it", "description": "All", "budget": 5_000})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def bid(hub: Hub, job: str, who: Person) -> str:
    answer = await hub.client(who).post(f"/api/jobs/{job}/bids", json={"message": "Me", "price": 4_000})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_a_hire_tells_winner_loser_and_everybody_once(hub: Hub) -> None:
    owner, ann, bob = await hub.signup("client"), await hub.signup("freelancer"), await hub.signup("freelancer")
    job = await posted(hub, owner)
    hers, _ = await bid(hub, job, ann), await bid(hub, job, bob)
    async with hub.stream(ann) as winner, hub.stream(bob) as loser:
        await winner.next("connection_confirmed")
        await loser.next("connection_confirmed")
        answer = await hub.client(owner).patch(f"/api/bids/{hers}/hire")
        assert answer.status_code == 200, answer.text
        assert answer.json() | {"hiredAt": ""} == {
            "message": "Hired successfully",
            "gigId": job,
            "bidId": hers,
            "freelancerId": ann.id,
            "hiredAt": "",
        }
        assert (await winner.next("notification")).data["type"] == "hired"
        assert (await loser.next("notification")).data["type"] == "bid_rejected"
        assert (await loser.until(lambda e: e.type == "job_updated" and e.data["status"] == "assigned")) is not None
    shown = (await hub.client().get(f"/api/jobs/{job}")).json()
    assert (shown["status"], shown["hiredBidId"]) == ("assigned", hers)


async def test_of_many_hires_at_once_one_wins_and_the_others_are_told_why(hub: Hub) -> None:
    owner = await hub.signup("client")
    job = await posted(hub, owner)
    bids = [await bid(hub, job, await hub.signup("freelancer")) for _ in range(3)]
    client = hub.client(owner)
    answers = await asyncio.gather(*(client.patch(f"/api/bids/{bids[n % 3]}/hire") for n in range(TRIES)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * (TRIES - 1)
    assert {answer.json()["code"] for answer in answers if answer.status_code == 400} == {"GIG_NOT_OPEN"}


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
