"""Conversations on the page: said, seen arriving, read, typed, with files, and written without a network."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import expect

from tests.browser.chat_page import press_twice, said, tell, write
from tests.browser.conftest import Noise, OpenPage, is_live
from tests.browser.cutter import Wire
from tests.browser.market_page import post_job
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
    await freelancer.locator("chat-panel input[type=file]").set_input_files([PNG, Path(__file__)])
    await expect(said(client)).to_have_count(2)
    async with hub.client(carla) as api:
        place = (await api.get("/api/conversations")).json()["items"][0]["id"]
        items = (await api.get(f"/api/conversations/{place}/messages")).json()["items"]
    # A picture is one; what has something else with it is files.
    assert [item["type"] for item in items] == ["file", "image"]
    await expect(client.get_by_role("button", name="Felix")).to_contain_text("📎 192.png")


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


async def test_ones_own_message_is_changed_with_the_keyboard_and_everybody_sees_it(
    hub: Hub, open_page: OpenPage
) -> None:
    carla, felix = await hub.signup("client", name="Carla"), await hub.signup("freelancer", name="Felix")
    place = (await tell(hub, felix, carla, "Nine o'clock"))["conversationId"]
    await tell(hub, carla, felix, "In which city?")
    client, freelancer = await open_page(carla), await open_page(felix)
    for page in (client, freelancer):
        await page.goto(f"{hub.url}/messages/{place}")
        await expect(said(page)).to_have_count(2)
    field = freelancer.get_by_label("Write a message")
    await field.fill("Half a thought")
    await field.press("ArrowUp")
    await expect(field).to_have_value("Half a thought")
    await field.fill("")
    await field.press("ArrowUp")
    await expect(field).to_have_value("Nine o'clock")
    await expect(freelancer.get_by_text("You are changing your message.")).to_be_visible()
    await field.press("Escape")
    await expect(field).to_have_value("")
    await field.press("ArrowUp")
    await field.fill("Ten o'clock")
    await field.press("Enter")
    for page in (client, freelancer):
        await expect(said(page).first).to_contain_text("Ten o'clock")
        await expect(said(page).first).to_contain_text("edited")
        await expect(said(page)).to_have_count(2)
    await expect(field).to_have_value("")
    # What somebody else said has no such buttons.
    await said(freelancer).last.hover()
    await expect(said(freelancer).last.get_by_role("button")).to_have_count(0)


async def test_what_was_begun_stays_where_it_was_begun(hub: Hub, open_page: OpenPage) -> None:
    felix = await hub.signup("freelancer", name="Felix")
    for name in ("Carla", "Dora"):
        await tell(hub, await hub.signup("client", name=name), felix, "Hello")
    page = await open_page(felix)
    await page.goto(f"{hub.url}/messages")
    field = page.get_by_label("Write a message")
    await page.get_by_role("button", name="Carla").click()
    await field.fill("Dear Carla")
    await page.get_by_role("button", name="Dora").click()
    await expect(field).to_have_value("")
    await page.get_by_role("button", name="Carla").click()
    await expect(field).to_have_value("Dear Carla")
    await write(page, "Dear Carla!")
    await expect(said(page).last).to_contain_text(re.compile("Sent|Delivered"))
    await said(page).last.hover()
    await said(page).last.get_by_role("button", name="Edit").click()
    await page.get_by_role("button", name="Dora").click()
    await expect(field).to_have_value("")
    await expect(page.get_by_text("You are changing your message.")).to_be_hidden()


async def test_a_message_is_deleted_after_a_second_press_and_its_place_stays(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client", name="Carla"), await hub.signup("freelancer", name="Felix")
    place = (await tell(hub, felix, carla, "The password is swordfish"))["conversationId"]
    client, freelancer = await open_page(carla), await open_page(felix)
    await freelancer.goto(f"{hub.url}/messages/{place}")
    await expect(said(freelancer)).to_contain_text("swordfish")
    # With the keyboard: up from the list to the newest message, on to its buttons.
    await freelancer.get_by_role("log").focus()
    await freelancer.keyboard.press("ArrowUp")
    await expect(said(freelancer)).to_be_focused()
    await freelancer.keyboard.press("Tab")
    await freelancer.keyboard.press("Tab")
    await expect(freelancer.get_by_role("button", name="Delete")).to_be_focused()
    await freelancer.keyboard.press("Enter")
    await expect(freelancer.get_by_role("button", name="Delete: sure?")).to_be_focused()
    # That it is read meanwhile takes neither the focus nor the question away.
    await client.goto(f"{hub.url}/messages/{place}")
    await expect(said(client)).to_contain_text("swordfish")
    await expect(said(freelancer)).to_contain_text("Read")
    await expect(freelancer.get_by_role("button", name="Delete: sure?")).to_be_focused()
    # Whoever goes elsewhere is asked anew.
    await freelancer.keyboard.press("Shift+Tab")
    await freelancer.keyboard.press("Tab")
    await expect(said(client)).to_contain_text("swordfish")
    await press_twice(freelancer, "Delete")
    for page in (client, freelancer):
        await expect(said(page)).to_contain_text("This message was deleted.")
        await expect(said(page)).not_to_contain_text("swordfish")
        await expect(page.get_by_role("navigation", name="Conversations")).to_contain_text("This message was deleted.")
        await page.reload()
        await expect(said(page)).to_contain_text("This message was deleted.")
        await expect(said(page).get_by_role("button")).to_have_count(0)


async def test_a_change_that_is_refused_is_said_and_what_was_typed_is_kept(
    hub: Hub, open_page: OpenPage, noise: Noise
) -> None:
    noise.expect(r"status of 409 .*/api/messages/")
    carla, felix = await hub.signup("client", name="Carla"), await hub.signup("freelancer", name="Felix")
    made = await tell(hub, felix, carla, "Nine o'clock")
    page = await open_page(felix)
    await page.goto(f"{hub.url}/messages/{made['conversationId']}")
    await said(page).hover()
    await page.get_by_role("button", name="Edit").click()
    field = page.get_by_label("Write a message")
    await field.fill("Ten o'clock")
    assert (await hub.client(felix).delete(f"/api/messages/{made['id']}")).status_code == 204
    await expect(said(page)).to_contain_text("This message was deleted.")
    await field.press("Enter")
    await expect(page.get_by_role("alert").filter(visible=True)).to_have_text("This message was deleted.")
    await expect(field).to_have_value("Ten o'clock")
