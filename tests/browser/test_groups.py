"""Groups in the chat element: creating, members, leaving, and the rights of the creator."""

from playwright.async_api import Locator, Page, expect

from tests.browser.chat_page import create_group, messages, press_and_confirm, send_message, write
from tests.browser.conftest import Noise, OpenPage
from tests.support.hub import Hub


async def test_group_is_created_from_users_in_conversations(hub: Hub, open_page: OpenPage) -> None:
    carla = await hub.signup("client", name="Carla")
    felix, gina = await hub.signup("freelancer", name="Felix"), await hub.signup("freelancer", name="Gina")
    for each in (felix, gina):
        await send_message(hub, each, carla, f"Hello from {each.name}")
    client, freelancer = await open_page(carla), await open_page(felix)
    for page in (client, freelancer):
        await page.goto(f"{hub.url}/messages")
    await client.get_by_role("button", name="New group").click()
    await expect(client.get_by_label("Name of the group")).to_be_focused()
    await client.keyboard.type("Site plan")
    for name in ("Felix", "Gina"):
        await client.get_by_label(name, exact=True).check()
    await client.get_by_role("button", name="Create the group").click()
    await expect(client.get_by_label("Write a message")).to_be_focused()
    await write(client, "Welcome, both")
    await expect(client.get_by_text("Felix, Gina")).to_be_visible()
    await freelancer.get_by_role("button", name="Site plan").click()
    await expect(messages(freelancer)).to_contain_text("Welcome, both")
    await expect(freelancer.get_by_text("Carla, Gina")).to_be_visible()


async def test_user_without_conversations_sees_a_hint_about_groups(hub: Hub, open_page: OpenPage) -> None:
    page = await open_page(await hub.signup("client"), width=390)
    await page.goto(f"{hub.url}/messages")
    await page.get_by_role("button", name="New group").click()
    await expect(page.get_by_text("Groups are made of people you have talked to.")).to_be_visible()
    await page.get_by_role("button", name="Close").click()
    await expect(page.get_by_text("No conversations yet")).to_be_visible()


async def test_creator_renames_adds_and_removes_and_members_see_it(hub: Hub, open_page: OpenPage) -> None:
    carla = await hub.signup("client", name="Carla")
    felix, gina = await hub.signup("freelancer", name="Felix"), await hub.signup("freelancer", name="Gina")
    await send_message(hub, gina, carla, "Hello")
    place = await create_group(hub, carla, felix, title="Site plan")
    client, freelancer, other = await open_page(carla), await open_page(felix), await open_page(gina)
    for page in (client, freelancer):
        await page.goto(f"{hub.url}/messages/{place}")
    await write(client, "Before Gina came")
    await other.goto(f"{hub.url}/messages")
    await client.get_by_role("button", name="Members").click()
    await client.get_by_label("Name of the group").fill("Garden")
    await client.get_by_label("Gina").check()
    await client.get_by_label("They see what was said before").check()
    await client.get_by_role("button", name="Save").click()
    await expect(client.get_by_text("Felix, Gina")).to_be_visible()
    await expect(freelancer.get_by_role("button", name="Garden")).to_be_visible()
    await other.get_by_role("button", name="Garden").click()
    await expect(messages(other)).to_contain_text("Before Gina came")
    await client.get_by_role("button", name="Members").click()
    await expect(members(client)).to_have_text(["Carla (You)", "FelixRemove", "GinaRemove"])
    await press_and_confirm_in(client, members(client).filter(has_text="Felix"))
    await expect(members(client)).to_have_text(["Carla (You)", "GinaRemove"])
    # The group leaves his panel and his list.
    await expect(freelancer.get_by_text("Pick a conversation")).to_be_visible()
    await expect(freelancer.get_by_role("button", name="Garden")).to_have_count(0)


async def test_confirmation_stays_open_while_messages_arrive(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client", name="Carla"), await hub.signup("freelancer", name="Felix")
    place = await create_group(hub, carla, felix, title="Site plan")
    page = await open_page(carla)
    await page.goto(f"{hub.url}/messages/{place}")
    await page.get_by_role("button", name="Members").click()
    button = members(page).filter(has_text="Felix").get_by_role("button")
    await button.click()
    await expect(button).to_have_text("Remove: sure?")
    body = {"conversationId": place, "content": "Here I am", "type": "text", "clientMessageId": "one"}
    assert (await hub.client(felix).post("/api/realtime/messages/send", json=body)).status_code == 201
    # When the list shows it, everything was rendered again.
    await expect(page.get_by_role("navigation", name="Conversations")).to_contain_text("Here I am")
    await expect(button).to_have_text("Remove: sure?")
    await expect(button).to_be_focused()


async def test_member_leaves_and_sees_what_only_the_creator_may_do(hub: Hub, open_page: OpenPage, noise: Noise) -> None:
    noise.expect(r"status of 403 .*/api/conversations/")
    carla, felix = await hub.signup("client", name="Carla"), await hub.signup("freelancer", name="Felix")
    place = await create_group(hub, carla, felix, title="Site plan")
    page = await open_page(felix)
    await page.goto(f"{hub.url}/messages/{place}")
    await page.get_by_role("button", name="Members").click()
    await page.get_by_label("Name of the group").fill("Mine")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert").filter(visible=True)).to_have_text(
        "Only the creator of this group can do that."
    )
    await expect(page.get_by_role("button", name="Save")).to_be_hidden()
    await expect(page.get_by_role("button", name="Remove")).to_have_count(0)
    await press_and_confirm(page, "Leave the group")
    await expect(page.get_by_text("Pick a conversation")).to_be_visible()
    await expect(page.get_by_role("button", name="Site plan")).to_have_count(0)
    assert (await hub.client(felix).get(f"/api/conversations/{place}")).status_code == 404


def members(page: Page) -> Locator:
    return page.get_by_test_id("member").filter(visible=True)


async def press_and_confirm_in(page: Page, row: Locator) -> None:
    button = row.get_by_role("button")
    await button.click()
    await expect(button).to_have_text("Remove: sure?")
    await button.click()


async def test_conversations_beyond_the_first_page_are_loaded(hub: Hub, open_page: OpenPage) -> None:
    carla, felix = await hub.signup("client", name="Carla"), await hub.signup("freelancer", name="Felix")
    for number in range(51):
        await create_group(hub, carla, felix, title=f"Group {number}")
    page = await open_page(felix)
    await page.goto(f"{hub.url}/messages")
    oldest = page.get_by_role("button", name="Group 0", exact=False).filter(has=page.get_by_text("Group 0", exact=True))
    await expect(page.get_by_text("Group 50", exact=True)).to_be_visible()
    await expect(oldest).to_be_hidden()
    earlier = page.get_by_role("button", name="Earlier", exact=True)
    await earlier.click()
    await expect(oldest).to_be_visible()
    await expect(earlier).to_be_hidden()
    # Fetched pages stay in the list when messages arrive.
    await create_group(hub, carla, felix, title="The newest")
    await expect(page.get_by_text("The newest", exact=True)).to_be_visible()
    await expect(oldest).to_be_visible()
