"""Streams of a hub: live delivery, resume without gap or repeat, and bye events."""

import httpx2
import pytest

from tests.support.hub import Hub
from tests.support.timeouts import TIMEOUT_SECONDS

pytestmark = pytest.mark.parametrize("stream_transport", ["direct", "asgi"])


async def send(hub: Hub, key: str, user_id: str, title: str) -> str:
    async with httpx2.AsyncClient(base_url=hub.url, timeout=TIMEOUT_SECONDS) as client:
        response = await client.post(
            "/api/realtime/notifications/send",
            headers={"authorization": f"Bearer {key}"},
            json={"userId": user_id, "type": "note", "category": "system", "title": title, "body": "Look\r\nhere"},
        )
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def test_notification_is_sent_only_to_streams_of_its_recipient(hub: Hub) -> None:
    ann, bob = await hub.signup("freelancer"), await hub.signup("client")
    key = await hub.api_key("notify")
    async with hub.stream(ann) as ann_stream, hub.stream(bob) as bob_stream:
        await ann_stream.next_event("connection_confirmed")
        await bob_stream.next_event("connection_confirmed")
        await send(hub, key, ann.id, "For Ann")
        await send(hub, key, bob.id, "For Bob")
        notification = await ann_stream.next_event("notification")
        data = notification.data
        assert (data["title"], data["body"], data["unread"]) == ("For Ann", "Look\r\nhere", 1)
        assert (await bob_stream.next_event("notification")).data["title"] == "For Bob"
        assert [event.data["title"] for event in ann_stream.events if event.type == "notification"] == ["For Ann"]


async def test_resumed_stream_receives_exactly_the_missed_events(hub: Hub) -> None:
    ann = await hub.signup("freelancer")
    key = await hub.api_key("notify")
    async with hub.stream(ann) as stream:
        await send(hub, key, ann.id, "first")
        cursor = (await stream.next_event("notification")).id
    for title in ("second", "third"):
        await send(hub, key, ann.id, title)
    await hub.kill()
    await hub.restart()
    async with hub.stream(ann, cursor=cursor) as stream:
        assert (await stream.next_event("connection_confirmed")).data["recovered"] is True
        titles = [(await stream.next_event("notification")).data["title"] for _ in range(2)]
        await send(hub, key, ann.id, "live")
        titles.append((await stream.next_event("notification")).data["title"])
        assert titles == ["second", "third", "live"]


async def test_read_in_one_tab_is_published_to_the_other_tab_and_in_the_list(hub: Hub) -> None:
    ann = await hub.signup("freelancer")
    key = await hub.api_key("notify")
    client = hub.client(ann)
    async with hub.stream(ann) as other_tab:
        notification_id = await send(hub, key, ann.id, "Read me")
        await other_tab.next_event("notification")
        inbox = (await client.get("/api/notifications")).json()
        assert ([item["id"] for item in inbox["items"]], inbox["unread"]) == ([notification_id], 1)
        read = await client.post("/api/realtime/notifications/read", json={"all": True, "before": notification_id})
        assert (read.status_code, read.json()["unread"]) == (200, 0)
        event = await other_tab.next_event("notification_state")
        assert (event.data["state"], event.data["unread"]) == ("read", 0)
        undo = await client.post("/api/realtime/notifications/undo", json={"undo": read.json()["undo"]})
        assert undo.json()["unread"] == 1


async def test_logout_closes_the_streams_of_the_session(hub: Hub) -> None:
    ann = await hub.signup("freelancer")
    async with hub.stream(ann) as stream:
        await stream.next_event("connection_confirmed")
        assert (await hub.client(ann).post("/api/auth/logout")).status_code == 204
        assert (await stream.next_event("bye")).data == {"reason": "logout"}
        await stream.wait_closed()
    assert (await hub.client(ann).get("/api/auth/me")).status_code == 401


async def test_stop_sends_bye_to_every_stream(hub: Hub) -> None:
    ann = await hub.signup("freelancer")
    async with hub.stream(ann) as stream:
        await stream.next_event("connection_confirmed")
        assert await hub.stop() == 0
        assert (await stream.next_event("bye")).data == {"reason": "shutdown"}


async def test_broadcast_is_sent_to_every_stream_and_returns_its_cursor(hub: Hub) -> None:
    ann, key = await hub.signup("client"), await hub.api_key("broadcast")
    async with hub.stream(ann) as stream:
        await stream.next_event("connection_confirmed")
        body = {"type": "price_changed", "data": {"text": "a\nb"}, "channel": "jobs"}
        response = await hub.client(key).post("/api/realtime/broadcast", json=body)
        assert response.status_code == 202, response.text
        event = await stream.next_event("price_changed")
        assert (event.data, event.id) == ({"text": "a\nb"}, response.json()["cursor"])
