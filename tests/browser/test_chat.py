"""Conversations on the page: said, seen arriving, read, typed, with files, and written without a network."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import Noise, OpenPage, is_live
from tests.browser.cutter import Wire
from tests.browser.market import post_job
from tests.hub import Hub

PNG = Path(__file__).parents[2] / "web" / "icons" / "192.png"


async def test_two_people_talk_see_each_other_type_and_read(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client", name="Carla"), await hub.signup("freelancer", name="Felix")
    job = await post_job(hub, carla, "A logo")
    client, freelancer = await open_page(carla), await open_page(felix)
    await freelancer.goto(f"{hub.url}/jobs/{job['id']}")
    await freelancer.get_by_role("link", name="Message Carla").click()
    await write(freelancer, "Is the name final?")
    await expect(freelancer).to_have_url(re.compile("/messages/[0-9a-f-]+$"))
    await expect(said(freelancer)).to_have_text(re.compile("Is the name final.*Sent|Delivered"))
    await expect(client.get_by_role("link", name="Messages")).to_contain_text("1")
    await client.get_by_role("link", name="Messages").click()
    await client.get_by_role("button", name="Felix").click()
    await expect(said(client)).to_contain_text("Is the name final?")
    await expect(said(freelancer)).to_contain_text("Read")
    await expect(client.get_by_role("link", name="Messages")).not_to_contain_text("1")
    await client.get_by_label("Write a message").press_sequentially("It is")
    await expect(freelancer.get_by_text("Carla is typing…")).to_be_visible()
    await client.keyboard.press("Enter")
    await expect(said(freelancer).last).to_contain_text("It is")
    await expect(freelancer.get_by_text("Carla is typing…")).to_be_hidden()
    await expect(said(freelancer)).to_have_count(2)
    await expect(said(client)).to_have_count(2)


async def test_a_picture_is_sent_and_seen(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client", name="Carla"), await hub.signup("freelancer", name="Felix")
    client, freelancer = await open_page(carla), await open_page(felix)
    await freelancer.goto(f"{hub.url}/messages?to={carla.id}&name=Carla")
    await freelancer.locator("chat-panel input[type=file]").set_input_files(PNG)
    await client.goto(f"{hub.url}/messages")
    await client.get_by_role("button", name="Felix").click()
    picture = said(client).get_by_role("img", name="192.png")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth > 0)")


async def test_what_is_written_without_a_network_waits_and_is_sent_once(
    hub: Hub, open_page: OpenPage, noise: Noise
) -> None:
    noise.expect(r"net::ERR_")
    carla, felix = await hub.signup("client", name="Carla"), await hub.signup("freelancer", name="Felix")
    async with hub.client(carla) as client:
        body = {"recipientId": felix.id, "content": "Hello", "type": "text", "clientMessageId": "first"}
        conversation = (await client.post("/api/realtime/messages/send", json=body)).json()["conversationId"]
    wire = Wire(urlsplit(hub.url).port or 0)
    url = await wire.start()
    page = await open_page(felix, url=url)
    await page.goto(f"{url}/messages/{conversation}")
    await expect(said(page)).to_have_count(1)
    wire.refusing = True
    wire.cut()
    await write(page, "On my way")
    await expect(said(page).last).to_contain_text("Waiting to be sent")
    wire.refusing = False
    await page.mouse.move(400, 400)
    await expect(said(page).last).to_contain_text(re.compile("Sent|Delivered"), timeout=40_000)
    async with hub.client(carla) as client:
        items = (await client.get(f"/api/conversations/{conversation}/messages")).json()["items"]
    assert [item["content"] for item in items] == ["On my way", "Hello"]
    await wire.close()


async def test_what_is_said_in_one_tab_stands_in_the_other_and_on_the_phone(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client", name="Carla"), await hub.signup("freelancer", name="Felix")
    page, phone = await open_page(felix), await open_page(felix, width=390)
    await page.goto(f"{hub.url}/messages?to={carla.id}&name=Carla")
    await is_live(page)
    await phone.goto(f"{hub.url}/messages")
    await write(page, "First")
    await phone.get_by_role("button", name="Carla").click()
    await expect(said(phone)).to_contain_text("First")
    await phone.get_by_role("button", name="Back").click()
    await expect(phone.get_by_role("button", name="Carla")).to_be_visible()


def said(page: Page) -> Locator:
    return page.get_by_test_id("message")


async def write(page: Page, text: str) -> None:
    field = page.get_by_label("Write a message")
    await field.fill(text)
    await field.press("Enter")
