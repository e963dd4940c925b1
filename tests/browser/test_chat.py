"""Conversations in the chat element: sending, receipts, typing, files, editing, deleting, offline."""

import re
from pathlib import Path

from playwright.async_api import expect

from tests.browser.chat_page import messages, press_and_confirm, send_message, write
from tests.browser.conftest import Noise, OpenPage, is_live
from tests.browser.market_page import post_job
from tests.support.hub import Hub
from tests.support.tcp_proxy import TcpProxy

PNG = Path(__file__).parents[2] / "web" / "static" / "icons" / "192.png"


async def test_two_users_exchange_messages_with_typing_and_receipts(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client", name="Carla"), await hub.signup("freelancer", name="Felix")
    job = await post_job(hub, carla, "A logo")
    client, freelancer = await open_page(carla), await open_page(felix)
    await freelancer.goto(f"{hub.url}/jobs/{job['id']}")
    await freelancer.get_by_role("link", name="Message Carla").click()
    await write(freelancer, "Is the name final?")
    await expect(freelancer).to_have_url(re.compile("/messages/[0-9a-f-]+$"))
    await expect(messages(freelancer)).to_have_text(re.compile("Is the name final.*Sent|Delivered"))
    await expect(client.get_by_role("link", name="Messages")).to_contain_text("1")
    await client.get_by_role("link", name="Messages").click()
    await client.get_by_role("button", name="Felix").click()
    await expect(messages(client)).to_contain_text("Is the name final?")
    await expect(messages(freelancer)).to_contain_text("Read")
    await expect(client.get_by_role("link", name="Messages")).not_to_contain_text("1")
    await client.get_by_label("Write a message").press_sequentially("It is")
    await expect(freelancer.get_by_text("Carla is typing…")).to_be_visible()
    await client.keyboard.press("Enter")
    await expect(messages(freelancer).last).to_contain_text("It is")
    await expect(freelancer.get_by_text("Carla is typing…")).to_be_hidden()
    await expect(messages(freelancer)).to_have_count(2)
    await expect(messages(client)).to_have_count(2)


async def test_image_is_sent_and_shown_to_the_recipient(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client", name="Carla"), await hub.signup("freelancer", name="Felix")
    client, freelancer = await open_page(carla), await open_page(felix)
    await freelancer.goto(f"{hub.url}/messages?to={carla.id}&name=Carla")
    await freelancer.locator("chat-panel input[type=file]").set_input_files(PNG)
    await client.goto(f"{hub.url}/messages")
    await client.get_by_role("button", name="Felix").click()
    picture = messages(client).get_by_role("img", name="192.png")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth > 0)")
    await freelancer.locator("chat-panel input[type=file]").set_input_files([PNG, Path(__file__)])
    await expect(messages(client)).to_have_count(2)
    async with hub.client(carla) as api:
        place = (await api.get("/api/conversations")).json()["items"][0]["id"]
        items = (await api.get(f"/api/conversations/{place}/messages")).json()["items"]
    # Only images make an image message; with other files it is a file message.
    assert [item["type"] for item in items] == ["file", "image"]
    await expect(client.get_by_role("button", name="Felix")).to_contain_text("📎 192.png")


async def test_message_written_offline_is_sent_once_when_online(hub: Hub, open_page: OpenPage, noise: Noise) -> None:
    noise.expect(r"net::ERR_")
    carla, felix = await hub.signup("client", name="Carla"), await hub.signup("freelancer", name="Felix")
    async with hub.client(carla) as client:
        body = {"recipientId": felix.id, "content": "Hello", "type": "text", "clientMessageId": "first"}
        conversation = (await client.post("/api/realtime/messages/send", json=body)).json()["conversationId"]
    proxy = TcpProxy(hub.server.port)
    await proxy.start()
    url = proxy.url
    page = await open_page(felix, url=url)
    await page.goto(f"{url}/messages/{conversation}")
    await expect(messages(page)).to_have_count(1)
    proxy.block()
    await write(page, "On my way")
    await expect(messages(page).last).to_contain_text("Waiting to be sent")
    proxy.unblock()
    await page.mouse.move(400, 400)
    await expect(messages(page).last).to_contain_text(re.compile("Sent|Delivered"))
    async with hub.client(carla) as client:
        items = (await client.get(f"/api/conversations/{conversation}/messages")).json()["items"]
    assert [item["content"] for item in items] == ["On my way", "Hello"]
    await proxy.stop()


async def test_message_appears_in_all_tabs_and_devices_of_the_sender(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client", name="Carla"), await hub.signup("freelancer", name="Felix")
    page, phone = await open_page(felix), await open_page(felix, width=390)
    await page.goto(f"{hub.url}/messages?to={carla.id}&name=Carla")
    await is_live(page)
    await phone.goto(f"{hub.url}/messages")
    await write(page, "First")
    await phone.get_by_role("button", name="Carla").click()
    await expect(messages(phone)).to_contain_text("First")
    await phone.get_by_role("button", name="Back").click()
    await expect(phone.get_by_role("button", name="Carla")).to_be_visible()


async def test_own_message_is_edited_by_keyboard_and_members_see_it(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client", name="Carla"), await hub.signup("freelancer", name="Felix")
    place = (await send_message(hub, felix, carla, "Nine o'clock"))["conversationId"]
    await send_message(hub, carla, felix, "In which city?")
    client, freelancer = await open_page(carla), await open_page(felix)
    for page in (client, freelancer):
        await page.goto(f"{hub.url}/messages/{place}")
        await expect(messages(page)).to_have_count(2)
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
        await expect(messages(page).first).to_contain_text("Ten o'clock")
        await expect(messages(page).first).to_contain_text("edited")
        await expect(messages(page)).to_have_count(2)
    await expect(field).to_have_value("")
    # Messages of others have no such buttons.
    await messages(freelancer).last.hover()
    await expect(messages(freelancer).last.get_by_role("button")).to_have_count(0)


async def test_draft_stays_in_its_conversation(hub: Hub, open_page: OpenPage) -> None:
    felix = await hub.signup("freelancer", name="Felix")
    for name in ("Carla", "Dora"):
        await send_message(hub, await hub.signup("client", name=name), felix, "Hello")
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
    await expect(messages(page).last).to_contain_text(re.compile("Sent|Delivered"))
    await messages(page).last.hover()
    await messages(page).last.get_by_role("button", name="Edit").click()
    await page.get_by_role("button", name="Dora").click()
    await expect(field).to_have_value("")
    await expect(page.get_by_text("You are changing your message.")).to_be_hidden()


async def test_message_is_deleted_after_confirmation_and_leaves_a_note(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client", name="Carla"), await hub.signup("freelancer", name="Felix")
    place = (await send_message(hub, felix, carla, "The password is swordfish"))["conversationId"]
    client, freelancer = await open_page(carla), await open_page(felix)
    await freelancer.goto(f"{hub.url}/messages/{place}")
    await expect(messages(freelancer)).to_contain_text("swordfish")
    # With the keyboard: arrow up from the list to the newest message, then to its buttons.
    await freelancer.get_by_role("log").focus()
    await freelancer.keyboard.press("ArrowUp")
    await expect(messages(freelancer)).to_be_focused()
    await freelancer.keyboard.press("Tab")
    await freelancer.keyboard.press("Tab")
    await expect(freelancer.get_by_role("button", name="Delete")).to_be_focused()
    await freelancer.keyboard.press("Enter")
    await expect(freelancer.get_by_role("button", name="Delete: sure?")).to_be_focused()
    # A read receipt removes neither the focus nor the confirmation.
    await client.goto(f"{hub.url}/messages/{place}")
    await expect(messages(client)).to_contain_text("swordfish")
    await expect(messages(freelancer)).to_contain_text("Read")
    await expect(freelancer.get_by_role("button", name="Delete: sure?")).to_be_focused()
    # Moving the focus cancels the confirmation.
    await freelancer.keyboard.press("Shift+Tab")
    await freelancer.keyboard.press("Tab")
    await expect(messages(client)).to_contain_text("swordfish")
    await press_and_confirm(freelancer, "Delete")
    for page in (client, freelancer):
        await expect(messages(page)).to_contain_text("This message was deleted.")
        await expect(messages(page)).not_to_contain_text("swordfish")
        await expect(page.get_by_role("navigation", name="Conversations")).to_contain_text("This message was deleted.")
        await page.reload()
        await expect(messages(page)).to_contain_text("This message was deleted.")
        await expect(messages(page).get_by_role("button")).to_have_count(0)


async def test_rejected_edit_shows_an_error_and_keeps_the_text(hub: Hub, open_page: OpenPage, noise: Noise) -> None:
    noise.expect(r"status of 409 .*/api/messages/")
    carla, felix = await hub.signup("client", name="Carla"), await hub.signup("freelancer", name="Felix")
    made = await send_message(hub, felix, carla, "Nine o'clock")
    page = await open_page(felix)
    await page.goto(f"{hub.url}/messages/{made['conversationId']}")
    await messages(page).hover()
    await page.get_by_role("button", name="Edit").click()
    field = page.get_by_label("Write a message")
    await field.fill("Ten o'clock")
    assert (await hub.client(felix).delete(f"/api/messages/{made['id']}")).status_code == 204
    await expect(messages(page)).to_contain_text("This message was deleted.")
    await field.press("Enter")
    await expect(page.get_by_role("alert").filter(visible=True)).to_have_text("This message was deleted.")
    await expect(field).to_have_value("Ten o'clock")
