"""Bell, notification center and toasts."""

import json
import os
import re
import signal

from playwright.async_api import Route, expect

from tests.browser.conftest import Noise, OpenPage, OpenTab, is_live, stop_the_clock
from tests.browser.inbox_page import expect_toasts, expect_unread, item, open_center, press, toasts, wait_until_stored
from tests.browser.market_page import admin, notify
from tests.support.hub import Hub

TOAST_MS = 5_000
# A little more than 2.5 heartbeats of 15 s.
SILENT_MS = 38_000


def old_events(user_id: str, cursor: str) -> str:
    """Return a response of the stream with two old events, as after a long absence."""
    epoch, _, position = cursor.rpartition(".")
    confirmation = {
        "userId": user_id,
        "heartbeatSeconds": 15,
        "cursor": cursor,
        "recovered": True,
        "unread": 2,
        "unseen": 2,
        "serverTime": "2031-01-02T08:00:00.000Z",
    }
    frames = [f"retry: 600000\nevent: connection_confirmed\nid: {cursor}\ndata: {json.dumps(confirmation)}\n\n"]
    for count, title in enumerate(("First", "Second"), 1):
        row: dict[str, object] = {
            "id": f"n{count}",
            "type": "note",
            "category": "system",
            "priority": "normal",
            "title": title,
            "body": "",
        }
        row |= {"data": {}, "actions": [], "count": 1, "createdAt": "2031-01-01T20:00:00.000Z", "invalidates": []}
        row |= {"unread": count, "unseen": count}
        frames.append(f"event: notification\nid: {epoch}.{int(position) + count}\ndata: {json.dumps(row)}\n\n")
    return "".join(frames)


async def test_badge_counts_in_every_tab_and_undo_restores_it(
    hub: Hub, open_page: OpenPage, another_tab: OpenTab
) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page(ann)
    tab = await another_tab(page)
    for count, title in enumerate(("First", "Second", "Third"), 1):
        await notify(hub, key, ann, title)
        await expect_unread(page, count)
        await expect_unread(tab, count)
    center = await open_center(page)
    await press(page, "Second", "Mark as read")
    await expect_unread(page, 2)
    await expect_unread(tab, 2)
    await center.get_by_role("button", name="Mark all read").click()
    await expect_unread(page, 0)
    await expect_unread(tab, 0)
    await center.get_by_role("button", name="Undo").click()
    await expect_unread(page, 2)
    await expect_unread(tab, 2)
    await tab.reload()
    await expect_unread(tab, 2)
    await open_center(tab)
    await expect(tab.get_by_test_id("notification")).to_have_count(3)
    await expect_toasts(tab)


async def test_archived_item_leaves_every_device_and_can_be_restored(hub: Hub, open_page: OpenPage) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    for title in ("First", "Second"):
        await notify(hub, key, ann, title)
    page, phone = await open_page(ann), await open_page(ann, width=390)
    center = await open_center(page)
    await open_center(phone)
    await press(page, "First", "Archive")
    for each in (page, phone):
        await expect(item(each, "First")).to_have_count(0)
    await phone.keyboard.press("Escape")
    await expect_unread(phone, 1)
    await center.get_by_role("tab", name="Archived").click()
    await press(page, "First", "Move back")
    await expect_unread(phone, 2)
    await open_center(phone)
    await expect(item(phone, "First")).to_be_visible()


async def test_item_read_on_one_device_is_read_on_the_other(hub: Hub, open_page: OpenPage) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page, phone = await open_page(ann), await open_page(ann, width=390)
    await notify(hub, key, ann, "First", url="/wallet")
    await expect_unread(page, 1)
    await open_center(phone)
    await item(phone, "First").click()
    await expect(phone).to_have_url(re.compile("/wallet$"))
    await expect_unread(phone, 0)
    await expect_unread(page, 0)


async def test_item_in_view_for_a_second_is_seen_and_stays_unread(hub: Hub, open_page: OpenPage) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page, other = await open_page(ann), await open_page(ann)
    await notify(hub, key, ann, "First")
    bell = other.get_by_test_id("bell")
    await expect(bell).to_have_accessible_name("Notifications, 1 unread, 1 new")
    await open_center(page)
    await expect(bell).to_have_accessible_name("Notifications, 1 unread")


async def test_filters_show_matching_items_and_fetch_further_pages(hub: Hub, open_page: OpenPage) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    await notify(hub, key, ann, "A job long ago", category="job")
    batch = [
        {"userId": ann.id, "type": "note", "category": "system", "title": f"Note {n}", "body": "Words."}
        for n in range(65)
    ]
    async with hub.client(key) as client:
        assert (await client.post("/api/realtime/notifications/send/batch", json=batch)).status_code == 201
    page = await open_page(ann)
    center = await open_center(page)
    await expect(item(page, "Note 64")).to_be_visible()
    await center.get_by_role("tab", name="Jobs").click()
    await expect(page.get_by_test_id("notification")).to_have_count(1)
    await expect(item(page, "A job long ago")).to_be_visible()
    await center.get_by_role("tab", name="All").click()
    for n in range(5):
        await page.get_by_test_id("notification").last.scroll_into_view_if_needed()
        if await item(page, "A job long ago").count():
            break
        await expect(page.get_by_test_id("notification")).not_to_have_count(30 * (n + 1))
    await expect(page.get_by_test_id("notification")).to_have_count(66)
    await expect(center.get_by_text("That is all.")).to_be_visible()


async def test_list_is_usable_with_the_keyboard_alone(hub: Hub, open_page: OpenPage) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    for title in ("First", "Second", "Third"):
        await notify(hub, key, ann, title)
    page = await open_page(ann)
    await page.get_by_test_id("bell").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("complementary", name="Notifications")).to_be_focused()
    await page.keyboard.press("j")
    await expect(item(page, "Third")).to_be_focused()
    await page.keyboard.press("j")
    await page.keyboard.press("u")
    await expect_unread(page, 2)
    await expect(item(page, "Second")).to_be_focused()
    await page.keyboard.press("e")
    await expect(item(page, "Second")).to_have_count(0)
    await expect(item(page, "First")).to_be_focused()
    await page.keyboard.press("k")
    await expect(item(page, "Third")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("complementary", name="Notifications")).to_be_hidden()
    await expect(page.get_by_test_id("bell")).to_be_focused()


async def test_pressed_button_stays_pressed_in_every_tab(hub: Hub, open_page: OpenPage, another_tab: OpenTab) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page(ann)
    tab = await another_tab(page)
    await notify(hub, key, ann, "Coming?", actions=[{"id": "yes", "label": "Yes", "style": "primary"}])
    await open_center(page)
    await item(page, "Coming?").get_by_role("button", name="Yes").click()
    for each in (page, tab):
        await open_center(each)
        await expect(item(each, "Coming?").get_by_role("button", name="✓ Yes")).to_be_disabled()


async def test_change_is_rolled_back_with_an_error_when_rejected(hub: Hub, open_page: OpenPage, noise: Noise) -> None:
    noise.expect(r"status of 503 .*/notifications/archive$")
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    await notify(hub, key, ann, "First")
    page = await open_page(ann, worker=False)

    async def refuse(route: Route) -> None:
        await route.fulfill(status=503, json={"code": "OVERLOADED", "message": "The hub is busy. Try again."})

    await page.route("**/api/realtime/notifications/archive", refuse)
    center = await open_center(page)
    await press(page, "First", "Archive")
    await expect(center.get_by_role("alert")).to_have_text("The hub is busy. Try again.")
    await expect(item(page, "First")).to_be_visible()
    await expect_unread(page, 1)


async def test_toast_closes_after_five_seconds_unless_it_has_buttons(hub: Hub, open_page: OpenPage) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page(ann)
    await stop_the_clock(page)
    await notify(hub, key, ann, "Passing", icon="🚲")
    await notify(hub, key, ann, "Asking", actions=[{"id": "yes", "label": "Yes", "style": "primary"}])
    await expect(toasts(page)).to_have_count(2)
    await expect(toasts(page).filter(has_text="Passing")).to_contain_text("🚲")
    await expect(toasts(page).filter(has_text="Passing")).to_contain_text("Words.")
    await page.clock.fast_forward(TOAST_MS)
    await expect(toasts(page)).to_have_count(1)
    await expect(toasts(page)).to_contain_text("Asking")
    await toasts(page).get_by_role("button", name="Dismiss").click()
    await expect(toasts(page)).to_have_count(0)
    await expect_unread(page, 2)


async def test_toast_stays_while_the_pointer_is_on_it(hub: Hub, open_page: OpenPage) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page(ann)
    await stop_the_clock(page)
    await notify(hub, key, ann, "Passing")
    await toasts(page).hover()
    await page.clock.fast_forward(3 * TOAST_MS)
    await expect(toasts(page)).to_have_count(1)
    await page.mouse.move(10, 400)
    await page.clock.fast_forward(TOAST_MS)
    await expect(toasts(page)).to_have_count(0)


async def test_toast_is_announced_politely_and_a_hire_assertively(hub: Hub, open_page: OpenPage) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page(ann)
    regions = page.locator("toast-region")
    # Live regions must exist before their content.
    await expect(regions.locator("[aria-live=polite]")).to_be_attached()
    await notify(hub, key, ann, "A note")
    await expect(regions.locator("[aria-live=polite]")).to_contain_text("A note Words.")
    await notify(hub, key, ann, "You are hired", category="hire")
    await expect(regions.locator("[aria-live=assertive]")).to_contain_text("You are hired")


async def test_silent_stream_is_reopened(hub: Hub, open_page: OpenPage) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    # Without a worker the stream is in the tab, whose clock the test controls.
    page = await open_page(ann, worker=False)
    await page.clock.install()
    await page.reload()
    await is_live(page)
    # The sockets stay open, but the hub does not respond.
    os.kill(hub.server.pid, signal.SIGSTOP)
    try:
        await page.clock.fast_forward(SILENT_MS)
        await expect(page.get_by_test_id("connection")).to_have_text("Connecting…")
    finally:
        os.kill(hub.server.pid, signal.SIGCONT)
    await page.clock.fast_forward(2_000)
    await is_live(page)
    await notify(hub, key, ann, "Back")
    await expect(toasts(page)).to_contain_text("Back")


async def test_late_events_are_summed_up_in_one_toast(hub: Hub, open_page: OpenPage) -> None:
    ann = await hub.signup("freelancer")
    page = await open_page(ann, worker=False)
    connect = re.compile("/api/realtime/connect")

    async def answer(route: Route) -> None:
        cursor = route.request.url.partition("lastEventId=")[2]
        await route.fulfill(content_type="text/event-stream", body=old_events(ann.id, cursor))

    await page.route(connect, answer)
    await page.reload()
    await expect_toasts(page, "While you were away 2 things happened.")
    await expect_unread(page, 2)


async def test_announcement_is_listed_and_toasted_once(hub: Hub, open_page: OpenPage) -> None:
    ann = await hub.signup("freelancer")
    page = await open_page(ann)
    boss = hub.client(await admin(hub))

    async def announce(title: str) -> None:
        answer = await boss.post("/api/announcements", json={"title": title, "body": "Ten minutes."})
        assert answer.status_code == 201, answer.text

    await announce("Maintenance at nine")
    await expect_toasts(page, "Maintenance at nine")
    await wait_until_stored(hub, ann, page)
    await page.reload()
    await is_live(page)
    await announce("And at ten")
    await expect_toasts(page, "And at ten")
    await open_center(page)
    await expect(item(page, "Maintenance at nine")).to_be_visible()


async def test_reset_makes_the_page_fetch_the_inbox_and_continue(hub: Hub, open_page: OpenPage) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page(ann, worker=False)
    asked: list[str] = []

    async def forget(route: Route) -> None:
        asked.append(route.request.url)
        await route.continue_(url=route.request.url.partition("?")[0] + "?lastEventId=nonsense")

    await page.route("**/api/realtime/connect*", forget)
    await page.reload()
    await is_live(page)
    assert asked
    await notify(hub, key, ann, "After the reset")
    await expect_unread(page, 1)
    await open_center(page)
    await expect(item(page, "After the reset")).to_be_visible()
