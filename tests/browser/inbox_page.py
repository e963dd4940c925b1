"""What a test does with the bell, the center and the toasts of a page."""

import re

from playwright.async_api import Locator, Page, expect

from tests.hub import Hub, Person

KEPT = """async (told) => {
    const place = (cursor) => Number(cursor.split(".").pop());
    const answer = (request) => new Promise((resolve) => { request.onsuccess = () => resolve(request.result); });
    const disk = await answer(indexedDB.open("gigwire"));
    const meta = () => answer(disk.transaction("meta").objectStore("meta").get("meta"));
    while (place((await meta()).cursor) < place(told)) await new Promise((next) => setTimeout(next, 20));
    disk.close();
}"""


async def shows(page: Page, unread: int) -> None:
    """Wait until badge, title and bell say so."""
    badge = page.get_by_test_id("badge")
    await expect(badge).to_have_text(str(unread)) if unread else await expect(badge).to_be_hidden()
    await expect(page.get_by_test_id("bell")).to_have_accessible_name(re.compile(rf"^Notifications, {unread} unread"))
    await expect(page).to_have_title(re.compile(rf"^\({unread}\) .*Gigwire$" if unread else r"^[^(].*Gigwire$"))


async def open_center(page: Page) -> Locator:
    """The open center."""
    center = page.get_by_role("complementary", name="Notifications")
    if not await center.is_visible():
        await page.get_by_test_id("bell").click()
    await expect(center).to_be_visible()
    return center


def item(page: Page, title: str) -> Locator:
    """The row with this title."""
    return page.get_by_test_id("notification").filter(has_text=title)


def toasts(page: Page) -> Locator:
    """What is toasted now."""
    return page.get_by_test_id("toast")


async def toasted(page: Page, *titles: str) -> None:
    """Wait until these were toasted since the page was loaded, and nothing else; no titles: nothing was, so far."""
    told = page.locator("html")
    if titles:
        lines = "\n".join(f".*{re.escape(title)}.*" for title in titles)
        await expect(told).to_have_attribute("data-toasted", re.compile(f"^{lines}$"))
    else:
        assert await told.get_attribute("data-toasted") is None


async def kept(hub: Hub, who: Person, page: Page) -> None:
    """Wait until the page has on its disk that it was told of everything so far: then it may be left."""
    async with hub.client(who) as client:
        place = (await client.get("/api/notifications")).json()["cursor"]
    await page.evaluate(KEPT, place)


async def press(page: Page, title: str, button: str) -> None:
    """Press one of a row's buttons; they appear when the pointer is there."""
    row = item(page, title)
    await row.hover()
    await row.get_by_role("button", name=button).click()
