"""The stream on a real hub: durable before the answer, resumed without gap or repeat."""

import httpx2

from tests.hub import Hub


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
        await hers.next("connection_confirmed")
        await his.next("connection_confirmed")
        await send(hub, key, ann.id, "For Ann")
        await send(hub, key, bob.id, "For Bob")
        got = await hers.next("notification")
        assert (got.data["title"], got.data["body"], got.data["unread"]) == ("For Ann", "Look\r\nhere", 1)
        assert (await his.next("notification")).data["title"] == "For Bob"
        assert [event.data["title"] for event in hers.events if event.type == "notification"] == ["For Ann"]


async def test_who_comes_back_gets_exactly_what_they_missed(hub: Hub) -> None:
    ann = await hub.signup("freelancer")
    key = await hub.api_key("notify")
    async with hub.stream(ann) as stream:
        await send(hub, key, ann.id, "first")
        cursor = (await stream.next("notification")).id
    for title in ("second", "third"):
        await send(hub, key, ann.id, title)
    await hub.kill()
    await hub.restart()
    async with hub.stream(ann, cursor=cursor) as stream:
        assert (await stream.next("connection_confirmed")).data["recovered"] is True
        titles = [(await stream.next("notification")).data["title"] for _ in range(2)]
        await send(hub, key, ann.id, "live")
        titles.append((await stream.next("notification")).data["title"])
        assert titles == ["second", "third", "live"]
