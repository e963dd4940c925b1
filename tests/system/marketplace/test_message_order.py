"""Messages sent at once, again, and into a hub that dies: one order for everybody, nothing twice, nothing lost."""

import asyncio

import httpx2

from tests.support.hub import Hub
from tests.system.conftest import StartHub
from tests.system.marketplace.test_messages import SEND, get, group, say


async def history(hub: Hub, who: str, place: str) -> list[str]:
    """The ids, oldest first, by pages."""
    found: list[str] = []
    before: str | None = None
    while True:
        asked = {"limit": "100"} | ({"before": before} if before else {})
        page = (await hub.client(who).get(f"/api/conversations/{place}/messages", params=asked)).json()
        found += [each["id"] for each in page["items"]]
        before = page["next"]
        if before is None:
            return found[::-1]


async def test_a_message_sent_many_times_at_once_is_one(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    client = shared_hub.client(ann)
    body = {"recipientId": bob.id, "content": "Hello", "type": "text", "clientMessageId": "once"}
    async with shared_hub.stream(bob) as his:
        await his.next_event("connection_confirmed")
        answers = await asyncio.gather(*(client.post(SEND, json=body) for _ in range(30)))
        assert sorted(answer.status_code for answer in answers) == [200] * 29 + [201]
        assert len({answer.json()["id"] for answer in answers}) == 1
        last = await say(shared_hub, ann, "after", recipientId=bob.id)
        await his.read_until(lambda event: event.type == "message" and event.data["id"] == last["id"])
        assert his.types().count("message") == 2
    assert (await get(shared_hub, bob, "/api/conversations"))["unread"] == 2


async def test_everybody_sees_one_order_whoever_speaks_at_once(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_RATE_LIMIT="0", HUB_BACKLOG="1000")
    people = [await hub.signup() for _ in range(4)]
    place = await group(hub, people[0], *people[1:])
    async with hub.stream(people[0]) as one, hub.stream(people[3]) as other:
        for stream in (one, other):
            await stream.next_event("connection_confirmed")
        sent = await asyncio.gather(
            *(say(hub, people[n % 4], f"{n}", conversationId=place, clientMessageId=f"{n}") for n in range(80))
        )
        heard = []
        for stream in (one, other):
            for _ in range(len(sent)):
                await stream.next_event("message")
            heard.append([event.data["id"] for event in stream.events if event.type == "message"])
    assert heard[0] == heard[1] == await history(hub, people[1].token, place)
    assert sorted(heard[0]) == sorted(each["id"] for each in sent)


async def test_what_was_answered_survives_a_kill_and_a_repeat_makes_no_second(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_RATE_LIMIT="0", HUB_BACKLOG="1000")
    ann, bob = await hub.signup(), await hub.signup()
    place = (await say(hub, ann, "first", recipientId=bob.id))["conversationId"]
    client = hub.client(ann)
    answered: dict[str, str] = {}

    async def send(mark: str) -> None:
        body = {"conversationId": place, "content": mark, "type": "text", "clientMessageId": mark}
        try:
            answer = await client.post(SEND, json=body)
        except httpx2.TransportError:
            return
        assert answer.status_code in (200, 201), answer.text
        assert answered.setdefault(mark, answer.json()["id"]) == answer.json()["id"]

    marks = [f"m{n}" for n in range(200)]
    sending = asyncio.gather(*(send(mark) for mark in marks))
    async with asyncio.timeout(20):
        while len(answered) < 20:  # noqa: ASYNC110 (answers have no event to wait on)
            await asyncio.sleep(0.005)
    await hub.kill()
    await sending
    before = dict(answered)
    await hub.restart()
    kept = await history(hub, bob.token, place)
    assert set(before.values()) <= set(kept)
    for mark in marks:
        await send(mark)
    assert answered.keys() == set(marks)
    kept = await history(hub, bob.token, place)
    assert (len(kept), set(kept) >= set(answered.values())) == (len(marks) + 1, True)
    assert (await get(hub, bob, f"/api/conversations/{place}"))["unread"] == len(kept)
