"""Comments, profiles and statistics over HTTP: permissions, errors, events and idempotency keys."""

from typing import Any

import pytest

from tests.support.hub import Hub, Person

JOB = {"title": "Fix it", "description": "All", "budget": 5_000}


async def post(hub: Hub, owner: Person) -> str:
    response = await hub.client(owner).post("/api/jobs", json=JOB)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def test_comment_is_public_and_notifies_the_owner_on_the_stream(shared_hub: Hub) -> None:
    hub = shared_hub
    owner, ann = await hub.signup("client"), await hub.signup("freelancer", name="Ann")
    job = await post(hub, owner)
    async with hub.stream(owner) as stream:
        await stream.next_event("connection_confirmed")
        response = await hub.client(ann).post(f"/api/jobs/{job}/comments", json={"text": "When?\nSoon?"})
        assert response.status_code == 201
        comment = response.json()
        notification = (await stream.next_event("notification")).data
    assert set(comment) == {"id", "jobId", "author", "text", "createdAt"}
    assert (comment["jobId"], comment["author"]) == (job, {"id": ann.id, "name": "Ann"})
    assert (notification["type"], notification["category"], notification["priority"]) == (
        "comment",
        "comment",
        "normal",
    )
    assert notification["invalidates"] == [f"job/{job}"]
    assert (await hub.client().get(f"/api/jobs/{job}/comments")).json() == {"items": [comment], "next": None}


async def test_repeated_idempotency_key_creates_one_comment(shared_hub: Hub) -> None:
    owner = await shared_hub.signup("client")
    job, client = await post(shared_hub, owner), shared_hub.client(owner)
    key = {"idempotency-key": "one"}
    responses = [await client.post(f"/api/jobs/{job}/comments", json={"text": "Hi"}, headers=key) for _ in range(3)]
    assert {response.status_code for response in responses} == {201}
    assert len({response.content for response in responses}) == 1
    other = await client.post(f"/api/jobs/{job}/comments", json={"text": "Ho"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert len((await client.get(f"/api/jobs/{job}/comments")).json()["items"]) == 1


async def test_comments_count_for_the_send_rate_limit(start_hub: Any) -> None:
    hub: Hub = await start_hub(HUB_RATE_LIMIT="3/hour")
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
async def test_invalid_comment_bodies_are_rejected_with_the_code(
    shared_hub: Hub, body: dict[str, Any], code: str
) -> None:
    owner = await shared_hub.signup("client")
    job = await post(shared_hub, owner)
    response = await shared_hub.client(owner).post(f"/api/jobs/{job}/comments", json=body)
    assert (response.status_code, response.json()["code"]) == (422, code)


async def test_commenting_requires_a_signed_in_user_and_an_existing_job(shared_hub: Hub) -> None:
    owner = await shared_hub.signup("client")
    job = await post(shared_hub, owner)
    assert (await shared_hub.client().post(f"/api/jobs/{job}/comments", json={"text": "x"})).status_code == 401
    assert (await shared_hub.client(owner).post("/api/jobs/x/comments", json={"text": "x"})).status_code == 404
    assert (await shared_hub.client().get("/api/jobs/x/comments")).status_code == 404


async def test_profiles_and_statistics_are_public_without_private_data(hub: Hub) -> None:
    owner, ann = await hub.signup("client"), await hub.signup("freelancer", name="Ann", skills=["sql"])
    job = await post(hub, owner)
    changed = await hub.client(ann).patch("/api/auth/me", json={"skills": ["Python", "sql"]})
    assert changed.status_code == 200
    bid = await hub.client(ann).post(f"/api/jobs/{job}/bids", json={"message": "Me", "price": 4_000})
    assert (await hub.client(owner).patch(f"/api/bids/{bid.json()['id']}/hire")).status_code == 200
    for user, status in ((ann, "in_progress"), (ann, "submitted"), (owner, "completed")):
        response = await hub.client(user).patch(f"/api/jobs/{job}/status", json={"status": status})
        assert response.status_code == 200, response.text
    await post(hub, owner)
    totals = {"openJobs": 1, "hires": 1, "completed": 1, "paidOut": 4_000}
    assert (await hub.client().get("/api/stats")).json() == totals
    profile = (await hub.client().get(f"/api/users/{ann.id}")).json()
    assert profile.pop("memberSince").endswith("Z")
    assert profile == {
        "id": ann.id, "name": "Ann", "role": "freelancer", "skills": ["Python", "sql"], "jobsDone": 1,
    }  # fmt: skip
    assert (await hub.client().get("/api/users/unknown")).status_code == 404
