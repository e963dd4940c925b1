"""Push on a running hub: subscribed over HTTP, sent for what happens, over a crash too, and never to this machine."""

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


async def subscribe(hub: Hub, who: Person, browser: Browser) -> None:
    answer = await hub.client(who).post("/api/push/subscriptions", json=browser.subscription)
    assert answer.status_code == 201, answer.text


async def notify(hub: Hub, key: str, who: Person, **more: Any) -> str:
    body = {"userId": who.id, "type": "t", "category": "job", "title": "T", "body": "B"} | more
    answer = await hub.client(key).post("/api/realtime/notifications/send", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_the_key_is_made_once_for_nobody_else_to_read_and_stays(hub: Hub) -> None:
    client = hub.client(await hub.signup())
    assert not (hub.data_dir / "vapid.key").exists()
    first = (await client.get("/api/push/key")).json()
    mode = os.stat(hub.data_dir / "vapid.key").st_mode
    assert stat.S_IMODE(mode) == 0o600
    await hub.restart()
    assert (await client.get("/api/push/key")).json() == first
    assert len(first["key"]) == 87


async def test_a_notification_is_pushed_to_who_is_away_and_says_so(hub: Hub, push: LocalPushService) -> None:
    ann, key, browser = await hub.signup(), await hub.api_key("notify"), push.browser()
    await subscribe(hub, ann, browser)
    made = await notify(hub, key, ann, title="Come")
    (got,) = await push.wait_for(1)
    assert browser.read(got.body)["notification"]["title"] == "Come"
    client, told = hub.client(ann), dict[str, Any]()
    while told.get("push", {}).get("state") != "sent":
        await asyncio.sleep(0.02)
        told = (await client.get(f"/api/notifications/{made}/delivery")).json()
    assert told["inApp"]["state"] == "shown"
    await client.request("DELETE", "/api/push/subscriptions", json={"endpoint": browser.endpoint})
    again = await notify(hub, key, ann)
    told = (await client.get(f"/api/notifications/{again}/delivery")).json()
    assert told["push"]["state"] == "nowhere"


async def test_whoever_looks_at_an_open_page_is_not_pushed_to(hub: Hub, push: LocalPushService) -> None:
    ann, bob, key = await hub.signup(), await hub.signup(), await hub.api_key("notify")
    await subscribe(hub, ann, push.browser("ann"))
    await subscribe(hub, bob, push.browser("bob"))
    async with hub.stream(ann) as stream:
        await stream.next_event("connection_confirmed")
        await hub.client(ann).post("/api/presence", json={"active": True})
        made = await notify(hub, key, ann)
        await stream.next_event("notification")
        await notify(hub, key, bob)
        # What is due is taken in order: Bob's was sent, so Ann's was looked at.
        assert [got.target for got in await push.wait_for(1)] == ["/push/bob"]
        told = (await hub.client(ann).get(f"/api/notifications/{made}/delivery")).json()
        assert (told["push"]["state"], told["push"]["reason"]) == ("waiting", "looking")


async def test_what_was_answered_before_a_crash_is_pushed_after_it_once(hub: Hub, push: LocalPushService) -> None:
    ann, key, browser = await hub.signup(), await hub.api_key("notify"), push.browser()
    await subscribe(hub, ann, browser)
    # The first ones get no answer, and a user has no more than these under way: nothing is noted before the kill.
    push.replies = [Reply(hang=True)] * MAX_CONCURRENT_PER_USER
    titles = [str(n) for n in range(20)]
    for title in titles:
        await notify(hub, key, ann, title=title)
    await push.wait_for(MAX_CONCURRENT_PER_USER)
    await hub.kill()
    push.requests, push.replies = [], []
    hub.server.start()
    client, waiting = hub.client(ann), True
    while waiting:
        await asyncio.sleep(0.02)
        page = (await client.get("/api/notifications?limit=100")).json()["items"]
        fates = [(await client.get(f"/api/notifications/{one['id']}/delivery")).json() for one in page]
        waiting = any(fate["push"]["state"] == "waiting" for fate in fates)
    got = [browser.read(each.body)["notification"]["title"] for each in push.requests]
    assert sorted(got) == sorted(titles)


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
)
async def test_what_is_no_subscription_is_refused(
    shared_hub: Hub, push: LocalPushService, change: dict[str, Any], pointer: str
) -> None:
    body = Browser("https://push.example/x").subscription | change
    answer = await shared_hub.client(await shared_hub.signup()).post("/api/push/subscriptions", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_FIELD")
    assert answer.json()["pointer"] == pointer


async def test_a_test_without_a_browser_says_what_to_do(shared_hub: Hub) -> None:
    answer = await shared_hub.client(await shared_hub.signup()).post("/api/push/test")
    assert (answer.status_code, answer.json()["code"]) == (409, "CONFLICT")


async def test_preferences_are_kept_and_enforced(shared_hub: Hub) -> None:
    ann, key = await shared_hub.signup(), await shared_hub.api_key("notify")
    client = shared_hub.client(ann)
    quiet = {"from": "22:00", "to": "07:00", "timeZone": "Europe/Berlin", "days": ["mon", "fri"]}
    body = {"categories": {"comment": {"inApp": False}}, "quietHours": quiet}
    kept = (await client.put("/api/notifications/preferences", json=body)).json()
    assert kept == (await client.get("/api/notifications/preferences")).json()
    assert kept["quietHours"] == quiet
    assert kept["categories"]["comment"] == {"inApp": False, "push": True, "email": False}
    made = await notify(shared_hub, key, ann, category="comment")
    page = (await client.get("/api/notifications")).json()
    assert (page["items"], page["unread"]) == ([], 0)
    assert (await client.get(f"/api/notifications/{made}/delivery")).json()["inApp"]["state"] == "hidden"
    refused = await client.put("/api/notifications/preferences", json={"categories": {"hire": {"inApp": False}}})
    assert (refused.status_code, refused.json()["pointer"]) == (422, "/categories/hire/inApp")
    assert "hire" in refused.json()["message"].lower()
    unknown = await client.put("/api/notifications/preferences", json={"categories": {"gossip": {}}})
    assert (unknown.json()["code"], unknown.json()["pointer"]) == ("UNKNOWN_FIELD", "/categories/gossip")
