"""Delivery reasons of a notification in the notification center."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.inbox_page import item, open_center, press, toasts
from tests.browser.market_page import notify
from tests.support.hub import Hub
from tests.support.push_service import LocalPushService
from tests.system.conftest import StartHub

WHY = "Why did I get this?"


@pytest.fixture
async def hub(start_hub: StartHub, push: LocalPushService) -> Hub:
    return await start_hub(HUB_PUSH_TEST_ORIGIN=push.origin)


async def test_each_method_shows_its_outcome_and_follows_preferences(
    hub: Hub, open_page: OpenPage, push: LocalPushService
) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    client = hub.client(ann)
    browser = push.browser()
    assert (await client.post("/api/push/subscriptions", json=browser.subscription)).status_code == 201
    pushed = await notify(hub, key, ann, "While inactive", category="hire")
    await push.wait_for(1)
    chosen = {"categories": {"comment": {"push": False}}}
    assert (await client.put("/api/notifications/preferences", json=chosen)).status_code == 200
    await notify(hub, key, ann, "Turned off", category="comment")
    while (await client.get(f"/api/notifications/{pushed}/delivery")).json()["push"]["state"] != "sent":
        pass
    page = await open_page(ann)
    await open_center(page)
    for title, text in (
        ("While inactive", "In the app: shown\nPush: sent\nE-mail: not set up"),
        ("Turned off", "In the app: shown\nPush: off in your settings\nE-mail: off in your settings"),
    ):
        row = item(page, title)
        await press(page, title, WHY)
        assert await row.get_by_role("status").inner_text() == text
        # The button does not open the notification, and a second click hides the reasons.
        await expect(page.get_by_role("complementary", name="Notifications")).to_be_visible()
        await press(page, title, WHY)
        await expect(row.get_by_role("status")).to_be_hidden()


async def test_active_user_sees_that_activity_prevented_the_push(
    hub: Hub, open_page: OpenPage, push: LocalPushService
) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    client = hub.client(ann)
    assert (await client.post("/api/push/subscriptions", json=push.browser().subscription)).status_code == 201
    page = await open_page(ann)
    assert (await client.post("/api/presence", json={"active": True})).status_code < 300
    made = await notify(hub, key, ann, "Here")
    await expect(toasts(page)).to_contain_text("Here")
    while (await client.get(f"/api/notifications/{made}/delivery")).json()["push"]["reason"] != "looking":
        pass
    await open_center(page)
    # With the keyboard alone.
    await page.keyboard.press("j")
    for _ in range(3):
        await page.keyboard.press("Tab")
    await expect(item(page, "Here").get_by_role("button", name=WHY)).to_be_focused()
    # The item becomes seen without losing the focus.
    await expect(page.get_by_test_id("bell")).to_have_accessible_name("Notifications, 1 unread")
    await expect(item(page, "Here").get_by_role("button", name=WHY)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(item(page, "Here").get_by_role("status")).to_contain_text("Push: waits until")
    await expect(item(page, "Here").get_by_role("status")).to_contain_text("you were looking")
    assert push.requests == []


async def test_reasons_are_shown_in_the_language_of_the_page(hub: Hub, open_page: OpenPage) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page(ann)
    await page.add_init_script("addEventListener('readystatechange', () => document.documentElement.lang = 'de', true)")
    await page.reload()
    await notify(hub, key, ann, "Etwas")
    await page.get_by_test_id("bell").click()
    await press(page, "Etwas", "Warum sehe ich das?")
    await expect(item(page, "Etwas").get_by_role("status")).to_contain_text("In der App: gezeigt")
