"""Comments, profiles and numbers over HTTP: who may, what is refused, what a stream hears, and once for one key."""

from typing import Any

import pytest

from tests.support.hub import Hub, Person

JOB = {"title": "Fix it", "description": "All", "budget": 5_000}


async def post(hub: Hub, owner: Person) -> str:
    answer = await hub.client(owner).post("/api/jobs", json=JOB)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_a_comment_is_kept_shown_to_anybody_and_heard_by_the_owner(shared_hub: Hub) -> None:
    hub = shared_hub
    owner, ann = await hub.signup("client"), await hub.signup("freelancer", name="Ann")
    job = await post(hub, owner)
    async with hub.stream(owner) as stream:
        await stream.next_event("connection_confirmed")
        answer = await hub.client(ann).post(f"/api/jobs/{job}/comments", json={"text": "When?\nSoon?"})
        assert answer.status_code == 201
        comment = answer.json()
        heard = (await stream.next_event("notification")).data
    assert set(comment) == {"id", "jobId", "author", "text", "createdAt"}
    assert (comment["jobId"], comment["author"]) == (job, {"id": ann.id, "name": "Ann"})
    assert (heard["type"], heard["category"], heard["priority"]) == ("comment", "comment", "normal")
    assert heard["invalidates"] == [f"job/{job}"]
    assert (await hub.client().get(f"/api/jobs/{job}/comments")).json() == {"items": [comment], "next": None}


async def test_a_repeated_key_comments_once(shared_hub: Hub) -> None:
    owner = await shared_hub.signup("client")
    job, client = await post(shared_hub, owner), shared_hub.client(owner)
    key = {"idempotency-key": "one"}
    answers = [await client.post(f"/api/jobs/{job}/comments", json={"text": "Hi"}, headers=key) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    other = await client.post(f"/api/jobs/{job}/comments", json={"text": "Ho"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert len((await client.get(f"/api/jobs/{job}/comments")).json()["items"]) == 1


async def test_comments_count_as_sends(start_hub: Any) -> None:
    hub: Hub = await start_hub(HUB_RATE_LIMIT="3/minute")
    owner = await hub.signup("client")
    job, client = await post(hub, owner), hub.client(owner)
    codes = [(await client.post(f"/api/jobs/{job}/comments", json={"text": "Hi"})).status_code for _ in range(3)]
    assert codes == [201, 201, 429]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "INVALID_FIELD"),
        ({"text": ""}, "INVALID_FIELD"),
        ({"text": "x" * 2_001}, "INVALID_FIELD"),
        ({"text": "a\x00b"}, "INVALID_FIELD"),
        ({"text": 1}, "INVALID_FIELD"),
        ({"text": "x", "jobId": "y"}, "UNKNOWN_FIELD"),
    ],
)
async def test_what_is_no_comment_is_refused(shared_hub: Hub, body: dict[str, Any], code: str) -> None:
    owner = await shared_hub.signup("client")
    job = await post(shared_hub, owner)
    answer = await shared_hub.client(owner).post(f"/api/jobs/{job}/comments", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_nobody_comments_and_on_nothing_nobody_can(shared_hub: Hub) -> None:
    owner = await shared_hub.signup("client")
    job = await post(shared_hub, owner)
    assert (await shared_hub.client().post(f"/api/jobs/{job}/comments", json={"text": "x"})).status_code == 401
    assert (await shared_hub.client(owner).post("/api/jobs/x/comments", json={"text": "x"})).status_code == 404
    assert (await shared_hub.client().get("/api/jobs/x/comments")).status_code == 404


async def test_profiles_and_numbers_are_public_and_private_things_are_not_in_them(hub: Hub) -> None:
    owner, ann = await hub.signup("client"), await hub.signup("freelancer", name="Ann", skills=["sql"])
    job = await post(hub, owner)
    changed = await hub.client(ann).patch("/api/auth/me", json={"skills": ["Python", "sql"]})
    assert changed.status_code == 200
    bid = await hub.client(ann).post(f"/api/jobs/{job}/bids", json={"message": "Me", "price": 4_000})
    assert (await hub.client(owner).patch(f"/api/bids/{bid.json()['id']}/hire")).status_code == 200
    for who, status in ((ann, "in_progress"), (ann, "submitted"), (owner, "completed")):
        moved = await hub.client(who).patch(f"/api/jobs/{job}/status", json={"status": status})
        assert moved.status_code == 200, moved.text
    await post(hub, owner)
    numbers = {"openJobs": 1, "hires": 1, "completed": 1, "paidOut": 4_000}
    assert (await hub.client().get("/api/stats")).json() == numbers
    profile = (await hub.client().get(f"/api/users/{ann.id}")).json()
    assert profile.pop("memberSince").endswith("Z")
    assert profile == {
        "id": ann.id, "name": "Ann", "role": "freelancer", "skills": ["Python", "sql"], "jobsDone": 1,
    }  # fmt: skip
    assert (await hub.client().get("/api/users/nobody")).status_code == 404
