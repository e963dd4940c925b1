"""Notification preferences, chosen on the page and stored by the hub."""

import asyncio
from typing import Any

from playwright.async_api import Locator, Page, Response, Route, expect

from tests.browser.conftest import OpenPage
from tests.support.hub import Hub


async def test_choices_are_stored_and_locked_methods_give_a_reason(hub: Hub, open_page: OpenPage) -> None:
    ann = await hub.signup("freelancer")
    page = await open_page(ann)
    await page.goto(f"{hub.url}/settings")
    await expect(page.get_by_label("Hires: In the app")).to_be_disabled()
    await expect(page.get_by_text("Hires and payments always appear")).to_be_visible()
    await choose(page, page.get_by_label("Comments: E-mail"))
    await choose(page, page.get_by_label("Push and e-mail wait"))
    await expect(page.get_by_text("Saved.")).to_be_visible()
    await page.reload()
    await expect(page.get_by_label("Comments: E-mail")).to_be_checked()
    await expect(page.get_by_label("Push and e-mail wait")).to_be_checked()
    async with hub.client(ann) as client:
        kept = (await client.get("/api/notifications/preferences")).json()
    assert kept["categories"]["comment"]["email"] is True
    assert (kept["quietHours"]["from"], kept["quietHours"]["to"]) == ("22:00", "07:00")


async def test_second_of_two_choices_is_stored_when_the_first_is_slow(hub: Hub, open_page: OpenPage) -> None:
    ann = await hub.signup("freelancer")
    page = await open_page(ann)
    await page.goto(f"{hub.url}/settings")
    on_its_way, asked = asyncio.Event(), list[Any]()

    async def delay(route: Route) -> None:
        if route.request.method == "PUT":
            asked.append(route.request.post_data_json)
        if len(asked) == 1:
            await on_its_way.wait()
        await route.continue_()

    await page.route("**/api/notifications/preferences", delay)
    await page.get_by_label("Comments: E-mail").check()
    await page.get_by_label("Bids: E-mail").check()
    # The page has sent every immediate request by now.
    await page.evaluate("fetch('/api/auth/me').then((answer) => answer.text())")
    assert len(asked) == 1
    async with page.expect_response(is_of_the_second):
        on_its_way.set()
    async with hub.client(ann) as client:
        kept = (await client.get("/api/notifications/preferences")).json()["categories"]
    assert (kept["comment"]["email"], kept["bid"]["email"]) == (True, True)


async def choose(page: Page, box: Locator) -> None:
    """Check the box and wait until the hub has stored it."""
    async with page.expect_response(lambda answer: answer.request.method == "PUT"):
        await box.check()


def is_of_the_second(answer: Response) -> bool:
    return answer.request.method == "PUT" and '"bid":{"inApp":true,"push":true,"email":true}' in (
        answer.request.post_data or ""
    )
