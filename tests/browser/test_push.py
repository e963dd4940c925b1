"""Push in the browser: the offer, the permission, the service worker and clicks."""

import asyncio
import json
from typing import Any

import pytest
from playwright.async_api import CDPSession, Page, Route, Worker, expect

from tests.browser.conftest import OpenPage, is_live
from tests.browser.inbox_page import expect_unread, item, open_center
from tests.browser.market_page import notify
from tests.support.hub import Hub
from tests.support.push_service import Browser, LocalPushService
from tests.support.timeouts import TIMEOUT_SECONDS
from tests.system.conftest import StartHub

# Without a push service: fake permission and subscription, and a record of the requests.
STUBS = """
globalThis.asked = 0;
Object.defineProperty(Notification, "permission", { get: () => (globalThis.asked ? "granted" : "default") });
Notification.requestPermission = async () => { globalThis.asked += 1; return "granted"; };
PushManager.prototype.getSubscription = async () => null;
PushManager.prototype.subscribe = async ({ userVisibleOnly, applicationServerKey }) => ({
    toJSON: () => ({ endpoint: `https://push.example/${userVisibleOnly}/${applicationServerKey}`, keys: {} }),
});
"""

# A fake subscription at a push service that the test runs.
SUBSCRIBED = """
let taken = null;
PushManager.prototype.getSubscription = async () => taken;
PushManager.prototype.subscribe = async () => (taken = { endpoint: GIVEN.endpoint, toJSON: () => GIVEN });
"""
# A synthetic click may not open or focus windows: both calls are recorded instead. A closed tab cannot be focused.
CLICK = """async ({ title, gone }) => {
    const done = [];
    clients.openWindow = async (url) => { done.push(`open ${url}`); };
    WindowClient.prototype.focus = async function () {
        if (gone) throw new TypeError("The client was not found.");
        done.push(`focus ${this.url}`);
        return this;
    };
    const shown = (await registration.getNotifications()).find((each) => each.title.includes(title));
    const event = new NotificationEvent("notificationclick", { notification: shown });
    let work;
    Object.defineProperty(event, "waitUntil", { value: (promise) => { work = promise; } });
    dispatchEvent(event);
    await work;
    const left = (await registration.getNotifications()).filter((each) => each.title.includes(title));
    return [...done, `${left.length} left`];
}"""

# The badge is set after the notification was shown.
BADGES = """async () => {
    while (!badges.length) await new Promise((next) => setTimeout(next, 20));
    return badges;
}"""

# A closed page is listed for a moment.
NOBODY = """async () => {
    const listed = () => clients.matchAll({ includeUncontrolled: true, type: "window" });
    while ((await listed()).length) await new Promise((next) => setTimeout(next));
}"""


@pytest.fixture
async def hub(start_hub: StartHub, push: LocalPushService) -> Hub:
    return await start_hub(HUB_PUSH_TEST_ORIGIN=push.origin)


async def test_push_is_offered_after_an_important_item_and_asked_on_click(hub: Hub, open_page: OpenPage) -> None:
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


async def test_push_is_not_offered_again_soon_after_not_now(hub: Hub, open_page: OpenPage) -> None:
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


async def test_push_is_shown_and_replaced_by_the_next_with_its_tag(hub: Hub, open_page: OpenPage) -> None:
    page = await open_page(await hub.signup("freelancer"))
    await page.context.grant_permissions(["notifications"], origin=hub.url)
    deliver = await pusher(page, hub.url)
    await deliver(declarative_message("One message", "message/1"))
    await deliver(declarative_message("Two messages", "message/1"))
    await deliver(declarative_message("You are hired", "hire/1"))
    await shown_on(page, "You are hired")
    shown = await page.evaluate("""async () => {
        const registration = await navigator.serviceWorker.ready;
        const all = await registration.getNotifications();
        return all.map(({ title, tag, data }) => [title, tag, data.navigate]).sort();
    }""")
    assert shown == [["Two messages", "message/1", "/wallet"], ["You are hired", "hire/1", "/wallet"]]


async def test_push_is_readable_by_the_device_only_and_a_click_opens_it(
    hub: Hub, open_page: OpenPage, push: LocalPushService
) -> None:
    ann, key, browser = await hub.signup("freelancer"), await hub.api_key("notify"), push.browser()
    page = await subscriber(hub, open_page, ann, browser)
    deliver = await pusher(page, hub.url)
    await page.get_by_role("button", name="Send a test").click()
    (got,) = await push.wait_for(1)
    # aes128gcm (RFC 8291): the push service cannot read the content.
    assert b"Notifications work here" not in got.body
    await deliver(browser.read(got.body))
    await shown_on(page, "Notifications work here")
    # The user is not active, and a hub that was restarted knows no activity.
    await page.goto("about:blank")
    await hub.restart()
    made = await notify(hub, key, ann, "You are hired", category="hire", priority="urgent", url="/wallet")
    (_, got) = await push.wait_for(2)
    assert got.headers["urgency"] == "high"
    await page.goto(f"{hub.url}/settings")
    await is_live(page)
    await deliver(browser.read(got.body))
    await shown_on(page, "You are hired")
    worker = await service_worker(page)
    assert await click(worker, "You are hired") == [f"focus {hub.url}/settings", "0 left"]
    await expect(page).to_have_url(f"{hub.url}/wallet")
    # A click marks the notification as read.
    await expect_unread(page, 0)
    assert (await hub.client(ann).get(f"/api/notifications/{made}/delivery")).json()["readAt"]


async def test_click_focuses_an_open_tab_or_opens_a_new_one(hub: Hub, open_page: OpenPage) -> None:
    page = await open_page(await hub.signup("freelancer"))
    await page.context.grant_permissions(["notifications"], origin=hub.url)
    deliver = await pusher(page, hub.url)
    await page.goto(f"{hub.url}/wallet")
    await is_live(page)
    await deliver(declarative_message("First", "one"))
    await shown_on(page, "First")
    worker = await service_worker(page)
    assert await click(worker, "First") == [f"focus {hub.url}/wallet", "0 left"]
    # It was just closed and is still listed.
    await deliver(declarative_message("Second", "two"))
    await shown_on(page, "Second")
    assert await click(worker, "Second", gone=True) == [f"open {hub.url}/wallet", "0 left"]
    await deliver(declarative_message("Third", "three"))
    await shown_on(page, "Third")
    await page.goto("about:blank")
    await worker.evaluate(NOBODY)
    assert await click(worker, "Third") == [f"open {hub.url}/wallet", "0 left"]


async def test_app_badge_counts_unread_from_the_page_and_from_pushes(hub: Hub, open_page: OpenPage) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page(ann)
    await page.context.grant_permissions(["notifications"], origin=hub.url)
    note = """
        globalThis.badges = [];
        Navigator.prototype.setAppBadge = async (count) => { badges.push(count); };
        Navigator.prototype.clearAppBadge = async () => { badges.push(0); };
    """
    await page.add_init_script(note)
    await page.reload()
    await is_live(page)
    await notify(hub, key, ann, "First")
    await expect_unread(page, 1)
    assert (await page.evaluate("badges"))[-1] == 1
    await open_center(page)
    await item(page, "First").click()
    await expect_unread(page, 0)
    assert (await page.evaluate("badges"))[-1] == 0
    deliver = await pusher(page, hub.url)
    worker = await service_worker(page)
    await worker.evaluate(
        "globalThis.badges = []; WorkerNavigator.prototype.setAppBadge = async (count) => { badges.push(count); }; 0"
    )
    await deliver(declarative_message("Later", "later") | {"app_badge": 7})
    await shown_on(page, "Later")
    assert await worker.evaluate(BADGES) == [7]


def declarative_message(title: str, tag: str) -> dict[str, Any]:
    """Return a declarative push message."""
    return {"web_push": 8030, "notification": {"title": title, "navigate": "/wallet", "tag": tag, "data": {}}}


async def subscriber(hub: Hub, open_page: OpenPage, who: Any, browser: Browser) -> Page:
    """Open the settings and turn on push."""
    page = await open_page(who)
    await page.context.grant_permissions(["notifications"], origin=hub.url)
    await page.evaluate("navigator.serviceWorker.ready.then(() => 0)")
    await page.add_init_script(f"const GIVEN = {json.dumps(browser.subscription)}; {SUBSCRIBED}")
    await page.goto(f"{hub.url}/settings")
    await page.get_by_role("button", name="Turn on for this device").click()
    await expect(page.get_by_role("button", name="Turn off for this device")).to_be_visible()
    return page


async def service_worker(page: Page) -> Worker:
    """Return the page's service worker."""
    found = [each for each in page.context.service_workers if each.url.endswith("/sw.js")]
    return found[0] if found else await page.context.wait_for_event("serviceworker")


async def click(worker: Worker, title: str, *, gone: bool = False) -> list[str]:
    """Click on a shown notification; return the requested windows and the number of notifications left."""
    done: list[str] = await worker.evaluate(CLICK, {"title": title, "gone": gone})
    return done


async def shown_on(page: Page, title: str) -> None:
    """Wait until the device shows the notification."""
    shown: list[str] = []
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while title not in shown:
            shown = await page.evaluate(
                "navigator.serviceWorker.ready.then((one) => one.getNotifications())"
                ".then((all) => all.map((each) => each.title))"
            )
            await page.wait_for_timeout(50)


async def pusher(page: Page, origin: str) -> Any:
    """Deliver a push to the page's service worker through the DevTools protocol."""
    await page.evaluate("navigator.serviceWorker.ready.then(() => 0)")
    session: CDPSession = await page.context.new_cdp_session(page)
    registrations: list[str] = []
    session.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: registrations.extend(each["registrationId"] for each in event["registrations"]),
    )
    await session.send("ServiceWorker.enable")

    async def deliver(message: dict[str, Any]) -> None:
        while not registrations:
            await page.wait_for_timeout(20)
        await session.send(
            "ServiceWorker.deliverPushMessage",
            {"origin": origin, "registrationId": registrations[-1], "data": json.dumps(message)},
        )

    return deliver
