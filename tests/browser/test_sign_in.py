"""Who comes in, how, and how they leave."""

import re

from playwright.async_api import expect

from tests.browser.conftest import Another, Noise, OpenPage, is_live, sign_in
from tests.hub import PASSWORD, Hub


async def test_a_user_signs_in_with_the_form_and_is_still_there_after_a_reload(hub: Hub, open_page: OpenPage) -> None:
    ann = await hub.signup("freelancer", name="Ann Okafor")
    page = await open_page(ann)
    await expect(page.get_by_role("banner")).to_contain_text("Ann Okafor")
    await page.reload()
    await is_live(page)
    await expect(page.get_by_role("banner")).to_contain_text("Ann Okafor")


async def test_a_wrong_password_is_told_in_the_form(hub: Hub, open_page: OpenPage, noise: Noise) -> None:
    noise.expect(r"status of 401 .*/api/auth/login$")
    ann = await hub.signup("freelancer")
    page = await open_page()
    await page.get_by_label("Email").fill(ann.email)
    await page.get_by_label("Password").fill("not the password")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("The e-mail address or the password is wrong.")
    await sign_in(page, ann)


async def test_demo_users_come_in_with_one_click(hub: Hub, open_page: OpenPage) -> None:
    made = await hub.cli("demo")
    assert made.returncode == 0, made.stderr
    page = await open_page()
    people = page.get_by_role("region", name="Look around as")
    for role, heading in (("client", "Your jobs"), ("freelancer", "Open jobs")):
        await people.get_by_role("button", name=re.compile(f" {role}$")).first.click()
        await is_live(page)
        await expect(page.get_by_role("heading", name=heading)).to_be_visible()
        await expect(page.get_by_test_id("job").first).to_be_visible()
        await page.get_by_role("button", name="Log out").click()


async def test_without_demo_users_there_is_only_the_form(open_page: OpenPage) -> None:
    page = await open_page()
    await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    await expect(page.get_by_role("heading", name="Look around as")).to_be_hidden()


async def test_a_newcomer_signs_up_on_the_page(open_page: OpenPage) -> None:
    page = await open_page()
    await page.get_by_role("button", name="Create an account").click()
    await page.get_by_label("Name").fill("Nora Lind")
    await page.get_by_label("I want to").select_option(label="hire somebody")
    await page.get_by_label("Email").fill("nora@example.org")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Create account").click()
    await is_live(page)
    await expect(page.get_by_role("heading", name="Post a job")).to_be_visible()


async def test_logging_out_ends_the_streams_of_every_tab(hub: Hub, open_page: OpenPage, another_tab: Another) -> None:
    page = await open_page(await hub.signup("client"))
    tab = await another_tab(page)
    assert await streams(hub) == 2
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    await expect(page.get_by_text("You were signed out.")).to_be_hidden()
    await expect(tab.get_by_text("You were signed out. Sign in again to go on.")).to_be_visible()
    assert await streams(hub) == 0


async def streams(hub: Hub) -> int:
    async with hub.client() as client:
        return int((await client.get("/api/realtime/status")).json()["connections"])
