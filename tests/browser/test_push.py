"""Push as the browser sees it: offered when it makes sense, asked for on a click, shown by the service worker."""

import json
from typing import Any

from playwright.async_api import CDPSession, Page, Route, expect

from tests.browser.conftest import OpenPage, is_live
from tests.browser.inbox import open_center
from tests.browser.market import notify
from tests.hub import Hub

# No push service is at hand: what the browser would give, and a note of what it was asked.
STUBS = """
globalThis.asked = 0;
Object.defineProperty(Notification, "permission", { get: () => (globalThis.asked ? "granted" : "default") });
Notification.requestPermission = async () => { globalThis.asked += 1; return "granted"; };
PushManager.prototype.getSubscription = async () => null;
PushManager.prototype.subscribe = async ({ userVisibleOnly, applicationServerKey }) => ({
    toJSON: () => ({ endpoint: `https://push.example/${userVisibleOnly}/${applicationServerKey}`, keys: {} }),
});
"""


async def test_it_is_offered_after_the_first_thing_that_matters_and_asked_for_on_a_click(
    hub: Hub, open_page: OpenPage
) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page(ann)
    kept: list[Any] = []

    async def subscriptions(route: Route) -> None:
        kept.append(route.request.post_data_json or {})
        await route.fulfill(status=201, json={})

    await page.route("**/api/push/key", lambda route: route.fulfill(json={"key": "KEY"}))
    await page.route("**/api/push/subscriptions", subscriptions)
    await page.add_init_script(STUBS)
    await page.evaluate("navigator.serviceWorker.ready.then(() => 0)")
    await page.reload()
    await is_live(page)
    center = await open_center(page)
    question = center.get_by_text("Turn on alerts for hires and messages?")
    await notify(hub, key, ann, "A note")
    await expect(center.get_by_text("A note")).to_be_visible()
    await expect(question).to_be_hidden()
    await notify(hub, key, ann, "You are hired", category="hire")
    await expect(question).to_be_visible()
    assert await page.evaluate("asked") == 0
    await center.get_by_role("button", name="Turn on").click()
    await expect(question).to_be_hidden()
    assert await page.evaluate("asked") == 1
    assert [each["endpoint"] for each in kept] == ["https://push.example/true/KEY"]


async def test_who_says_not_now_is_not_asked_again_soon(hub: Hub, open_page: OpenPage) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page(ann)
    await page.route("**/api/push/key", lambda route: route.fulfill(json={"key": "KEY"}))
    await page.add_init_script(STUBS)
    await page.evaluate("navigator.serviceWorker.ready.then(() => 0)")
    await notify(hub, key, ann, "You are hired", category="hire")
    await page.reload()
    center = await open_center(page)
    await center.get_by_role("button", name="Not now").click()
    await page.reload()
    await is_live(page)
    center = await open_center(page)
    await expect(center.get_by_text("You are hired")).to_be_visible()
    await expect(center.get_by_text("Turn on alerts")).to_be_hidden()
    assert await page.evaluate("asked") == 0


async def test_a_push_is_shown_and_the_next_of_its_kind_takes_its_place(hub: Hub, open_page: OpenPage) -> None:
    page = await open_page(await hub.signup("freelancer"))
    await page.context.grant_permissions(["notifications"], origin=hub.url)
    push = await pusher(page, hub.url)
    await push("One message", "message/1")
    await push("Two messages", "message/1")
    await push("You are hired", "hire/1")
    shown = await page.evaluate("""async () => {
        const registration = await navigator.serviceWorker.ready;
        for (let tries = 0; tries < 100; tries += 1) {
            const all = await registration.getNotifications();
            const list = all.map(({ title, tag, data }) => [title, tag, data.navigate]);
            if (list.some(([title]) => title === "You are hired")) return list.sort();
            await new Promise((resolve) => setTimeout(resolve, 50));
        }
        return [];
    }""")
    assert shown == [["Two messages", "message/1", "/wallet"], ["You are hired", "hire/1", "/wallet"]]


async def pusher(page: Page, origin: str) -> Any:
    """Delivers a push to the page's service worker, by the browser's own door for tests."""
    await page.evaluate("navigator.serviceWorker.ready.then(() => 0)")
    session: CDPSession = await page.context.new_cdp_session(page)
    registrations: list[str] = []
    session.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: registrations.extend(each["registrationId"] for each in event["registrations"]),
    )
    await session.send("ServiceWorker.enable")

    async def push(title: str, tag: str) -> None:
        told = {"web_push": 8030, "notification": {"title": title, "navigate": "/wallet", "tag": tag, "data": {}}}
        await page.wait_for_timeout(50) if not registrations else None
        await session.send(
            "ServiceWorker.deliverPushMessage",
            {"origin": origin, "registrationId": registrations[-1], "data": json.dumps(told)},
        )

    return push
