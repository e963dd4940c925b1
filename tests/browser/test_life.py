"""The rest of a job's life on the page: each side sees its next steps, and the other hears of them."""

from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.market import hire, place_bid, post_job
from tests.hub import Hub


async def test_a_job_goes_from_hire_to_payment_by_the_buttons_of_both(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client", name="Carla"), await hub.signup("freelancer", name="Felix")
    job = await post_job(hub, carla, "A logo")
    await hire(hub, carla, await place_bid(hub, felix, job))
    client, freelancer = await open_page(carla), await open_page(felix)
    await press(freelancer, "Accept")
    await expect(toast(client, "Job accepted: A logo")).to_be_visible()
    await press(freelancer, "Submit work")
    await expect(toast(client, "Work submitted: A logo")).to_be_visible()
    await client.get_by_label("What should be changed").fill("Larger, please.")
    await press(client, "Ask for changes")
    await expect(toast(freelancer, "Changes requested: A logo")).to_contain_text(
        "Carla asks for changes: Larger, please."
    )
    await press(freelancer, "Submit work")
    await press(client, "Complete and pay")
    await expect(toast(freelancer, "Payment Released!")).to_contain_text("1,000.00 USD")
    await expect(toast(client, "Job Completed!")).to_be_visible()
    await expect(client.get_by_test_id("job")).to_contain_text("Completed")
    await expect(freelancer.get_by_test_id("job")).to_contain_text("Completed")
    for page in (client, freelancer):
        await expect(page.get_by_test_id("steps").get_by_role("button")).to_have_count(0)


async def test_a_job_that_is_had_at_once_goes_to_who_presses_first(hub: Hub, open_page: OpenPage) -> None:
    carla, first, second = await hub.signup("client"), await hub.signup("freelancer"), await hub.signup("freelancer")
    client, fast = await open_page(carla), await open_page(first)
    slow = await open_page(second)
    await client.get_by_label("Title").fill("Now")
    await client.get_by_label("Description").fill("At once.")
    await client.get_by_label("Budget").fill("50")
    await client.get_by_label("Give it to the first").check()
    await client.get_by_role("button", name="Post job").click()
    await expect(button(slow, "Take it for $50")).to_be_visible()
    await press(fast, "Take it for $50")
    await expect(toast(fast, "You have been hired for Now!")).to_be_visible()
    await expect(button(fast, "Submit work")).to_be_visible()
    await expect(slow.get_by_test_id("job")).to_have_count(0)


async def test_a_cancelled_job_is_told_to_who_bid_on_it(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client"), await hub.signup("freelancer")
    await place_bid(hub, felix, await post_job(hub, carla, "A logo"))
    client, freelancer = await open_page(carla), await open_page(felix)
    await press(client, "Cancel job")
    await expect(toast(freelancer, "Job cancelled: A logo")).to_be_visible()
    await expect(toast(client, "Refunded: A logo")).to_be_visible()
    await expect(freelancer.get_by_test_id("decided")).to_contain_text("Cancelled")


def toast(page: Page, text: str) -> Locator:
    return page.get_by_test_id("toast").filter(has_text=text).first


def button(page: Page, name: str) -> Locator:
    return page.get_by_test_id("steps").get_by_role("button", name=name)


async def press(page: Page, name: str) -> None:
    await button(page, name).click()
