"""Push as the browser sees it: offered when it makes sense, asked for on a click, shown by the service worker."""

import json
from typing import Any

import pytest
from playwright.async_api import CDPSession, Page, Route, Worker, expect

from tests.browser.conftest import OpenPage, is_live
from tests.browser.inbox_page import item, open_center, shows
from tests.browser.market_page import notify
from tests.hub import Hub
from tests.live.conftest import StartHub
from tests.push_service import Browser, LocalPushService

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

# What the browser would give when it is asked to subscribe at a push service that the test runs.
SUBSCRIBED = """
let taken = null;
PushManager.prototype.getSubscription = async () => taken;
PushManager.prototype.subscribe = async () => (taken = { endpoint: GIVEN.endpoint, toJSON: () => GIVEN });
"""
# A click of the browser's own comes with the right to open and to focus windows, one of a test does not:
# those two are noted, and everything else is as it is. A tab that has gone cannot be focused.
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

# The badge follows what is shown.
BADGES = """async () => {
    while (!badges.length) await new Promise((next) => setTimeout(next, 20));
    return badges;
}"""

# A page that was left is listed for a moment more.
NOBODY = """async () => {
    const listed = () => clients.matchAll({ includeUncontrolled: true, type: "window" });
    while ((await listed()).length) await new Promise((next) => setTimeout(next));
}"""


@pytest.fixture
async def hub(start_hub: StartHub, push: LocalPushService) -> Hub:
    return await start_hub(HUB_PUSH_TEST_ORIGIN=push.origin)


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
    deliver = await pusher(page, hub.url)
    await deliver(told("One message", "message/1"))
    await deliver(told("Two messages", "message/1"))
    await deliver(told("You are hired", "hire/1"))
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


async def test_what_the_hub_pushes_is_read_by_this_device_alone_and_a_click_leads_to_it(
    hub: Hub, open_page: OpenPage, push: LocalPushService
) -> None:
    ann, key, browser = await hub.signup("freelancer"), await hub.api_key("notify"), push.browser()
    page = await subscriber(hub, open_page, ann, browser)
    deliver = await pusher(page, hub.url)
    await page.get_by_role("button", name="Send a test").click()
    (got,) = await push.wait(1)
    # aes128gcm (RFC 8291): the push service carries it and cannot read it.
    assert b"Notifications work here" not in got.body
    await deliver(browser.read(got.body))
    await shown_on(page, "Notifications work here")
    # Nobody looks, and a hub that has just begun remembers nobody who did.
    await page.goto("about:blank")
    await hub.restart()
    made = await notify(hub, key, ann, "You are hired", category="hire", priority="urgent", url="/wallet")
    (_, got) = await push.wait(2)
    assert got.headers["urgency"] == "high"
    await page.goto(f"{hub.url}/settings")
    await is_live(page)
    await deliver(browser.read(got.body))
    await shown_on(page, "You are hired")
    worker = await service_worker(page)
    assert await click(worker, "You are hired") == [f"focus {hub.url}/settings", "0 left"]
    await expect(page).to_have_url(f"{hub.url}/wallet")
    # Who clicks has read it.
    await shows(page, 0)
    assert (await hub.client(ann).get(f"/api/notifications/{made}/delivery")).json()["readAt"]


async def test_a_click_shows_the_tab_that_is_there_and_opens_one_where_there_is_none(
    hub: Hub, open_page: OpenPage
) -> None:
    page = await open_page(await hub.signup("freelancer"))
    await page.context.grant_permissions(["notifications"], origin=hub.url)
    deliver = await pusher(page, hub.url)
    await page.goto(f"{hub.url}/wallet")
    await is_live(page)
    await deliver(told("First", "one"))
    await shown_on(page, "First")
    worker = await service_worker(page)
    assert await click(worker, "First") == [f"focus {hub.url}/wallet", "0 left"]
    # Closed a moment ago, and still listed.
    await deliver(told("Second", "two"))
    await shown_on(page, "Second")
    assert await click(worker, "Second", gone=True) == [f"open {hub.url}/wallet", "0 left"]
    await deliver(told("Third", "three"))
    await shown_on(page, "Third")
    await page.goto("about:blank")
    await worker.evaluate(NOBODY)
    assert await click(worker, "Third") == [f"open {hub.url}/wallet", "0 left"]


async def test_the_apps_badge_is_what_is_unread_in_the_page_and_when_a_push_comes(
    hub: Hub, open_page: OpenPage
) -> None:
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
    await shows(page, 1)
    assert (await page.evaluate("badges"))[-1] == 1
    await open_center(page)
    await item(page, "First").click()
    await shows(page, 0)
    assert (await page.evaluate("badges"))[-1] == 0
    deliver = await pusher(page, hub.url)
    worker = await service_worker(page)
    await worker.evaluate(
        "globalThis.badges = []; WorkerNavigator.prototype.setAppBadge = async (count) => { badges.push(count); }; 0"
    )
    await deliver(told("Later", "later") | {"app_badge": 7})
    await shown_on(page, "Later")
    assert await worker.evaluate(BADGES) == [7]


def told(title: str, tag: str) -> dict[str, Any]:
    """A declarative push message."""
    return {"web_push": 8030, "notification": {"title": title, "navigate": "/wallet", "tag": tag, "data": {}}}


async def subscriber(hub: Hub, open_page: OpenPage, who: Any, browser: Browser) -> Page:
    """The settings, with push turned on in them."""
    page = await open_page(who)
    await page.context.grant_permissions(["notifications"], origin=hub.url)
    await page.evaluate("navigator.serviceWorker.ready.then(() => 0)")
    await page.add_init_script(f"const GIVEN = {json.dumps(browser.subscription)}; {SUBSCRIBED}")
    await page.goto(f"{hub.url}/settings")
    await page.get_by_role("button", name="Turn on for this device").click()
    await expect(page.get_by_role("button", name="Turn off for this device")).to_be_visible()
    return page


async def service_worker(page: Page) -> Worker:
    """The page's service worker."""
    found = [each for each in page.context.service_workers if each.url.endswith("/sw.js")]
    return found[0] if found else await page.context.wait_for_event("serviceworker")


async def click(worker: Worker, title: str, *, gone: bool = False) -> list[str]:
    """Click on what is shown by that title: which windows were asked for, and how many of the title are left."""
    done: list[str] = await worker.evaluate(CLICK, {"title": title, "gone": gone})
    return done


async def shown_on(page: Page, title: str) -> None:
    """Wait until the device shows it."""
    shown: list[str] = []
    for _ in range(100):
        shown = await page.evaluate(
            "navigator.serviceWorker.ready.then((one) => one.getNotifications())"
            ".then((all) => all.map((each) => each.title))"
        )
        if title in shown:
            return
        await page.wait_for_timeout(50)
    raise AssertionError(shown)


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

    async def deliver(message: dict[str, Any]) -> None:
        while not registrations:
            await page.wait_for_timeout(20)
        await session.send(
            "ServiceWorker.deliverPushMessage",
            {"origin": origin, "registrationId": registrations[-1], "data": json.dumps(message)},
        )

    return deliver
