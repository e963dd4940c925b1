"""Notifications and broadcasts over HTTP, received on open streams."""

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


async def send(service: httpx2.AsyncClient, user: Person, **fields: Any) -> str:
    response = await service.post(SEND, json=NOTE | {"userId": user.id} | fields)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def send_expiring(service: httpx2.AsyncClient, user: Person) -> str:
    """Send a notification that expires in a second, and again if it expired before the hub read the request."""
    while True:
        expires_at = datetime.now(UTC) + timedelta(seconds=1)
        response = await service.post(SEND, json=NOTE | {"userId": user.id, "expiresAt": expires_at.isoformat()})
        if response.status_code != 422:
            assert response.status_code == 201, response.text
            return str(response.json()["id"])
        assert response.json()["pointer"] == "/expiresAt", response.text


def problem(response: httpx2.Response) -> tuple[int, str, Any, Any]:
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, problem["code"], problem.get("pointer"), problem.get("reason")


async def test_state_changes_are_published_and_agree_with_the_list(
    shared_hub: Hub, service: httpx2.AsyncClient
) -> None:
    ann = await shared_hub.signup("freelancer")
    client = shared_hub.client(ann)
    ids = [await send(service, ann) for _ in range(3)]

    async def change(verb: str, body: dict[str, Any]) -> dict[str, Any]:
        response = await client.post(f"/api/realtime/notifications/{verb}", json=body)
        assert response.status_code == 200, response.text
        return dict(response.json())

    cursor = (await client.get("/api/notifications")).json()["cursor"]
    async with shared_hub.stream(ann, cursor=cursor) as tab:
        assert (await change("seen", {"ids": ids[:2]})) == {"unread": 3, "unseen": 1}
        read = await change("read", {"all": True, "before": ids[1]})
        archived = await change("archive", {"ids": [ids[2]]})
        assert (archived["unread"], archived["unseen"]) == (0, 0)
        undone = await change("undo", {"undo": archived["undo"]})
        assert (undone["unread"], undone["unseen"]) == (1, 1)
        await change("undo", {"undo": read["undo"]})
        events = [(await tab.next_event("notification_state")).data for _ in range(5)]
    assert [(event["state"], event["unread"], event["unseen"]) for event in events] == [
        ("seen", 3, 1),
        ("read", 1, 1),
        ("archived", 0, 0),
        ("unarchived", 1, 1),
        ("unread", 3, 1),
    ]
    inbox = (await client.get("/api/notifications", params={"filter": "unread", "category": "system,job"})).json()
    assert ([item["id"] for item in inbox["items"]], inbox["unread"], inbox["unseen"]) == (ids[::-1], 3, 1)


async def test_collapsed_notification_is_not_replayed(shared_hub: Hub, service: httpx2.AsyncClient) -> None:
    ann = await shared_hub.signup("freelancer")
    cursor = (await shared_hub.client(ann).get("/api/notifications")).json()["cursor"]
    old = await send(service, ann, collapseKey="bids", title="1 bid")
    new = await send(service, ann, collapseKey="bids", title="2 bids")
    async with shared_hub.stream(ann, cursor=cursor) as stream:
        event = await stream.next_event("notification")
        assert (event.data["id"], event.data["count"], event.data["unread"]) == (new, 2, 1)
    assert [event.data.get("ids") for event in stream.events if event.type == "notification_state"] == [[old]]


async def test_send_to_many_recipients_is_all_or_nothing(shared_hub: Hub, service: httpx2.AsyncClient) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    await service.put("/api/users/by-external-id/eve-1", json={"name": "Eve"})
    many = await service.post(SEND, json=NOTE | {"userIds": [bob.id, ann.id, bob.id]})
    assert (many.status_code, len(many.json()["ids"])) == (201, 2)
    assert (await service.post(SEND, json=NOTE | {"externalId": "eve-1"})).status_code == 201
    rejected = await service.post(SEND, json=NOTE | {"userIds": [ann.id, "nobody"]})
    assert problem(rejected) == (422, "INVALID_FIELD", "/userIds/1", "unknown user")
    batch = [NOTE | {"userId": ann.id}, NOTE | {"userIds": [ann.id, bob.id]}]
    sent = await service.post(f"{SEND}/batch", json=batch)
    assert (sent.status_code, [list(result) for result in sent.json()]) == (201, [["id"], ["ids"]])
    rejected = await service.post(f"{SEND}/batch", json=[*batch, NOTE | {"externalId": "eve-2"}])
    assert problem(rejected) == (422, "INVALID_FIELD", "/2/externalId", "unknown user")
    assert (await shared_hub.client(ann).get("/api/notifications")).json()["unread"] == 3


async def test_send_is_idempotent_with_a_key(shared_hub: Hub, service: httpx2.AsyncClient) -> None:
    ann = await shared_hub.signup()
    for path, body in ((SEND, NOTE | {"userId": ann.id}), (f"{SEND}/batch", [NOTE | {"userId": ann.id}])):
        responses = [await service.post(path, json=body, headers={"idempotency-key": path}) for _ in range(2)]
        assert responses[0].json() == responses[1].json()
    assert (await shared_hub.client(ann).get("/api/notifications")).json()["unread"] == 2


@pytest.mark.parametrize(
    ("change", "pointer", "reason"),
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
    ids=[
        "newline_in_title",
        "nul_in_body",
        "protocol_relative_url",
        "javascript_url",
        "long_icon",
        "large_data",
        "http_url_of_action",
        "repeated_action_id",
        "past_expiry",
        "invalid_expiry",
        "two_recipient_fields",
        "unknown_category",
    ],
)
async def test_invalid_fields_are_rejected_with_a_pointer_single_and_in_batch(
    shared_hub: Hub, service: httpx2.AsyncClient, change: dict[str, Any], pointer: str, reason: str
) -> None:
    body = NOTE | {"userId": "nobody"} | change
    # Fields are validated before the user is looked up, except for those that depend on the time.
    if reason == "range" and "expiresAt" in change:
        body["userId"] = (await shared_hub.signup()).id
    rejected = [await service.post(SEND, json=body), await service.post(f"{SEND}/batch", json=[body])]
    assert [problem(response) for response in rejected] == [
        (422, "INVALID_FIELD", pointer, reason),
        (422, "INVALID_FIELD", f"/0{pointer}", reason),
    ]


async def test_lone_surrogate_is_rejected(shared_hub: Hub, service: httpx2.AsyncClient) -> None:
    body = json.dumps(NOTE | {"userId": "x", "data": {"a": ["\ud800"]}})
    rejected = await service.post(SEND, content=body, headers={"content-type": "application/json"})
    assert problem(rejected) == (422, "INVALID_FIELD", "/data/a/0", "lone surrogate")


async def test_notifications_are_retracted_by_id_or_by_user_and_collapse_key(
    shared_hub: Hub, service: httpx2.AsyncClient
) -> None:
    ann = await shared_hub.signup()
    ids = [await send(service, ann), await send(service, ann, collapseKey="job/1"), await send(service, ann)]
    path = "/api/realtime/notifications/retract"
    by_id = await service.post(path, json={"ids": [ids[0], "nobody's"]})
    by_key = await service.post(path, json={"userId": ann.id, "collapseKey": "job/1"})
    assert ([by_id.json(), by_key.json()], by_key.status_code) == ([{"retracted": 1}] * 2, 200)
    inbox = (await shared_hub.client(ann).get("/api/notifications")).json()
    assert ([item["id"] for item in inbox["items"]], inbox["unread"]) == (ids[2:], 1)
    assert problem(await service.post(path, json={"ids": ids, "userId": ann.id}))[:2] == (422, "INVALID_FIELD")
    unknown = await service.post(path, json={"userId": "nobody", "collapseKey": "k"})
    assert problem(unknown) == (422, "INVALID_FIELD", "/userId", "unknown user")


async def test_expired_notification_is_retracted_within_seconds(shared_hub: Hub, service: httpx2.AsyncClient) -> None:
    ann = await shared_hub.signup()
    async with shared_hub.stream(ann) as stream:
        await stream.next_event("connection_confirmed")
        notification_id = await send_expiring(service, ann)
        event_data = (await stream.next_event("notification_state")).data
    assert event_data == {"ids": [notification_id], "state": "retracted", "unread": 0, "unseen": 0}
    assert (await shared_hub.client(ann).get("/api/notifications")).json()["items"] == []


async def test_action_is_stored_and_published(shared_hub: Hub, service: httpx2.AsyncClient) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    notification_id = await send(service, ann, actions=[{"id": "yes", "label": "Yes", "style": "primary"}])
    path = f"/api/notifications/{notification_id}/actions"
    async with shared_hub.stream(ann) as stream:
        await stream.next_event("connection_confirmed")
        result = await shared_hub.client(ann).post(f"{path}/yes")
        assert result.json()["actions"] == [{"id": "yes", "label": "Yes", "style": "primary", "done": True}]
        event_data = (await stream.next_event("notification_state")).data
    assert event_data == {"ids": [notification_id], "state": "action", "action": "yes", "unread": 1, "unseen": 1}
    for client, action in ((shared_hub.client(bob), "yes"), (shared_hub.client(ann), "no")):
        assert problem(await client.post(f"{path}/{action}"))[:2] == (404, "NOT_FOUND")


async def test_broadcast_returns_the_cursor_of_its_event(shared_hub: Hub, service: httpx2.AsyncClient) -> None:
    ann = await shared_hub.signup("freelancer")
    body = {"type": "sale", "data": {"off": 10}, "channel": f"user:{ann.id}"}
    async with shared_hub.stream(ann) as stream:
        await stream.next_event("connection_confirmed")
        responses = [
            await service.post("/api/realtime/broadcast", json=body, headers={"idempotency-key": f"b-{ann.id}"})
            for _ in range(2)
        ]
        event = await stream.next_event("sale")
    assert [response.status_code for response in responses] == [202, 202]
    assert responses[0].json() == responses[1].json() == {"cursor": event.id}
    assert event.data == {"off": 10}


async def test_send_and_broadcast_require_their_scopes(shared_hub: Hub, service: httpx2.AsyncClient) -> None:
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


async def test_inbox_changes_are_rate_limited(shared_hub: Hub) -> None:
    client, unknown_id = shared_hub.client(await shared_hub.signup()), "0" * 8 + "-0000" * 3 + "-" + "0" * 12
    paths = [f"/api/realtime/notifications/{verb}" for verb in ("read", "unread", "seen", "archive", "unarchive")]
    requests: list[tuple[str, dict[str, Any]]] = [(path, {"ids": [unknown_id]}) for path in paths]
    requests += [
        ("/api/realtime/notifications/undo", {"undo": unknown_id}),
        (f"/api/notifications/{unknown_id}/actions/a", {}),
    ]
    responses = [await client.post(path, json=body) for path, body in requests]
    assert 429 not in [response.status_code for response in responses]
    while responses[-1].status_code != 429:
        responses = await asyncio.gather(*(client.post(paths[0], json={"ids": [unknown_id]}) for _ in range(50)))
    assert responses[-1].json()["limit"] == "changes of the inbox"
    for path, body in requests:
        # The limit refills more slowly than the test sends requests.
        while (await client.post(path, json=body)).status_code != 429:
            pass


@pytest.mark.parametrize(
    "body",
    [{}, {"all": True}, {"before": "x"}, {"ids": [], "all": True}, {"ids": ["a"], "all": True}],
    ids=["empty", "all_without_before", "only_before", "no_ids_and_all", "ids_and_all"],
)
async def test_read_requires_either_ids_or_all_with_before(shared_hub: Hub, body: dict[str, Any]) -> None:
    client = shared_hub.client(await shared_hub.signup())
    response = await client.post("/api/realtime/notifications/read", json=body)
    assert problem(response)[:2] == (422, "INVALID_FIELD")
