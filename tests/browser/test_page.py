"""The page itself: it fits, it can be used without a mouse, and the tests would notice if it complained."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Noise, OpenPage, is_live
from tests.browser.market import notify, place_bid, post_job
from tests.hub import Hub


@pytest.mark.parametrize("dark", [False, True])
async def test_it_fits_on_a_phone(hub: Hub, open_page: OpenPage, dark: bool) -> None:
    carla, felix, key = await hub.signup("client"), await hub.signup("freelancer"), await hub.api_key("notify")
    long = "Unbreakable" * 10
    job = await post_job(hub, carla, long)
    await place_bid(hub, felix, job)
    await notify(hub, key, felix, long, body=long)
    for who in (carla, felix):
        page = await open_page(who, width=390, dark=dark)
        await expect(page.get_by_test_id("job")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") == 390
        await page.get_by_test_id("bell").click()
        await expect(page.get_by_role("complementary", name="Notifications")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") == 390
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("complementary", name="Notifications")).to_be_hidden()
        await expect(page.get_by_test_id("bell")).to_be_focused()


async def test_a_client_signs_in_and_hires_with_the_keyboard_alone(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client"), await hub.signup("freelancer", name="Felix")
    await place_bid(hub, felix, await post_job(hub, carla, "A logo"))
    page = await open_page()
    await page.get_by_label("Email").focus()
    await page.keyboard.type(carla.email)
    await page.keyboard.press("Tab")
    await page.keyboard.type(carla.password)
    await page.keyboard.press("Enter")
    await is_live(page)
    hire = page.get_by_role("button", name="Hire Felix")
    await expect(hire).to_be_visible()
    for _ in range(20):
        await page.keyboard.press("Tab")
        if await hire.evaluate("button => button === document.activeElement"):
            break
    await page.keyboard.press("Enter")
    card = page.get_by_test_id("job")
    await expect(card).to_contain_text("Hired")
    await expect(card).to_be_focused()


async def test_a_violation_of_the_policy_or_an_error_would_fail_these_tests(open_page: OpenPage, noise: Noise) -> None:
    page = await open_page()
    await page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "document.title = 'inline'";
        document.head.append(script);
        document.body.setAttribute("style", "color: red");
        setTimeout(() => { throw new Error("planted"); });
    }""")
    async with page.expect_console_message():
        await page.evaluate("console.log('said')")
    unexpected = noise.unexpected()
    assert len([line for line in unexpected if "Content Security Policy" in line]) == 2
    assert any("planted" in line for line in unexpected)
    assert any("said" in line for line in unexpected)
    noise.heard.clear()
    assert await page.title() == "Gigwire"
