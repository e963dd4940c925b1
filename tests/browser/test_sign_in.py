"""Signing up, in and out, and sessions that end elsewhere."""

import re

from playwright.async_api import expect

from tests.browser.conftest import Noise, OpenPage, OpenTab, is_live, sign_in
from tests.support.hub import PASSWORD, Hub


async def test_user_signs_in_with_the_form_and_stays_after_a_reload(hub: Hub, open_page: OpenPage) -> None:
    ann = await hub.signup("freelancer", name="Ann Okafor")
    page = await open_page(ann)
    await expect(page.get_by_role("banner")).to_contain_text("Ann Okafor")
    await page.reload()
    await is_live(page)
    await expect(page.get_by_role("banner")).to_contain_text("Ann Okafor")


async def test_wrong_password_is_reported_in_the_form(hub: Hub, open_page: OpenPage, noise: Noise) -> None:
    noise.expect(r"status of 401 .*/api/auth/login$")
    ann = await hub.signup("freelancer")
    page = await open_page()
    await page.get_by_label("Email").fill(ann.email)
    await page.get_by_label("Password").fill("not the password")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("The e-mail address or the password is wrong.")
    await sign_in(page, ann)


async def test_demo_users_sign_in_with_one_click(hub: Hub, open_page: OpenPage) -> None:
    made = await hub.cli("demo")
    assert made.returncode == 0, made.stderr
    page = await open_page()
    people = page.get_by_role("region", name="Look around as")
    for role, heading in (("client", "Good to see you"), ("freelancer", "Find work")):
        await people.get_by_role("button", name=re.compile(f" {role}$")).first.click()
        await is_live(page)
        await expect(page.get_by_role("heading", name=heading)).to_be_visible()
        await expect(page.get_by_test_id("job").first).to_be_visible()
        await page.get_by_role("button", name="Log out").click()


async def test_page_shows_only_the_form_without_demo_users(open_page: OpenPage) -> None:
    page = await open_page()
    await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    await expect(page.get_by_role("heading", name="Look around as")).to_be_hidden()


async def test_new_user_signs_up_on_the_page(open_page: OpenPage) -> None:
    page = await open_page()
    await page.get_by_role("button", name="Create an account").click()
    await page.get_by_label("Name").fill("Nora Lind")
    await page.get_by_label("I want to").select_option(label="hire somebody")
    await page.get_by_label("Email").fill("nora@example.org")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Create account").click()
    await is_live(page)
    await expect(page.get_by_role("heading", name="Good to see you, Nora")).to_be_visible()


async def test_logout_in_one_tab_signs_out_all_and_closes_the_stream(
    hub: Hub, open_page: OpenPage, another_tab: OpenTab
) -> None:
    page = await open_page(await hub.signup("client"))
    tab = await another_tab(page)
    assert await streams(hub) == 1
    await page.get_by_role("button", name="Log out").click()
    for each in (page, tab):
        await expect(each.get_by_role("button", name="Sign in")).to_be_visible()
    assert await streams(hub) == 0
    await page.reload()
    await expect(page.get_by_role("button", name="Sign in")).to_be_visible()


async def test_session_revoked_elsewhere_leads_to_sign_in_with_the_reason(hub: Hub, open_page: OpenPage) -> None:
    ann = await hub.signup("client")
    page = await open_page(ann)
    async with hub.client(ann) as client:
        logins = (await client.get("/api/auth/sessions")).json()["items"]
        mine = next(login for login in logins if not login["current"])
        assert (await client.delete(f"/api/auth/sessions/{mine['id']}")).status_code == 204
    await expect(page.get_by_text("You were signed out. Sign in again to go on.")).to_be_visible()


async def test_next_user_sees_nothing_of_the_previous_one(hub: Hub, open_page: OpenPage) -> None:
    ann, bob = await hub.signup("freelancer", name="Ann"), await hub.signup("freelancer", name="Bob")
    key = await hub.api_key("notify")
    async with hub.client(key) as client:
        body = {"userId": ann.id, "type": "note", "category": "system", "title": "Ann's secret", "body": "Words."}
        assert (await client.post("/api/realtime/notifications/send", json=body)).status_code == 201
    page = await open_page(ann)
    await expect(page.get_by_test_id("badge")).to_have_text("1")
    await page.get_by_role("button", name="Log out").click()
    await sign_in(page, bob)
    await page.get_by_test_id("bell").click()
    await expect(page.get_by_text("Nothing yet")).to_be_visible()
    await expect(page.get_by_text("Ann's secret")).to_have_count(0)


async def test_password_reset_says_that_the_hub_sends_no_email(open_page: OpenPage, noise: Noise) -> None:
    noise.expect(r"status of 404 .*/api/auth/password/forgot$")
    page = await open_page()
    await page.get_by_role("button", name="Forgot password?").click()
    await page.get_by_label("Email").fill("ann@example.org")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("This hub sends no e-mail.")
    await expect(page.get_by_role("alert")).to_contain_text("Ask whoever runs it")


async def streams(hub: Hub) -> int:
    async with hub.client() as client:
        return int((await client.get("/api/realtime/status")).json()["connections"])


async def test_form_keeps_its_state_after_a_look_at_the_sign_up_form(hub: Hub, open_page: OpenPage) -> None:
    page = await open_page()
    await page.get_by_role("button", name="Create an account").click()
    await expect(page.get_by_label("Name")).to_be_focused()
    await page.get_by_role("button", name="Back to sign in").click()
    await expect(page.get_by_label("Email")).to_be_focused()
    await expect(page.get_by_label("Name")).to_be_hidden()
