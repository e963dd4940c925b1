"""Notifications, broadcasts and announcements over HTTP, on a real hub with open streams."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from tests.support.hub import Hub, Person

SEND = "/api/realtime/notifications/send"
NOTE = {"type": "note", "category": "system", "title": "Hello", "body": "Body"}


@pytest.fixture
async def service(shared_hub: Hub) -> httpx2.AsyncClient:
    return shared_hub.client(await shared_hub.api_key("notify", "broadcast", "users"))


async def send(service: httpx2.AsyncClient, who: Person, **more: Any) -> str:
    answer = await service.post(SEND, json=NOTE | {"userId": who.id} | more)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def send_ending_soon(service: httpx2.AsyncClient, who: Person) -> str:
    """One that expires in a second: sent again as long as that was over before the hub had heard it."""
    while True:
        soon = datetime.now(UTC) + timedelta(seconds=1)
        answer = await service.post(SEND, json=NOTE | {"userId": who.id, "expiresAt": soon.isoformat()})
        if answer.status_code != 422:
            assert answer.status_code == 201, answer.text
            return str(answer.json()["id"])
        assert answer.json()["pointer"] == "/expiresAt", answer.text


def problem(answer: httpx2.Response) -> tuple[int, str, Any, Any]:
    told = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, told["code"], told.get("pointer"), told.get("reason")


async def test_every_change_reaches_the_other_tabs_and_the_list_agrees(
    shared_hub: Hub, service: httpx2.AsyncClient
) -> None:
    ann = await shared_hub.signup("freelancer")
    mine = shared_hub.client(ann)
    ids = [await send(service, ann) for _ in range(3)]

    async def change(verb: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await mine.post(f"/api/realtime/notifications/{verb}", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    cursor = (await mine.get("/api/notifications")).json()["cursor"]
    async with shared_hub.stream(ann, cursor=cursor) as tab:
        assert (await change("seen", {"ids": ids[:2]})) == {"unread": 3, "unseen": 1}
        read = await change("read", {"all": True, "before": ids[1]})
        archived = await change("archive", {"ids": [ids[2]]})
        assert (archived["unread"], archived["unseen"]) == (0, 0)
        undone = await change("undo", {"undo": archived["undo"]})
        assert (undone["unread"], undone["unseen"]) == (1, 1)
        await change("undo", {"undo": read["undo"]})
        told = [(await tab.next_event("notification_state")).data for _ in range(5)]
    assert [(event["state"], event["unread"], event["unseen"]) for event in told] == [
        ("seen", 3, 1),
        ("read", 1, 1),
        ("archived", 0, 0),
        ("unarchived", 1, 1),
        ("unread", 3, 1),
    ]
    listed = (await mine.get("/api/notifications", params={"filter": "unread", "category": "system,job"})).json()
    assert ([item["id"] for item in listed["items"]], listed["unread"], listed["unseen"]) == (ids[::-1], 3, 1)


async def test_a_collapsed_one_is_not_replayed_to_who_comes_back(shared_hub: Hub, service: httpx2.AsyncClient) -> None:
    ann = await shared_hub.signup("freelancer")
    cursor = (await shared_hub.client(ann).get("/api/notifications")).json()["cursor"]
    old = await send(service, ann, collapseKey="bids", title="1 bid")
    new = await send(service, ann, collapseKey="bids", title="2 bids")
    async with shared_hub.stream(ann, cursor=cursor) as stream:
        came = await stream.next_event("notification")
        assert (came.data["id"], came.data["count"], came.data["unread"]) == (new, 2, 1)
    assert [event.data.get("ids") for event in stream.events if event.type == "notification_state"] == [[old]]


async def test_many_are_sent_to_or_nobody(shared_hub: Hub, service: httpx2.AsyncClient) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    await service.put("/api/users/by-external-id/eve-1", json={"name": "Eve"})
    many = await service.post(SEND, json=NOTE | {"userIds": [bob.id, ann.id, bob.id]})
    assert (many.status_code, len(many.json()["ids"])) == (201, 2)
    assert (await service.post(SEND, json=NOTE | {"externalId": "eve-1"})).status_code == 201
    refused = await service.post(SEND, json=NOTE | {"userIds": [ann.id, "nobody"]})
    assert problem(refused) == (422, "INVALID_FIELD", "/userIds/1", "unknown user")
    batch = [NOTE | {"userId": ann.id}, NOTE | {"userIds": [ann.id, bob.id]}]
    sent = await service.post(f"{SEND}/batch", json=batch)
    assert (sent.status_code, [list(one) for one in sent.json()]) == (201, [["id"], ["ids"]])
    refused = await service.post(f"{SEND}/batch", json=[*batch, NOTE | {"externalId": "eve-2"}])
    assert problem(refused) == (422, "INVALID_FIELD", "/2/externalId", "unknown user")
    assert (await shared_hub.client(ann).get("/api/notifications")).json()["unread"] == 3


async def test_a_repeated_key_sends_once(shared_hub: Hub, service: httpx2.AsyncClient) -> None:
    ann = await shared_hub.signup()
    for path, body in ((SEND, NOTE | {"userId": ann.id}), (f"{SEND}/batch", [NOTE | {"userId": ann.id}])):
        answers = [await service.post(path, json=body, headers={"idempotency-key": path}) for _ in range(2)]
        assert answers[0].json() == answers[1].json()
    assert (await shared_hub.client(ann).get("/api/notifications")).json()["unread"] == 2


@pytest.mark.parametrize(
    ("more", "pointer", "reason"),
    [
        ({"title": "a\nb"}, "/title", "control character"),
        ({"body": "\u0000"}, "/body", "control character"),
        ({"url": "//evil.example"}, "/url", "unsafe link"),
        ({"url": "javascript:alert(1)"}, "/url", "unsafe link"),
        ({"icon": "x" * 17}, "/icon", "length"),
        ({"data": {"a": "x" * 9_000}}, "/data", "length"),
        ({"actions": [{"id": "a", "label": "A", "url": "http://a"}]}, "/actions/0/url", "unsafe link"),
        ({"actions": [{"id": "a", "label": "A"}] * 2}, "/actions/1/id", "type"),
        ({"expiresAt": "2001-01-01T00:00:00Z"}, "/expiresAt", "range"),
        ({"expiresAt": "tomorrow"}, "/expiresAt", "type"),
        ({"userIds": ["x"]}, "/userId", "type"),
        ({"category": "nonsense"}, "/category", "range"),
    ],
)
async def test_bad_words_are_refused_with_a_pointer_alone_and_in_a_batch(
    shared_hub: Hub, service: httpx2.AsyncClient, more: dict[str, Any], pointer: str, reason: str
) -> None:
    body = NOTE | {"userId": "nobody"} | more
    # Before the user is looked up, except for what depends on the time.
    if reason == "range" and "expiresAt" in more:
        body["userId"] = (await shared_hub.signup()).id
    refused = [await service.post(SEND, json=body), await service.post(f"{SEND}/batch", json=[body])]
    assert [problem(answer) for answer in refused] == [
        (422, "INVALID_FIELD", pointer, reason),
        (422, "INVALID_FIELD", f"/0{pointer}", reason),
    ]


async def test_half_a_character_is_refused(shared_hub: Hub, service: httpx2.AsyncClient) -> None:
    body = json.dumps(NOTE | {"userId": "x", "data": {"a": ["\ud800"]}})
    refused = await service.post(SEND, content=body, headers={"content-type": "application/json"})
    assert problem(refused) == (422, "INVALID_FIELD", "/data/a/0", "lone surrogate")


async def test_retracting_by_id_or_by_user_and_key(shared_hub: Hub, service: httpx2.AsyncClient) -> None:
    ann = await shared_hub.signup()
    ids = [await send(service, ann), await send(service, ann, collapseKey="job/1"), await send(service, ann)]
    path = "/api/realtime/notifications/retract"
    by_id = await service.post(path, json={"ids": [ids[0], "nobody's"]})
    by_key = await service.post(path, json={"userId": ann.id, "collapseKey": "job/1"})
    assert ([by_id.json(), by_key.json()], by_key.status_code) == ([{"retracted": 1}] * 2, 200)
    listed = (await shared_hub.client(ann).get("/api/notifications")).json()
    assert ([item["id"] for item in listed["items"]], listed["unread"]) == (ids[2:], 1)
    assert problem(await service.post(path, json={"ids": ids, "userId": ann.id}))[:2] == (422, "INVALID_FIELD")
    unknown = await service.post(path, json={"userId": "nobody", "collapseKey": "k"})
    assert problem(unknown) == (422, "INVALID_FIELD", "/userId", "unknown user")


async def test_an_expired_one_leaves_within_seconds(shared_hub: Hub, service: httpx2.AsyncClient) -> None:
    ann = await shared_hub.signup()
    async with shared_hub.stream(ann) as stream:
        await stream.next_event("connection_confirmed")
        made = await send_ending_soon(service, ann)
        gone = (await stream.next_event("notification_state", timeout=20)).data
    assert gone == {"ids": [made], "state": "retracted", "unread": 0, "unseen": 0}
    assert (await shared_hub.client(ann).get("/api/notifications")).json()["items"] == []


async def test_an_action_is_kept_and_told(shared_hub: Hub, service: httpx2.AsyncClient) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    made = await send(service, ann, actions=[{"id": "yes", "label": "Yes", "style": "primary"}])
    path = f"/api/notifications/{made}/actions"
    async with shared_hub.stream(ann) as stream:
        await stream.next_event("connection_confirmed")
        done = await shared_hub.client(ann).post(f"{path}/yes")
        assert done.json()["actions"] == [{"id": "yes", "label": "Yes", "style": "primary", "done": True}]
        told = (await stream.next_event("notification_state")).data
    assert told == {"ids": [made], "state": "action", "action": "yes", "unread": 1, "unseen": 1}
    for client, action in ((shared_hub.client(bob), "yes"), (shared_hub.client(ann), "no")):
        assert problem(await client.post(f"{path}/{action}"))[:2] == (404, "NOT_FOUND")


async def test_a_broadcast_answers_with_the_cursor_of_its_event(shared_hub: Hub, service: httpx2.AsyncClient) -> None:
    ann = await shared_hub.signup("freelancer")
    body = {"type": "sale", "data": {"off": 10}, "channel": f"user:{ann.id}"}
    async with shared_hub.stream(ann) as stream:
        await stream.next_event("connection_confirmed")
        answers = [
            await service.post("/api/realtime/broadcast", json=body, headers={"idempotency-key": f"b-{ann.id}"})
            for _ in range(2)
        ]
        came = await stream.next_event("sale")
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json() == {"cursor": came.id}
    assert came.data == {"off": 10}


async def test_who_may_send_and_broadcast(shared_hub: Hub, service: httpx2.AsyncClient) -> None:
    ann = await shared_hub.signup()
    jobs = shared_hub.client(await shared_hub.api_key("jobs"))
    path = "/api/realtime/broadcast"
    assert problem(await shared_hub.client(ann).post(SEND, json=NOTE | {"userId": ann.id}))[:2] == (403, "FORBIDDEN")
    assert problem(await jobs.post(SEND, json=NOTE | {"userId": ann.id}))[:2] == (403, "FORBIDDEN")
    assert (await jobs.post(path, json={"type": "job_created", "data": {}})).status_code == 202
    assert problem(await jobs.post(path, json={"type": "sale", "data": {}}))[:2] == (403, "FORBIDDEN")
    own = await service.post(path, json={"type": "job_created", "data": {}})
    assert problem(own) == (422, "INVALID_FIELD", "/type", "range")
    unknown = await service.post(path, json={"type": "sale", "data": {}, "channel": "role:admin"})
    assert problem(unknown) == (422, "INVALID_FIELD", "/channel", "unknown channel")
    large = await service.post(path, json={"type": "sale", "data": {"a": "x" * 17_000}})
    assert problem(large) == (422, "INVALID_FIELD", "/data", "length")


async def test_the_inbox_is_changed_only_so_fast(shared_hub: Hub) -> None:
    client, nothing = shared_hub.client(await shared_hub.signup()), "0" * 8 + "-0000" * 3 + "-" + "0" * 12
    paths = [f"/api/realtime/notifications/{verb}" for verb in ("read", "unread", "seen", "archive", "unarchive")]
    asked: list[tuple[str, dict[str, Any]]] = [(path, {"ids": [nothing]}) for path in paths]
    asked += [("/api/realtime/notifications/undo", {"undo": nothing}), (f"/api/notifications/{nothing}/actions/a", {})]
    answers = [await client.post(path, json=body) for path, body in asked]
    assert 429 not in [answer.status_code for answer in answers]
    while answers[-1].status_code != 429:
        answers = await asyncio.gather(*(client.post(paths[0], json={"ids": [nothing]}) for _ in range(50)))
    assert answers[-1].json()["limit"] == "changes of the inbox"
    for path, body in asked:
        # It comes back as time goes by, but not as fast as one can ask.
        while (await client.post(path, json=body)).status_code != 429:
            pass


@pytest.mark.parametrize(
    "body", [{}, {"all": True}, {"before": "x"}, {"ids": [], "all": True}, {"ids": ["a"], "all": True}]
)
async def test_a_change_names_ids_or_everything(shared_hub: Hub, body: dict[str, Any]) -> None:
    client = shared_hub.client(await shared_hub.signup())
    answer = await client.post("/api/realtime/notifications/read", json=body)
    assert problem(answer)[:2] == (422, "INVALID_FIELD")
