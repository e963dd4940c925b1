"""Page object of the chat element."""

from typing import Any

from playwright.async_api import Locator, Page, expect

from tests.support.hub import Hub, Person


def messages(page: Page) -> Locator:
    """Return the messages that are shown."""
    return page.get_by_test_id("message")


async def write(page: Page, text: str) -> None:
    """Write and send a message."""
    field = page.get_by_label("Write a message")
    await field.fill(text)
    await field.press("Enter")


async def send_message(hub: Hub, sender: Person, recipient: Person, content: str) -> dict[str, Any]:
    """Send a message through the API and return it."""
    body = {"recipientId": recipient.id, "content": content, "type": "text", "clientMessageId": content[:40]}
    answer = await hub.client(sender).post("/api/realtime/messages/send", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def create_group(hub: Hub, creator: Person, *others: Person, title: str) -> str:
    """Create a group through the API and return its id."""
    body = {"title": title, "memberIds": [each.id for each in others]}
    answer = await hub.client(creator).post("/api/conversations", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def press_and_confirm(page: Page, button: str) -> None:
    """Press a button and its confirmation."""
    await page.get_by_role("button", name=button, exact=True).click()
    sure = page.get_by_role("button", name=f"{button}: sure?")
    await expect(sure).to_be_visible()
    await sure.click()
