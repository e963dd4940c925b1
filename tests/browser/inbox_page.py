"""Page object of the bell, the notification center and the toasts."""

import re

from playwright.async_api import Locator, Page, expect

from tests.support.hub import Hub, Person

WAIT_UNTIL_STORED = """async (cursor) => {
    const position = (text) => Number(text.split(".").pop());
    const result = (request) => new Promise((resolve) => { request.onsuccess = () => resolve(request.result); });
    const disk = await result(indexedDB.open("gigwire"));
    const meta = () => result(disk.transaction("meta").objectStore("meta").get("meta"));
    while (position((await meta()).cursor) < position(cursor)) await new Promise((next) => setTimeout(next, 20));
    disk.close();
}"""


async def expect_unread(page: Page, unread: int) -> None:
    """Wait until badge, title and bell show this count."""
    badge = page.get_by_test_id("badge")
    await expect(badge).to_have_text(str(unread)) if unread else await expect(badge).to_be_hidden()
    await expect(page.get_by_test_id("bell")).to_have_accessible_name(re.compile(rf"^Notifications, {unread} unread"))
    await expect(page).to_have_title(re.compile(rf"^\({unread}\) .*Gigwire$" if unread else r"^[^(].*Gigwire$"))


async def open_center(page: Page) -> Locator:
    """Open the center if it is closed, and return it."""
    center = page.get_by_role("complementary", name="Notifications")
    if not await center.is_visible():
        await page.get_by_test_id("bell").click()
    await expect(center).to_be_visible()
    return center


def item(page: Page, title: str) -> Locator:
    """Return the items whose text contains this title."""
    return page.get_by_test_id("notification").filter(has_text=title)


def toasts(page: Page) -> Locator:
    """Return the toasts that are shown."""
    return page.get_by_test_id("toast")


async def expect_toasts(page: Page, *titles: str) -> None:
    """Wait until exactly these toasts were shown since the page was loaded; without titles, assert that none was."""
    root = page.locator("html")
    if titles:
        lines = "\n".join(f".*{re.escape(title)}.*" for title in titles)
        await expect(root).to_have_attribute("data-toasted", re.compile(f"^{lines}$"))
    else:
        assert await root.get_attribute("data-toasted") is None


async def wait_until_stored(hub: Hub, who: Person, page: Page) -> None:
    """Wait until the page has stored the current cursor of the hub; then it may be closed."""
    async with hub.client(who) as client:
        cursor = (await client.get("/api/notifications")).json()["cursor"]
    await page.evaluate(WAIT_UNTIL_STORED, cursor)


async def press(page: Page, title: str, button: str) -> None:
    """Press a button of an item; the buttons appear under the pointer."""
    row = item(page, title)
    await row.hover()
    await row.get_by_role("button", name=button).click()
