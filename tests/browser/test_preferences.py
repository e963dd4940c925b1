"""What one is told of, and how, chosen on the page and kept by the hub."""

from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.hub import Hub


async def test_what_is_chosen_is_kept_and_what_cannot_be_turned_off_says_why(hub: Hub, open_page: OpenPage) -> None:
    ann = await hub.signup("freelancer")
    page = await open_page(ann)
    await page.goto(f"{hub.url}/settings")
    await expect(page.get_by_label("Hires: In the app")).to_be_disabled()
    await expect(page.get_by_text("Hires and payments always appear")).to_be_visible()
    await page.get_by_label("Comments: E-mail").check()
    await page.get_by_label("Push and e-mail wait").check()
    await expect(page.get_by_text("Saved.")).to_be_visible()
    await page.reload()
    await expect(page.get_by_label("Comments: E-mail")).to_be_checked()
    await expect(page.get_by_label("Push and e-mail wait")).to_be_checked()
    async with hub.client(ann) as client:
        kept = (await client.get("/api/notifications/preferences")).json()
    assert kept["categories"]["comment"]["email"] is True
    assert (kept["quietHours"]["from"], kept["quietHours"]["to"]) == ("22:00", "07:00")
