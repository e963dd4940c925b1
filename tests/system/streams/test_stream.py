"""The stream on a real hub: durable before the answer, resumed without gap or repeat."""

import httpx2
import pytest

from tests.support.hub import Hub

pytestmark = pytest.mark.parametrize("stream_transport", ["direct", "asgi"])


async def send(hub: Hub, key: str, user_id: str, title: str) -> str:
    async with httpx2.AsyncClient(base_url=hub.url) as client:
        answer = await client.post(
            "/api/realtime/notifications/send",
            headers={"authorization": f"Bearer {key}"},
            json={"userId": user_id, "type": "note", "category": "system", "title": title, "body": "Look\r\nhere"},
        )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_a_notification_reaches_the_open_stream_of_its_user_alone(hub: Hub) -> None:
    ann, bob = await hub.signup("freelancer"), await hub.signup("client")
    key = await hub.api_key("notify")
    async with hub.stream(ann) as hers, hub.stream(bob) as his:
        await hers.next_event("connection_confirmed")
        await his.next_event("connection_confirmed")
        await send(hub, key, ann.id, "For Ann")
        await send(hub, key, bob.id, "For Bob")
        got = await hers.next_event("notification")
        assert (got.data["title"], got.data["body"], got.data["unread"]) == ("For Ann", "Look\r\nhere", 1)
        assert (await his.next_event("notification")).data["title"] == "For Bob"
        assert [event.data["title"] for event in hers.events if event.type == "notification"] == ["For Ann"]


async def test_who_comes_back_gets_exactly_what_they_missed(hub: Hub) -> None:
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


async def test_reading_in_one_tab_is_told_to_the_other_and_the_list_agrees(hub: Hub) -> None:
    ann = await hub.signup("freelancer")
    key = await hub.api_key("notify")
    client = hub.client(ann)
    async with hub.stream(ann) as other_tab:
        made = await send(hub, key, ann.id, "Read me")
        await other_tab.next_event("notification")
        listed = (await client.get("/api/notifications")).json()
        assert ([one["id"] for one in listed["items"]], listed["unread"]) == ([made], 1)
        changed = await client.post("/api/realtime/notifications/read", json={"all": True, "before": made})
        assert (changed.status_code, changed.json()["unread"]) == (200, 0)
        told = await other_tab.next_event("notification_state")
        assert (told.data["state"], told.data["unread"]) == ("read", 0)
        undone = await client.post("/api/realtime/notifications/undo", json={"undo": changed.json()["undo"]})
        assert undone.json()["unread"] == 1


async def test_logging_out_ends_the_streams_of_that_session(hub: Hub) -> None:
    ann = await hub.signup("freelancer")
    async with hub.stream(ann) as stream:
        await stream.next_event("connection_confirmed")
        assert (await hub.client(ann).post("/api/auth/logout")).status_code == 204
        assert (await stream.next_event("bye")).data == {"reason": "logout"}
        await stream.wait_closed()
    assert (await hub.client(ann).get("/api/auth/me")).status_code == 401


async def test_a_stop_says_goodbye_to_every_stream(hub: Hub) -> None:
    ann = await hub.signup("freelancer")
    async with hub.stream(ann) as stream:
        await stream.next_event("connection_confirmed")
        assert await hub.stop() == 0
        assert (await stream.next_event("bye")).data == {"reason": "shutdown"}


async def test_a_broadcast_reaches_everybody_and_answers_where_it_stands(hub: Hub) -> None:
    ann, key = await hub.signup("client"), await hub.api_key("broadcast")
    async with hub.stream(ann) as stream:
        await stream.next_event("connection_confirmed")
        asked = {"type": "price_changed", "data": {"text": "a\nb"}, "channel": "jobs"}
        answer = await hub.client(key).post("/api/realtime/broadcast", json=asked)
        assert answer.status_code == 202, answer.text
        heard = await stream.next_event("price_changed")
        assert (heard.data, heard.id) == ({"text": "a\nb"}, answer.json()["cursor"])
