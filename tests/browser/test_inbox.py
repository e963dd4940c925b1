"""Badge, list and toasts: what a user is told, once, and what they do with it."""

import os
import signal

from playwright.async_api import Page, Route, expect

from tests.browser.conftest import Another, Noise, OpenPage, is_live
from tests.browser.market import admin, notify
from tests.hub import Hub

TOAST_MS = 5_000
# Two and a half heartbeats of 15 s, and a little.
SILENT_MS = 38_000
# A handwritten answer of the stream: two old events, as after a night with the lid closed.
OLD = (
    'retry: 600000\nevent: connection_confirmed\nid: {cursor}\ndata: {{"heartbeatSeconds": 15, "unread": 2, '
    '"serverTime": "2031-01-02T08:00:00.000Z"}}\n\n'
    'event: notification\ndata: {{"id": "n1", "type": "note", "title": "First", "body": "One.", "actions": [], '
    '"count": 1, "createdAt": "2031-01-01T20:00:00.000Z", "unread": 1, "invalidates": []}}\n\n'
    'event: notification\ndata: {{"id": "n2", "type": "note", "title": "Second", "body": "Two.", "actions": [], '
    '"count": 1, "createdAt": "2031-01-01T21:00:00.000Z", "unread": 2, "invalidates": []}}\n\n'
)


async def test_the_badge_counts_in_every_tab_and_undo_puts_it_back(
    hub: Hub, open_page: OpenPage, another_tab: Another
) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page(ann)
    tab = await another_tab(page)
    for count, title in enumerate(("First", "Second", "Third"), 1):
        await notify(hub, key, ann, title)
        await shows(page, count)
        await shows(tab, count)
    await page.get_by_test_id("notification").filter(has_text="Second").get_by_role("button", name="Mark read").click()
    await shows(page, 2)
    await shows(tab, 2)
    await page.get_by_role("button", name="Mark all read").click()
    await shows(page, 0)
    await shows(tab, 0)
    await page.get_by_role("button", name="Undo").click()
    await shows(page, 2)
    await shows(tab, 2)
    await tab.reload()
    await shows(tab, 2)
    await expect(tab.get_by_test_id("notification")).to_have_count(3)
    await expect(tab.get_by_test_id("toast")).to_have_count(0)


async def test_text_that_looks_like_markup_is_shown_as_text(hub: Hub, open_page: OpenPage) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>"
    ann, key = await hub.signup("freelancer", name=evil[:80]), await hub.api_key("notify")
    page = await open_page(ann)
    await notify(hub, key, ann, evil, body=evil)
    toast, item = page.get_by_test_id("toast"), page.get_by_test_id("notification")
    for shown in (toast, item):
        await expect(shown).to_contain_text(evil)
        await expect(shown.locator("img, b")).to_have_count(0)
    await expect(page.get_by_role("banner")).to_contain_text(evil[:80])
    assert await page.title() == "(1) Gigwire"


async def test_a_toast_leaves_after_five_seconds_and_one_with_buttons_stays(hub: Hub, open_page: OpenPage) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page()
    await page.clock.install()
    await page.reload()
    await page.get_by_label("Email").fill(ann.email)
    await page.get_by_label("Password").fill(ann.password)
    await page.get_by_role("button", name="Sign in").click()
    await is_live(page)
    await notify(hub, key, ann, "Passing", icon="🚲")
    await notify(hub, key, ann, "Asking", actions=[{"id": "yes", "label": "Yes", "style": "primary"}])
    toasts = page.get_by_test_id("toast")
    await expect(toasts).to_have_count(2)
    await expect(toasts.first).to_contain_text("🚲")
    await expect(toasts.first).to_contain_text("Words.")
    await page.clock.fast_forward(TOAST_MS)
    await expect(toasts).to_have_count(1)
    await expect(toasts).to_contain_text("Asking")
    await toasts.get_by_role("button", name="Dismiss").click()
    await expect(toasts).to_have_count(0)
    await shows(page, 2)


async def test_what_was_missed_is_told_once_after_the_hub_was_away(hub: Hub, open_page: OpenPage, noise: Noise) -> None:
    noise.expect(r"/api/realtime/connect")
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page(ann)
    await notify(hub, key, ann, "Before")
    await shows(page, 1)
    await hub.kill()
    await expect(page.get_by_test_id("connection")).not_to_have_text("Live")
    await hub.restart()
    await notify(hub, key, ann, "Meanwhile")
    await shows(page, 2)
    await is_live(page)
    await notify(hub, key, ann, "After")
    await shows(page, 3)
    titles = page.get_by_test_id("notification").get_by_role("heading")
    await expect(titles).to_have_text(["After", "Meanwhile", "Before"])
    await expect(page.get_by_test_id("toast").filter(has_text="Meanwhile")).to_have_count(1)


async def test_a_stream_that_falls_silent_is_opened_anew(hub: Hub, open_page: OpenPage) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page(ann)
    await page.clock.install()
    await page.reload()
    await is_live(page)
    # The sockets stay open, but nobody is at the other end.
    os.kill(hub.server.pid, signal.SIGSTOP)
    try:
        await page.clock.fast_forward(SILENT_MS)
        await expect(page.get_by_test_id("connection")).to_have_text("Connecting…")
    finally:
        os.kill(hub.server.pid, signal.SIGCONT)
    await is_live(page)
    await notify(hub, key, ann, "Back")
    await expect(page.get_by_test_id("toast")).to_contain_text("Back")


async def test_what_happened_long_ago_is_summed_up_in_one_toast(hub: Hub, open_page: OpenPage) -> None:
    ann = await hub.signup("freelancer")
    page = await open_page(ann)

    async def answer(route: Route) -> None:
        cursor = route.request.url.partition("lastEventId=")[2]
        await route.fulfill(content_type="text/event-stream", body=OLD.format(cursor=cursor))

    await page.route("**/api/realtime/connect*", answer)
    await page.reload()
    toasts = page.get_by_test_id("toast")
    await expect(toasts).to_contain_text("While you were away2 things happened.")
    await expect(toasts).to_have_count(1)
    await shows(page, 2)


async def test_an_announcement_is_toasted_once_however_often_it_is_heard(hub: Hub, open_page: OpenPage) -> None:
    ann = await hub.signup("freelancer")
    page = await open_page(ann)
    async with hub.client(await admin(hub)) as client:
        answer = await client.post("/api/announcements", json={"title": "Maintenance at nine", "body": "Ten minutes."})
    assert answer.status_code == 201, answer.text
    await expect(page.get_by_test_id("toast")).to_contain_text("Maintenance at nine")
    await page.reload()
    await is_live(page)
    await expect(page.get_by_test_id("toast")).to_have_count(0)


async def test_a_page_that_hears_reset_fetches_everything_and_goes_on(hub: Hub, open_page: OpenPage) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page(ann)

    async def forget(route: Route) -> None:
        await route.continue_(url=route.request.url.partition("?")[0] + "?lastEventId=nonsense")

    await page.route("**/api/realtime/connect*", forget)
    await page.reload()
    await is_live(page)
    await notify(hub, key, ann, "After the reset")
    await shows(page, 1)
    await expect(page.get_by_test_id("notification")).to_contain_text("After the reset")


async def shows(page: Page, unread: int) -> None:
    """Wait until badge, title and bell say so."""
    badge = page.get_by_test_id("badge")
    await expect(badge).to_have_text(str(unread)) if unread else await expect(badge).to_be_hidden()
    await expect(page.get_by_test_id("bell")).to_have_accessible_name(f"Notifications, {unread} unread")
    await expect(page).to_have_title(f"({unread}) Gigwire" if unread else "Gigwire")
