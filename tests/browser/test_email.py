"""E-mail from the page: password reset and confirmation of the address, with a real mail server."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenPage, is_live
from tests.support.hub import Hub
from tests.support.mail_server import LocalMailServer, find_link
from tests.system.conftest import StartHub

NEW = "another long enough passphrase"


@pytest.fixture
async def posting_hub(start_hub: StartHub, mail: LocalMailServer) -> Hub:
    return await start_hub(HUB_SMTP_URL=mail.url)


@pytest.fixture
async def hub(posting_hub: Hub) -> Hub:
    return posting_hub


async def test_forgotten_password_is_replaced_by_the_link_in_an_email(
    hub: Hub, open_page: OpenPage, mail: LocalMailServer
) -> None:
    ann = await hub.signup("freelancer", name="Ann Okafor")
    await mail.wait_for(1)
    page = await open_page()
    await page.get_by_label("Email").fill(ann.email)
    await page.get_by_role("button", name="Forgot password?").click()
    await expect(page.get_by_label("Email")).to_be_focused()
    await expect(page.get_by_label("Email")).to_have_value(ann.email)
    await expect(page.get_by_label("Password")).to_be_hidden()
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("a link to choose a new password is on its way")).to_be_visible()
    (to, message) = (await mail.wait_for(2))[1]
    assert to == [ann.email]
    await page.goto(find_link(message))
    await page.get_by_label("New password").fill(NEW)
    await page.get_by_role("button", name="Change it").click()
    await page.get_by_role("link", name="Sign in").click()
    await page.get_by_label("Email").fill(ann.email)
    await page.get_by_label("Password").fill(NEW)
    await page.get_by_role("button", name="Sign in").click()
    await is_live(page)
    await expect(page.get_by_role("banner")).to_contain_text("Ann Okafor")


async def test_password_reset_does_not_reveal_who_has_an_account(
    hub: Hub, open_page: OpenPage, mail: LocalMailServer
) -> None:
    page = await open_page()
    await page.get_by_role("button", name="Forgot password?").click()
    await page.get_by_label("Email").fill("nobody@example.org")
    await page.get_by_role("button", name="Send me a link").click()
    await expect(page.get_by_text("If there is an account with this address")).to_be_visible()
    await page.get_by_role("button", name="Back to sign in").click()
    await expect(page.get_by_text("If there is an account with this address")).to_be_hidden()
    await expect(page.get_by_label("Password")).to_be_enabled()
    assert mail.messages == []


async def test_address_is_confirmed_from_the_settings(hub: Hub, open_page: OpenPage, mail: LocalMailServer) -> None:
    ann = await hub.signup("freelancer")
    await mail.wait_for(1)
    page = await open_page(ann)
    await page.get_by_role("link", name="Settings").click()
    await expect(page.get_by_text("is not confirmed yet")).to_be_visible()
    await page.get_by_role("button", name="Send me a link").click()
    await expect(page.get_by_text(f"Sent to {ann.email}")).to_be_visible()
    (to, message) = (await mail.wait_for(2))[1]
    assert to == [ann.email]
    tab = await page.context.new_page()
    await tab.goto(find_link(message))
    await tab.get_by_role("button", name="Yes, it is mine").click()
    await expect(tab.get_by_text("your address is confirmed")).to_be_visible()
    await page.reload()
    await expect(page.get_by_text(f"{ann.email} is confirmed.")).to_be_visible()
    await expect(page.get_by_role("button", name="Send me a link")).to_be_hidden()
