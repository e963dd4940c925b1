"""What a test does with the conversations of a page."""

from typing import Any

from playwright.async_api import Locator, Page, expect

from tests.hub import Hub, Person


def said(page: Page) -> Locator:
    """The messages that are shown."""
    return page.get_by_test_id("message")


async def write(page: Page, text: str) -> None:
    """Type something and send it."""
    field = page.get_by_label("Write a message")
    await field.fill(text)
    await field.press("Enter")


async def tell(hub: Hub, sender: Person, recipient: Person, content: str) -> dict[str, Any]:
    """A message, sent through the API."""
    body = {"recipientId": recipient.id, "content": content, "type": "text", "clientMessageId": content[:40]}
    answer = await hub.client(sender).post("/api/realtime/messages/send", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def group_of(hub: Hub, maker: Person, *others: Person, title: str) -> str:
    """A group, made through the API; its id."""
    body = {"title": title, "memberIds": [each.id for each in others]}
    answer = await hub.client(maker).post("/api/conversations", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def press_twice(page: Page, button: str) -> None:
    """Press a button that asks before it does what cannot be taken back."""
    await page.get_by_role("button", name=button, exact=True).click()
    sure = page.get_by_role("button", name=f"{button}: sure?")
    await expect(sure).to_be_visible()
    await sure.click()
