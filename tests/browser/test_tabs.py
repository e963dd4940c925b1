"""Many tabs with one stream: sharing, leader changes, broken connections and restarts."""

import asyncio
import random
import re

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.conftest import Noise, OpenPage, is_live, stop_the_clock
from tests.browser.inbox_page import expect_toasts, expect_unread, item, open_center, wait_until_stored
from tests.browser.market_page import notify
from tests.support.hub import Hub
from tests.support.tcp_proxy import TcpProxy
from tests.support.timeouts import TIMEOUT_SECONDS

TABS = 12
CUTS = 20
# While the page is not live, input makes it reconnect at most this often.
WAITING_MS = 1_000


@pytest.mark.parametrize("worker", [True, False])
async def test_twelve_tabs_share_one_stream_and_one_state(hub: Hub, open_page: OpenPage, worker: bool) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page(ann, worker=worker)
    tabs = [page, *await more_tabs(page, TABS - 1)]
    await has_one_stream(hub)
    for n in range(3):
        await notify(hub, key, ann, f"Note {n}")
    for tab in tabs:
        await expect_unread(tab, 3)
    await open_center(tabs[5])
    await tabs[5].get_by_role("button", name="Mark all read").click()
    for tab in tabs:
        await expect_unread(tab, 0)
    await has_one_stream(hub)


@pytest.mark.parametrize("worker", [True, False])
async def test_another_tab_leads_without_loss_when_the_leader_closes(
    hub: Hub, open_page: OpenPage, worker: bool
) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page(ann, worker=worker)
    tabs = await more_tabs(page, 3)
    await notify(hub, key, ann, "Before")
    for tab in tabs:
        await expect_unread(tab, 1)
    closing = asyncio.create_task(page.close())
    sent = [await notify(hub, key, ann, f"Meanwhile {n}") for n in range(5)]
    await closing
    await notify(hub, key, ann, "After")
    for tab in tabs:
        await expect_unread(tab, len(sent) + 2)
        await is_live(tab)
    await has_one_stream(hub)
    await open_center(tabs[0])
    titles = tabs[0].get_by_test_id("notification").locator(".title")
    await expect(titles).to_have_text(["After", *[f"Meanwhile {n}" for n in reversed(range(5))], "Before"])


async def test_frozen_leader_is_replaced_and_becomes_a_follower(hub: Hub, open_page: OpenPage) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    leader = await open_page(ann, worker=False)
    follower = await leader.context.new_page()
    await follower.clock.install()
    await follower.goto(leader.url)
    await is_live(follower)
    # It behaves like a frozen tab: its stream is open, but it sends nothing.
    await leader.evaluate("BroadcastChannel.prototype.postMessage = () => {}")
    await follower.clock.fast_forward(30_000)
    await follower.clock.fast_forward(5_000)
    await is_live(follower)
    await notify(hub, key, ann, "After")
    await expect_unread(follower, 1)
    await has_one_stream(hub)


async def test_missed_events_are_shown_once_after_a_hub_outage(hub: Hub, open_page: OpenPage, noise: Noise) -> None:
    noise.expect(r"ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE")
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page(ann)
    await notify(hub, key, ann, "Before")
    await expect_unread(page, 1)
    await hub.kill()
    await expect(page.get_by_test_id("connection")).not_to_have_text("Live updates active")
    await expect(page.locator("notification-bell")).to_have_attribute("stale", "")
    await hub.restart()
    await page.mouse.move(300, 300)
    await notify(hub, key, ann, "Meanwhile")
    await expect_unread(page, 2)
    await is_live(page)
    await notify(hub, key, ann, "After")
    await expect_unread(page, 3)
    await open_center(page)
    await expect(page.get_by_test_id("notification").locator(".title")).to_have_text(["After", "Meanwhile", "Before"])
    await expect_toasts(page, "Before", "Meanwhile", "After")


async def test_input_reconnects_the_page_at_once_after_a_restart(hub: Hub, open_page: OpenPage, noise: Noise) -> None:
    noise.expect(r"ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE")
    page = await open_page(await hub.signup("freelancer"), worker=False)
    # The backoff is long and the page's clock stands still: nothing reconnects by itself.
    await page.add_init_script("Math.random = () => 20")
    await stop_the_clock(page)
    await hub.kill()
    await expect(page.get_by_test_id("connection")).to_have_text("Connecting…")
    # Input makes the page try at once; while the hub is down it fails.
    async with page.context.expect_event("requestfailed", lambda request: "/realtime/connect" in request.url):
        await page.mouse.move(300, 300)
    await hub.restart()
    await page.clock.fast_forward(WAITING_MS)
    await expect(page.get_by_test_id("connection")).to_have_text("Connecting…")
    await page.mouse.move(400, 300)
    await is_live(page)


async def test_list_is_exact_and_toasts_single_after_twenty_random_cuts(
    hub: Hub, open_page: OpenPage, noise: Noise
) -> None:
    noise.expect(r"net::ERR_")
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    proxy = TcpProxy(hub.server.port)
    await proxy.start()
    page = await open_page(ann, url=proxy.url)
    sent = 0

    async def send() -> None:
        nonlocal sent
        while sent < CUTS * 3:
            await notify(hub, key, ann, f"Note {sent}")
            sent += 1
            await asyncio.sleep(moments.uniform(0, 0.4))

    sending = asyncio.create_task(send())
    for _ in range(CUTS):
        await asyncio.sleep(moments.uniform(0, 1.2))
        proxy.close_connections()
    await sending
    await is_live(page)
    await expect_unread(page, sent)
    toasts = await page.locator("html").get_attribute("data-toasted") or ""
    assert sorted(toasts.split("\n")) == sorted(f"Note {n} Words." for n in range(sent)), f"seed {seed}"
    async with hub.client(ann) as client:
        newest = (await client.get("/api/notifications?limit=30")).json()["items"]
    await open_center(page)
    await expect(page.get_by_test_id("notification").locator(".title").first).to_have_text(newest[0]["title"])
    shown = await page.get_by_test_id("notification").locator(".title").all_text_contents()
    assert shown[:30] == [row["title"] for row in newest]
    await proxy.stop()


@pytest.mark.parametrize("worker", [True, False])
async def test_reload_continues_at_the_cursor_without_repeating_toasts(
    hub: Hub, open_page: OpenPage, worker: bool
) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page(ann, worker=worker)
    await notify(hub, key, ann, "First")
    await expect_toasts(page, "First")
    await wait_until_stored(hub, ann, page)
    await page.goto("about:blank")
    await notify(hub, key, ann, "Second")
    await page.goto(hub.url)
    await expect_toasts(page, "Second")
    await expect_unread(page, 2)


@pytest.mark.parametrize("worker", [True, False])
async def test_new_tab_does_not_repeat_toasts_of_other_tabs(hub: Hub, open_page: OpenPage, worker: bool) -> None:
    ann, key = await hub.signup("freelancer"), await hub.api_key("notify")
    page = await open_page(ann, worker=worker)
    await notify(hub, key, ann, "First")
    await expect_toasts(page, "First")
    (tab,) = await more_tabs(page, 1)
    await notify(hub, key, ann, "Second")
    await expect_toasts(tab, "Second")


async def test_app_starts_offline_and_shows_the_stored_state(hub: Hub, open_page: OpenPage, noise: Noise) -> None:
    noise.expect(r"net::ERR_")
    ann, key = await hub.signup("freelancer", name="Ann"), await hub.api_key("notify")
    page = await open_page(ann)
    await notify(hub, key, ann, "Known")
    await expect_unread(page, 1)
    await page.evaluate("navigator.serviceWorker.ready")
    await page.reload()
    await is_live(page)
    await hub.stop()
    await page.reload()
    await expect(page.get_by_test_id("connection")).to_have_text("Offline")
    await expect(page.get_by_role("banner")).to_contain_text("Ann")
    await expect_unread(page, 1)
    await open_center(page)
    await expect(item(page, "Known")).to_be_visible()
    await expect(page.get_by_text(re.compile(r"Offline. This is what was known at"))).to_be_visible()
    await hub.restart()
    await expect(page.get_by_test_id("connection")).to_have_text("Live updates active")


async def more_tabs(page: Page, count: int) -> list[Page]:
    """Open further tabs of the same profile at once; all are live."""
    context: BrowserContext = page.context

    async def open_tab() -> Page:
        tab = await context.new_page()
        await tab.goto(page.url)
        await is_live(tab)
        return tab

    return await asyncio.gather(*[open_tab() for _ in range(count)])


async def has_one_stream(hub: Hub) -> None:
    """Wait until the hub has one stream; the former leader closes its stream after the new one is open."""
    async with asyncio.timeout(TIMEOUT_SECONDS), hub.client() as client:
        while (await client.get("/api/realtime/status")).json()["connections"] != 1:  # noqa: ASYNC110  # the hub is another process
            await asyncio.sleep(0.05)
