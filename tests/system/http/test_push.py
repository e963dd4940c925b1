"""Push: subscriptions over HTTP, delivery for new notifications and after a crash, and preferences."""

import asyncio
import os
import stat
from typing import Any

import pytest

from services.delivery.worker import MAX_CONCURRENT_PER_USER
from tests.support.hub import Hub, Person
from tests.support.push_service import Browser, LocalPushService, Reply
from tests.system.conftest import StartHub


@pytest.fixture
async def hub(start_hub: StartHub, push: LocalPushService) -> Hub:
    return await start_hub(HUB_PUSH_TEST_ORIGIN=push.origin)


async def subscribe(hub: Hub, user: Person, browser: Browser) -> None:
    response = await hub.client(user).post("/api/push/subscriptions", json=browser.subscription)
    assert response.status_code == 201, response.text


async def send(hub: Hub, key: str, user: Person, **fields: Any) -> str:
    body = {"userId": user.id, "type": "t", "category": "job", "title": "T", "body": "B"} | fields
    response = await hub.client(key).post("/api/realtime/notifications/send", json=body)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def test_push_key_is_created_once_with_private_file_mode(hub: Hub) -> None:
    client = hub.client(await hub.signup())
    assert not (hub.data_dir / "vapid.key").exists()
    first = (await client.get("/api/push/key")).json()
    mode = os.stat(hub.data_dir / "vapid.key").st_mode
    assert stat.S_IMODE(mode) == 0o600
    await hub.restart()
    assert (await client.get("/api/push/key")).json() == first
    assert len(first["key"]) == 87


async def test_notification_is_pushed_to_an_inactive_user_and_reported(hub: Hub, push: LocalPushService) -> None:
    ann, key, browser = await hub.signup(), await hub.api_key("notify"), push.browser()
    await subscribe(hub, ann, browser)
    notification_id = await send(hub, key, ann, title="Come")
    (request,) = await push.wait_for(1)
    assert browser.read(request.body)["notification"]["title"] == "Come"
    client, delivery = hub.client(ann), dict[str, Any]()
    while delivery.get("push", {}).get("state") != "sent":
        await asyncio.sleep(0.02)
        delivery = (await client.get(f"/api/notifications/{notification_id}/delivery")).json()
    assert delivery["inApp"]["state"] == "shown"
    await client.request("DELETE", "/api/push/subscriptions", json={"endpoint": browser.endpoint})
    second_id = await send(hub, key, ann)
    delivery = (await client.get(f"/api/notifications/{second_id}/delivery")).json()
    assert delivery["push"]["state"] == "nowhere"


async def test_notification_is_not_pushed_to_an_active_user(hub: Hub, push: LocalPushService) -> None:
    ann, bob, key = await hub.signup(), await hub.signup(), await hub.api_key("notify")
    await subscribe(hub, ann, push.browser("ann"))
    await subscribe(hub, bob, push.browser("bob"))
    async with hub.stream(ann) as stream:
        await stream.next_event("connection_confirmed")
        await hub.client(ann).post("/api/presence", json={"active": True})
        notification_id = await send(hub, key, ann)
        await stream.next_event("notification")
        await send(hub, key, bob)
        # Deliveries are processed in order. Since the one for Bob was sent, the one for Ann has been decided.
        assert [request.target for request in await push.wait_for(1)] == ["/push/bob"]
        delivery = (await hub.client(ann).get(f"/api/notifications/{notification_id}/delivery")).json()
        assert (delivery["push"]["state"], delivery["push"]["reason"]) == ("waiting", "looking")


async def test_notifications_sent_before_a_crash_are_pushed_once_after_it(hub: Hub, push: LocalPushService) -> None:
    ann, key, browser = await hub.signup(), await hub.api_key("notify"), push.browser()
    await subscribe(hub, ann, browser)
    # The push service does not answer the first requests. They are as many as a user may have at the same time,
    # so no outcome is recorded before the kill.
    push.replies = [Reply(hang=True)] * MAX_CONCURRENT_PER_USER
    titles = [str(n) for n in range(20)]
    for title in titles:
        await send(hub, key, ann, title=title)
    await push.wait_for(MAX_CONCURRENT_PER_USER)
    await hub.kill()
    push.requests, push.replies = [], []
    hub.server.start()
    client, waiting = hub.client(ann), True
    while waiting:
        await asyncio.sleep(0.02)
        page = (await client.get("/api/notifications?limit=100")).json()["items"]
        deliveries = [(await client.get(f"/api/notifications/{item['id']}/delivery")).json() for item in page]
        waiting = any(delivery["push"]["state"] == "waiting" for delivery in deliveries)
    pushed = [browser.read(request.body)["notification"]["title"] for request in push.requests]
    assert sorted(pushed) == sorted(titles)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"endpoint": "http://127.0.0.1:1/x"}, "/endpoint"),
        ({"endpoint": "https://127.0.0.1/x"}, "/endpoint"),
        ({"endpoint": "https://localhost/x"}, "/endpoint"),
        ({"endpoint": "https://169.254.169.254/latest/meta-data"}, "/endpoint"),
        ({"endpoint": "https://[::ffff:10.0.0.1]/x"}, "/endpoint"),
        ({"endpoint": "https://nowhere.invalid/x"}, "/endpoint"),
        ({"keys": {"p256dh": "AAAA", "auth": "A" * 22}}, "/keys/p256dh"),
        ({"keys": {"p256dh": "B" + "A" * 86, "auth": "A" * 22}}, "/keys/p256dh"),
        ({"keys": {"p256dh": "!" * 87, "auth": "A" * 22}}, "/keys/p256dh"),
    ],
    ids=[
        "http",
        "loopback",
        "localhost",
        "link_local",
        "mapped_private_address",
        "unknown_host",
        "short_key",
        "point_not_on_curve",
        "invalid_base64",
    ],
)
async def test_invalid_subscription_is_rejected(
    shared_hub: Hub, push: LocalPushService, change: dict[str, Any], pointer: str
) -> None:
    body = Browser("https://push.example/x").subscription | change
    response = await shared_hub.client(await shared_hub.signup()).post("/api/push/subscriptions", json=body)
    assert (response.status_code, response.json()["code"]) == (422, "INVALID_FIELD")
    assert response.json()["pointer"] == pointer


async def test_push_test_without_a_subscription_is_rejected(shared_hub: Hub) -> None:
    response = await shared_hub.client(await shared_hub.signup()).post("/api/push/test")
    assert (response.status_code, response.json()["code"]) == (409, "CONFLICT")


async def test_preferences_are_stored_and_enforced(shared_hub: Hub) -> None:
    ann, key = await shared_hub.signup(), await shared_hub.api_key("notify")
    client = shared_hub.client(ann)
    quiet = {"from": "22:00", "to": "07:00", "timeZone": "Europe/Berlin", "days": ["mon", "fri"]}
    body = {"categories": {"comment": {"inApp": False}}, "quietHours": quiet}
    preferences = (await client.put("/api/notifications/preferences", json=body)).json()
    assert preferences == (await client.get("/api/notifications/preferences")).json()
    assert preferences["quietHours"] == quiet
    assert preferences["categories"]["comment"] == {"inApp": False, "push": True, "email": False}
    notification_id = await send(shared_hub, key, ann, category="comment")
    page = (await client.get("/api/notifications")).json()
    assert (page["items"], page["unread"]) == ([], 0)
    assert (await client.get(f"/api/notifications/{notification_id}/delivery")).json()["inApp"]["state"] == "hidden"
    rejected = await client.put("/api/notifications/preferences", json={"categories": {"hire": {"inApp": False}}})
    assert (rejected.status_code, rejected.json()["pointer"]) == (422, "/categories/hire/inApp")
    assert "hire" in rejected.json()["message"].lower()
    unknown = await client.put("/api/notifications/preferences", json={"categories": {"gossip": {}}})
    assert (unknown.json()["code"], unknown.json()["pointer"]) == ("UNKNOWN_FIELD", "/categories/gossip")
