"""The job lifecycle over HTTP: status changes, instant acceptance, deadlines and edits."""

import asyncio
from typing import Any

import pytest

from tests.support.hub import Hub
from tests.support.timeouts import TIMEOUT_SECONDS
from tests.system.conftest import StartHub
from tests.system.job_factory import change_status, create_job, expire_soon, place_bid, post_job, time_in

FREELANCERS = 50


async def wait_for_statuses(hub: Hub, statuses: dict[str, str]) -> None:
    client = hub.client()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while {job: (await client.get(f"/api/jobs/{job}")).json()["status"] for job in statuses} != statuses:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_lifecycle_is_published_notified_and_logged_step_by_step(shared_hub: Hub) -> None:
    hub = shared_hub
    owner, freelancer = await hub.signup("client"), await hub.signup("freelancer")
    owner_client, freelancer_client = hub.client(owner), hub.client(freelancer)
    async with hub.stream(owner) as owner_stream, hub.stream(freelancer) as freelancer_stream:
        job = await post_job(owner_client)
        await owner_client.patch(f"/api/bids/{await place_bid(freelancer_client, job)}/hire")
        steps: list[tuple[Any, str, dict[str, str]]] = [
            (freelancer_client, "in_progress", {}),
            (freelancer_client, "submitted", {}),
            (owner_client, "in_progress", {"note": "Larger, please."}),
            (freelancer_client, "submitted", {}),
            (owner_client, "completed", {}),
        ]
        for client, status, more in steps:
            response = await change_status(client, job, status, **more)
            assert (response.status_code, response.json()["status"]) == (200, status), response.text
            assert response.json() == (await hub.client().get(f"/api/jobs/{job}")).json()
        last = await owner_stream.read_until(lambda e: e.type == "job_completed" and e.data["id"] == job)
        await freelancer_stream.read_until(lambda e: e.type == "job_completed" and e.data["id"] == job)
    assert last[-1].data["invalidates"] == [f"job/{job}", "my-jobs", "stats", "wallet"]
    inbox = [event.data for event in freelancer_stream.events if event.type == "notification"]
    assert [notification["type"] for notification in inbox] == ["hired", "changes_requested", "payment_released"]
    assert inbox[1]["data"]["note"] == "Larger, please."
    assert inbox[1]["body"] == f"{owner.name} asks for changes: Larger, please."
    owner_types = [event.data["type"] for event in owner_stream.events if event.type == "notification"]
    assert owner_types == ["bid_received", "job_accepted", "job_submitted", "job_submitted", "job_completed"]
    lines = [(line["event"], line["by"]) for line in hub.lines() if line.get("job") == job and "by" in line]
    assert lines == [
        ("accepted", freelancer.id),
        ("submitted", freelancer.id),
        ("changes_requested", owner.id),
        ("submitted", freelancer.id),
        ("completed", owner.id),
    ]
    (completed,) = [line for line in hub.lines("completed") if line["job"] == job]
    assert (completed["freelancer"], completed["amount"], completed["currency"]) == (freelancer.id, 4_000, "USD")


async def test_one_of_50_concurrent_instant_acceptances_succeeds(shared_hub: Hub) -> None:
    hub = shared_hub
    owner = await hub.signup("client")
    job = await post_job(hub.client(owner), instantAccept=True)
    freelancers = [await hub.signup("freelancer") for _ in range(FREELANCERS)]
    responses = await asyncio.gather(
        *(change_status(hub.client(freelancer), job, "in_progress") for freelancer in freelancers)
    )
    assert sorted(response.status_code for response in responses) == [200] + [400] * (FREELANCERS - 1)
    (accepted,) = [response.json() for response in responses if response.status_code == 200]
    errors = [response.json() for response in responses if response.status_code == 400]
    assert {(error["code"], error["currentStatus"], error["hiredBidId"]) for error in errors} == {
        ("GIG_NOT_OPEN", "in_progress", accepted["hiredBidId"])
    }
    (winner,) = [
        freelancer for freelancer, response in zip(freelancers, responses, strict=True) if response.status_code == 200
    ]
    bids = (await hub.client(owner).get(f"/api/jobs/{job}/bids")).json()["items"]
    assert [(bid["id"], bid["price"], bid["status"], bid["freelancer"]["id"]) for bid in bids] == [
        (accepted["hiredBidId"], 5_000, "hired", winner.id)
    ]
    inbox = (await hub.client(owner).get("/api/notifications")).json()["items"]
    assert [notification["type"] for notification in inbox] == ["job_accepted"]


async def test_repeated_key_returns_the_first_response_without_a_transition(shared_hub: Hub) -> None:
    posted = await create_job(shared_hub, "assigned")
    freelancer_client, owner_client = shared_hub.client(posted.freelancer), shared_hub.client(posted.owner)
    repeated = await asyncio.gather(
        *(change_status(freelancer_client, posted.id, "in_progress", key="k") for _ in range(10))
    )
    assert {response.status_code for response in repeated} == {200}
    assert len({response.text for response in repeated}) == 1
    await change_status(freelancer_client, posted.id, "submitted")
    again = await change_status(freelancer_client, posted.id, "in_progress", key="k")
    assert (again.status_code, again.text) == (200, repeated[0].text)
    other = await change_status(freelancer_client, posted.id, "cancelled", key="k")
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    # Each caller has its own keys.
    by_owner = await change_status(owner_client, posted.id, "in_progress", key="k")
    assert (by_owner.status_code, by_owner.json()["status"]) == (200, "in_progress")
    accepted = [line for line in shared_hub.lines("accepted") if line["job"] == posted.id]
    assert len(accepted) == 1
    without = await change_status(freelancer_client, posted.id, "in_progress")
    assert (without.status_code, without.json()["code"], without.json()["currentStatus"]) == (
        409,
        "CONFLICT",
        "in_progress",
    )


async def test_deadlines_that_passed_while_stopped_are_processed_once(start_hub: StartHub) -> None:
    # The review lasts about 2 s.
    hub = await start_hub(HUB_REVIEW_DAYS="0.00002")
    reviewed, expiring = await create_job(hub, "in_progress"), await create_job(hub)
    await expire_soon(hub.client(expiring.owner), expiring.id, 2)
    await change_status(hub.client(reviewed.freelancer), reviewed.id, "submitted")
    await hub.stop()
    # Wait until both deadlines have passed.
    await asyncio.sleep(2)
    for _ in range(2):
        await hub.restart()
        await wait_for_statuses(hub, {reviewed.id: "completed", expiring.id: "expired"})
    assert [line["job"] for line in hub.lines("expired")] == [expiring.id]
    assert [(line["job"], line["by"]) for line in hub.lines("completed")] == [(reviewed.id, "hub")]
    for user, expected in (
        (expiring.owner, ["job_refunded", "bid_received"]),
        (expiring.freelancer, ["job_cancelled"]),
        (reviewed.freelancer, ["payment_released", "hired"]),
        (reviewed.owner, ["job_completed", "job_submitted", "job_accepted", "bid_received"]),
    ):
        inbox = (await hub.client(user).get("/api/notifications")).json()["items"]
        assert [notification["type"] for notification in inbox] == expected


async def test_job_expires_while_the_hub_runs_and_is_published(shared_hub: Hub) -> None:
    hub = shared_hub
    owner, freelancer = await hub.signup("client"), await hub.signup("freelancer")
    async with hub.stream(freelancer) as stream:
        job = await post_job(hub.client(owner))
        await place_bid(hub.client(freelancer), job)
        await expire_soon(hub.client(owner), job)
        (*_, event) = await stream.read_until(lambda e: e.type == "job_refunded" and e.data["id"] == job)
        assert event.data["status"] == "expired"
        assert event.data["updatedAt"] >= event.data["expiresAt"]
    (notification,) = [event.data for event in stream.events if event.type == "notification"]
    assert notification["type"] == "job_cancelled"


async def test_submission_is_paid_at_once_when_there_is_no_review_time(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_REVIEW_DAYS="0", HUB_DELIVERY_DAYS="0")
    posted = await create_job(hub, "in_progress")
    response = await change_status(hub.client(posted.freelancer), posted.id, "submitted")
    assert (response.status_code, response.json()["status"]) == (200, "completed")
    inbox = (await hub.client(posted.freelancer).get("/api/notifications")).json()["items"]
    assert [notification["type"] for notification in inbox] == ["payment_released", "hired"]
    # Without delivery time the owner may cancel the work as soon as it has started.
    started = await create_job(hub, "in_progress")
    assert (await change_status(hub.client(started.owner), started.id, "cancelled")).status_code == 200


async def test_early_cancellation_error_names_the_end_of_the_delivery_time(shared_hub: Hub) -> None:
    posted = await create_job(shared_hub, "in_progress")
    rejected = await change_status(shared_hub.client(posted.owner), posted.id, "cancelled")
    assert (rejected.status_code, rejected.json()["code"]) == (409, "CONFLICT")
    assert rejected.json()["currentStatus"] == "in_progress"
    assert "then you can cancel" in rejected.json()["message"]


async def test_deleted_job_is_not_found_by_any_route(shared_hub: Hub) -> None:
    hub = shared_hub
    posted = await create_job(hub, "deleted")
    owner_client, freelancer_client = hub.client(posted.owner), hub.client(posted.freelancer)
    for response in (
        await hub.client().get(f"/api/jobs/{posted.id}"),
        await owner_client.get(f"/api/jobs/{posted.id}/bids"),
        await owner_client.patch(f"/api/jobs/{posted.id}", json={"title": "Back"}),
        await owner_client.delete(f"/api/jobs/{posted.id}"),
        await change_status(owner_client, posted.id, "cancelled"),
        await freelancer_client.post(f"/api/jobs/{posted.id}/bids", json={"message": "Me", "price": 1}),
        await freelancer_client.delete(f"/api/bids/{posted.bid_id}"),
    ):
        assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND"), response.request.url
    hired = await owner_client.patch(f"/api/bids/{posted.bid_id}/hire")
    assert (hired.status_code, hired.json()["code"]) == (404, "GIG_NOT_FOUND")
    assert (await owner_client.get("/api/jobs?mine=true")).json()["items"] == []
    assert (await freelancer_client.get("/api/bids?mine=true")).json()["items"] == []


async def test_job_changes_are_rate_limited_per_user(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_RATE_LIMIT="4/hour")
    posted = await create_job(hub, "in_progress")
    owner_client, freelancer_client = hub.client(posted.owner), hub.client(posted.freelancer)
    # The acceptance counts as one of four changes.
    responses = [await change_status(freelancer_client, posted.id, "submitted")]
    for _ in range(3):
        responses += [
            await change_status(owner_client, posted.id, "in_progress"),
            await change_status(freelancer_client, posted.id, "submitted"),
        ]
    assert [response.status_code for response in responses] == [200] * 6 + [429]
    assert responses[-1].json()["code"] == "RATE_LIMITED"
    assert int(responses[-1].headers["retry-after"]) > 0
    edits = [await owner_client.patch(f"/api/jobs/{posted.id}", json={"title": "Other"}) for _ in range(2)]
    assert [response.status_code for response in edits] == [409, 429]
    assert (await freelancer_client.post("/api/wallet/withdrawals", json={"amount": 1})).status_code == 429


INVALID_STATUS_CHANGES: list[tuple[Any, str, str]] = [
    ({}, "INVALID_FIELD", "/status"),
    ({"status": "done"}, "INVALID_FIELD", "/status"),
    ({"status": "deleted"}, "INVALID_FIELD", "/status"),
    ({"status": None}, "INVALID_FIELD", "/status"),
    ({"status": "submitted", "more": 1}, "UNKNOWN_FIELD", "/more"),
    ({"status": "in_progress", "note": ""}, "INVALID_FIELD", "/note"),
    ({"status": "in_progress", "note": "x" * 1_001}, "INVALID_FIELD", "/note"),
    ({"status": "in_progress", "note": "a\u0000b"}, "INVALID_FIELD", "/note"),
    ({"status": "cancelled", "note": "Sorry"}, "INVALID_FIELD", "/note"),
    ([], "INVALID_FIELD", ""),
]


@pytest.mark.parametrize(("body", "code", "pointer"), INVALID_STATUS_CHANGES)
async def test_invalid_status_changes_are_rejected_with_a_pointer(
    shared_hub: Hub, body: Any, code: str, pointer: str
) -> None:
    posted = await create_job(shared_hub, "assigned")
    response = await shared_hub.client(posted.freelancer).patch(f"/api/jobs/{posted.id}/status", json=body)
    assert (response.status_code, response.json()["code"], response.json()["pointer"]) == (422, code, pointer)


INVALID_FIELDS: list[tuple[Any, str]] = [
    ({"budget": bad}, "/budget") for bad in (0, -1, 0.1, "100", True, 10**18, 2**63 - 1, 10**12 + 1, None)
] + [
    ({"title": ""}, "/title"),
    ({"title": None}, "/title"),
    ({"description": "x" * 10_001}, "/description"),
    ({"category": ""}, "/category"),
    ({"skills": ["x"] * 21}, "/skills"),
    ({"skills": None}, "/skills"),
    ({"instantAccept": None}, "/instantAccept"),
    ({"instantAccept": 1}, "/instantAccept"),
    ({"expiresAt": "tomorrow"}, "/expiresAt"),
    ({"expiresAt": "2020-01-01T00:00:00Z"}, "/expiresAt"),
    ({"expiresAt": "2999-01-01T00:00:00"}, "/expiresAt"),
    ({"expiresAt": "0001-01-01T00:00:00+14:00"}, "/expiresAt"),
    ({"expiresAt": "9999-12-31T23:59:59-14:00"}, "/expiresAt"),
    ({"expiresAt": 5}, "/expiresAt"),
]


async def test_invalid_fields_are_rejected_when_posting_and_editing(shared_hub: Hub) -> None:
    owner = await shared_hub.signup("client")
    client = shared_hub.client(owner)
    job = await post_job(client)
    before = (await client.get(f"/api/jobs/{job}")).json()
    good = {"title": "T", "description": "D", "budget": 1}
    for body, pointer in INVALID_FIELDS:
        edited = await client.patch(f"/api/jobs/{job}", json=body)
        for response in (edited, await client.post("/api/jobs", json=good | body)):
            assert (response.status_code, response.json()["code"]) == (422, "INVALID_FIELD"), (body, response.text)
            assert response.json()["pointer"].startswith(pointer), response.text
    assert (await client.get(f"/api/jobs/{job}")).json() == before
    assert [listed["id"] for listed in (await client.get("/api/jobs?mine=true")).json()["items"]] == [job]


async def test_edit_is_published_and_rejected_once_the_job_is_accepted(shared_hub: Hub) -> None:
    hub = shared_hub
    posted = await create_job(hub, skills=["a"], category="web", expiresAt=time_in(3_600))
    owner_client = hub.client(posted.owner)
    async with hub.stream(posted.freelancer) as stream:
        changes = {"title": "Mend it", "budget": 9_000, "category": None, "expiresAt": None, "instantAccept": True}
        response = await owner_client.patch(f"/api/jobs/{posted.id}", json=changes)
        assert response.status_code == 200, response.text
        assert {name: response.json()[name] for name in changes} == changes
        assert response.json()["skills"] == ["a"]
        (*_, event) = await stream.read_until(lambda e: e.type == "job_updated" and e.data["title"] == "Mend it")
        assert event.data["budget"] == 9_000
    too_expensive = await owner_client.patch(f"/api/jobs/{posted.id}", json={"budget": 10**12})
    assert (too_expensive.status_code, too_expensive.json()["code"]) == (402, "INSUFFICIENT_FUNDS")
    assert too_expensive.json()["available"] == 1_000_000 - 9_000
    assert (await change_status(hub.client(posted.freelancer), posted.id, "in_progress")).status_code == 200
    for response in (
        await owner_client.patch(f"/api/jobs/{posted.id}", json={"title": "X"}),
        await owner_client.delete(f"/api/jobs/{posted.id}"),
    ):
        assert (response.status_code, response.json()["code"]) == (409, "CONFLICT")
        assert response.json()["currentStatus"] == "in_progress"
