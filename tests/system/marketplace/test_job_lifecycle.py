"""The life of a job over HTTP: from the post to the payment, at once by fifty, over a restart, with a key again."""

import asyncio
from typing import Any

import pytest

from tests.support.hub import Hub
from tests.system.conftest import StartHub
from tests.system.job_factory import bid, end_soon, gig, move, post, soon

TRIES = 50


async def until_they_are(hub: Hub, statuses: dict[str, str]) -> None:
    client = hub.client()
    async with asyncio.timeout(20):
        while {job: (await client.get(f"/api/jobs/{job}")).json()["status"] for job in statuses} != statuses:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_whole_life_is_told_to_both_and_to_everybody_and_written_into_the_log(shared_hub: Hub) -> None:
    hub = shared_hub
    owner, worker = await hub.signup("client"), await hub.signup("freelancer")
    boss, hand = hub.client(owner), hub.client(worker)
    async with hub.stream(owner) as client, hub.stream(worker) as freelancer:
        job = await post(boss)
        await boss.patch(f"/api/bids/{await bid(hand, job)}/hire")
        steps: list[tuple[Any, str, dict[str, str]]] = [
            (hand, "in_progress", {}),
            (hand, "submitted", {}),
            (boss, "in_progress", {"note": "Larger, please."}),
            (hand, "submitted", {}),
            (boss, "completed", {}),
        ]
        for who, status, more in steps:
            answer = await move(who, job, status, **more)
            assert (answer.status_code, answer.json()["status"]) == (200, status), answer.text
            assert answer.json() == (await hub.client().get(f"/api/jobs/{job}")).json()
        last = await client.read_until(lambda e: e.type == "job_completed" and e.data["id"] == job)
        await freelancer.read_until(lambda e: e.type == "job_completed" and e.data["id"] == job)
    assert last[-1].data["invalidates"] == [f"job/{job}", "my-jobs", "stats", "wallet"]
    inbox = [event.data for event in freelancer.events if event.type == "notification"]
    assert [one["type"] for one in inbox] == ["hired", "changes_requested", "payment_released"]
    assert inbox[1]["data"]["note"] == "Larger, please."
    assert inbox[1]["body"] == f"{owner.name} asks for changes: Larger, please."
    owners = [event.data["type"] for event in client.events if event.type == "notification"]
    assert owners == ["bid_received", "job_accepted", "job_submitted", "job_submitted", "job_completed"]
    lines = [(line["event"], line["by"]) for line in hub.lines() if line.get("job") == job and "by" in line]
    assert lines == [
        ("accepted", worker.id),
        ("submitted", worker.id),
        ("changes_requested", owner.id),
        ("submitted", worker.id),
        ("completed", owner.id),
    ]
    (done,) = [line for line in hub.lines("completed") if line["job"] == job]
    assert (done["freelancer"], done["amount"], done["currency"]) == (worker.id, 4_000, "USD")


async def test_of_fifty_who_take_a_job_at_once_one_has_it(shared_hub: Hub) -> None:
    hub = shared_hub
    owner = await hub.signup("client")
    job = await post(hub.client(owner), instantAccept=True)
    people = [await hub.signup("freelancer") for _ in range(TRIES)]
    answers = await asyncio.gather(*(move(hub.client(who), job, "in_progress") for who in people))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * (TRIES - 1)
    (won,) = [answer.json() for answer in answers if answer.status_code == 200]
    lost = [answer.json() for answer in answers if answer.status_code == 400]
    assert {(one["code"], one["currentStatus"], one["hiredBidId"]) for one in lost} == {
        ("GIG_NOT_OPEN", "in_progress", won["hiredBidId"])
    }
    (winner,) = [who for who, answer in zip(people, answers, strict=True) if answer.status_code == 200]
    bids = (await hub.client(owner).get(f"/api/jobs/{job}/bids")).json()["items"]
    assert [(one["id"], one["price"], one["status"], one["freelancer"]["id"]) for one in bids] == [
        (won["hiredBidId"], 5_000, "hired", winner.id)
    ]
    inbox = (await hub.client(owner).get("/api/notifications")).json()["items"]
    assert [one["type"] for one in inbox] == ["job_accepted"]


async def test_a_repeated_key_gets_the_first_answer_and_moves_nothing_again(shared_hub: Hub) -> None:
    g = await gig(shared_hub, "assigned")
    hand, boss = shared_hub.client(g.worker), shared_hub.client(g.owner)
    asked = await asyncio.gather(*(move(hand, g.id, "in_progress", key="k") for _ in range(10)))
    assert {answer.status_code for answer in asked} == {200}
    assert len({answer.text for answer in asked}) == 1
    await move(hand, g.id, "submitted")
    again = await move(hand, g.id, "in_progress", key="k")
    assert (again.status_code, again.text) == (200, asked[0].text)
    other = await move(hand, g.id, "cancelled", key="k")
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    # A key is the caller's own.
    theirs = await move(boss, g.id, "in_progress", key="k")
    assert (theirs.status_code, theirs.json()["status"]) == (200, "in_progress")
    accepted = [line for line in shared_hub.lines("accepted") if line["job"] == g.id]
    assert len(accepted) == 1
    without = await move(hand, g.id, "in_progress")
    assert (without.status_code, without.json()["code"], without.json()["currentStatus"]) == (
        409,
        "CONFLICT",
        "in_progress",
    )


async def test_what_fell_due_while_the_hub_was_down_happens_at_its_start_and_once(start_hub: StartHub) -> None:
    # The review lasts some 2 s.
    hub = await start_hub(HUB_REVIEW_DAYS="0.00002")
    reviewed, opened = await gig(hub, "in_progress"), await gig(hub)
    await end_soon(hub.client(opened.owner), opened.id, 2)
    await move(hub.client(reviewed.worker), reviewed.id, "submitted")
    await hub.stop()
    # Until both are due for certain.
    await asyncio.sleep(2)
    for _ in range(2):
        await hub.restart()
        await until_they_are(hub, {reviewed.id: "completed", opened.id: "expired"})
    assert [line["job"] for line in hub.lines("expired")] == [opened.id]
    assert [(line["job"], line["by"]) for line in hub.lines("completed")] == [(reviewed.id, "hub")]
    for who, expected in (
        (opened.owner, ["job_refunded", "bid_received"]),
        (opened.worker, ["job_cancelled"]),
        (reviewed.worker, ["payment_released", "hired"]),
        (reviewed.owner, ["job_completed", "job_submitted", "job_accepted", "bid_received"]),
    ):
        inbox = (await hub.client(who).get("/api/notifications")).json()["items"]
        assert [one["type"] for one in inbox] == expected


async def test_a_job_expires_while_the_hub_serves_and_streams_hear_of_it(shared_hub: Hub) -> None:
    hub = shared_hub
    owner, worker = await hub.signup("client"), await hub.signup("freelancer")
    async with hub.stream(worker) as stream:
        job = await post(hub.client(owner))
        await bid(hub.client(worker), job)
        await end_soon(hub.client(owner), job)
        (*_, told) = await stream.read_until(lambda e: e.type == "job_refunded" and e.data["id"] == job, timeout=20)
        assert told.data["status"] == "expired"
        assert told.data["updatedAt"] >= told.data["expiresAt"]
    (letter,) = [event.data for event in stream.events if event.type == "notification"]
    assert letter["type"] == "job_cancelled"


async def test_with_no_days_for_review_a_submission_pays_at_once(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_REVIEW_DAYS="0", HUB_DELIVERY_DAYS="0")
    g = await gig(hub, "in_progress")
    answer = await move(hub.client(g.worker), g.id, "submitted")
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")
    inbox = (await hub.client(g.worker).get("/api/notifications")).json()["items"]
    assert [one["type"] for one in inbox] == ["payment_released", "hired"]
    # And with no days for the work the owner may cancel it as soon as it has begun.
    late = await gig(hub, "in_progress")
    assert (await move(hub.client(late.owner), late.id, "cancelled")).status_code == 200


async def test_the_owner_of_a_job_in_progress_is_told_from_when_on_it_can_be_cancelled(shared_hub: Hub) -> None:
    g = await gig(shared_hub, "in_progress")
    refused = await move(shared_hub.client(g.owner), g.id, "cancelled")
    assert (refused.status_code, refused.json()["code"]) == (409, "CONFLICT")
    assert refused.json()["currentStatus"] == "in_progress"
    assert "then you can cancel" in refused.json()["message"]


async def test_a_deleted_job_is_gone_from_everywhere(shared_hub: Hub) -> None:
    hub = shared_hub
    g = await gig(hub, "deleted")
    boss, hand = hub.client(g.owner), hub.client(g.worker)
    for answer in (
        await hub.client().get(f"/api/jobs/{g.id}"),
        await boss.get(f"/api/jobs/{g.id}/bids"),
        await boss.patch(f"/api/jobs/{g.id}", json={"title": "Back"}),
        await boss.delete(f"/api/jobs/{g.id}"),
        await move(boss, g.id, "cancelled"),
        await hand.post(f"/api/jobs/{g.id}/bids", json={"message": "Me", "price": 1}),
        await hand.delete(f"/api/bids/{g.bid}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND"), answer.request.url
    hired = await boss.patch(f"/api/bids/{g.bid}/hire")
    assert (hired.status_code, hired.json()["code"]) == (404, "GIG_NOT_FOUND")
    assert (await boss.get("/api/jobs?mine=true")).json()["items"] == []
    assert (await hand.get("/api/bids?mine=true")).json()["items"] == []


async def test_nobody_keeps_every_open_page_busy_by_moving_a_job_to_and_fro(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_RATE_LIMIT="4/minute")
    g = await gig(hub, "in_progress")
    boss, hand = hub.client(g.owner), hub.client(g.worker)
    # The worker has accepted: one of four.
    answers = [await move(hand, g.id, "submitted")]
    for _ in range(3):
        answers += [await move(boss, g.id, "in_progress"), await move(hand, g.id, "submitted")]
    assert [answer.status_code for answer in answers] == [200] * 6 + [429]
    assert answers[-1].json()["code"] == "RATE_LIMITED"
    assert int(answers[-1].headers["retry-after"]) > 0
    edits = [await boss.patch(f"/api/jobs/{g.id}", json={"title": "Other"}) for _ in range(2)]
    assert [answer.status_code for answer in edits] == [409, 429]
    assert (await hand.post("/api/wallet/withdrawals", json={"amount": 1})).status_code == 429


BAD_MOVES: list[tuple[Any, str, str]] = [
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


@pytest.mark.parametrize(("body", "code", "pointer"), BAD_MOVES)
async def test_a_bad_move_is_refused_where_it_is_bad(shared_hub: Hub, body: Any, code: str, pointer: str) -> None:
    g = await gig(shared_hub, "assigned")
    answer = await shared_hub.client(g.worker).patch(f"/api/jobs/{g.id}/status", json=body)
    assert (answer.status_code, answer.json()["code"], answer.json()["pointer"]) == (422, code, pointer)


BAD_CHANGES: list[tuple[Any, str]] = [
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


async def test_bad_values_are_refused_in_new_jobs_and_in_edits_and_move_no_money(shared_hub: Hub) -> None:
    owner = await shared_hub.signup("client")
    client = shared_hub.client(owner)
    job = await post(client)
    before = (await client.get(f"/api/jobs/{job}")).json()
    good = {"title": "T", "description": "D", "budget": 1}
    for body, pointer in BAD_CHANGES:
        edited = await client.patch(f"/api/jobs/{job}", json=body)
        for answer in (edited, await client.post("/api/jobs", json=good | body)):
            assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_FIELD"), (body, answer.text)
            assert answer.json()["pointer"].startswith(pointer), answer.text
    assert (await client.get(f"/api/jobs/{job}")).json() == before
    assert [one["id"] for one in (await client.get("/api/jobs?mine=true")).json()["items"]] == [job]


async def test_an_edit_is_seen_by_everybody_and_a_taken_job_can_no_longer_be_edited(shared_hub: Hub) -> None:
    hub = shared_hub
    g = await gig(hub, skills=["a"], category="web", expiresAt=soon(3_600))
    boss = hub.client(g.owner)
    async with hub.stream(g.worker) as stream:
        changes = {"title": "Mend it", "budget": 9_000, "category": None, "expiresAt": None, "instantAccept": True}
        answer = await boss.patch(f"/api/jobs/{g.id}", json=changes)
        assert answer.status_code == 200, answer.text
        assert {name: answer.json()[name] for name in changes} == changes
        assert answer.json()["skills"] == ["a"]
        (*_, told) = await stream.read_until(lambda e: e.type == "job_updated" and e.data["title"] == "Mend it")
        assert told.data["budget"] == 9_000
    poor = await boss.patch(f"/api/jobs/{g.id}", json={"budget": 10**12})
    assert (poor.status_code, poor.json()["code"]) == (402, "INSUFFICIENT_FUNDS")
    assert poor.json()["available"] == 1_000_000 - 9_000
    assert (await move(hub.client(g.worker), g.id, "in_progress")).status_code == 200
    for answer in (await boss.patch(f"/api/jobs/{g.id}", json={"title": "X"}), await boss.delete(f"/api/jobs/{g.id}")):
        assert (answer.status_code, answer.json()["code"]) == (409, "CONFLICT")
        assert answer.json()["currentStatus"] == "in_progress"
