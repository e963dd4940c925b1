"""Concurrent, repeated and interrupted messages: one order for all members, no duplicates and no loss."""

import asyncio

import httpx2

from tests.support.hub import Hub
from tests.support.timeouts import TIMEOUT_SECONDS
from tests.system.conftest import StartHub
from tests.system.marketplace.test_messages import SEND, create_group, get_json, send_message


async def list_ids(hub: Hub, token: str, conversation_id: str) -> list[str]:
    """Return the ids of all messages, oldest first, read page by page."""
    ids: list[str] = []
    before: str | None = None
    while True:
        parameters = {"limit": "100"} | ({"before": before} if before else {})
        page = (await hub.client(token).get(f"/api/conversations/{conversation_id}/messages", params=parameters)).json()
        ids += [message["id"] for message in page["items"]]
        before = page["next"]
        if before is None:
            return ids[::-1]


async def test_message_sent_concurrently_with_one_client_id_is_stored_once(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    client = shared_hub.client(ann)
    body = {"recipientId": bob.id, "content": "Hello", "type": "text", "clientMessageId": "once"}
    async with shared_hub.stream(bob) as bob_stream:
        await bob_stream.next_event("connection_confirmed")
        responses = await asyncio.gather(*(client.post(SEND, json=body) for _ in range(30)))
        assert sorted(response.status_code for response in responses) == [200] * 29 + [201]
        assert len({response.json()["id"] for response in responses}) == 1
        last = await send_message(shared_hub, ann, "after", recipientId=bob.id)
        await bob_stream.read_until(lambda event: event.type == "message" and event.data["id"] == last["id"])
        assert bob_stream.types().count("message") == 2
    assert (await get_json(shared_hub, bob, "/api/conversations"))["unread"] == 2


async def test_all_members_see_concurrent_messages_in_one_order(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_RATE_LIMIT="0", HUB_BACKLOG="1000")
    people = [await hub.signup() for _ in range(4)]
    conversation_id = await create_group(hub, people[0], *people[1:])
    async with hub.stream(people[0]) as first_stream, hub.stream(people[3]) as second_stream:
        for stream in (first_stream, second_stream):
            await stream.next_event("connection_confirmed")
        sent = await asyncio.gather(
            *(
                send_message(hub, people[n % 4], f"{n}", conversationId=conversation_id, clientMessageId=f"{n}")
                for n in range(80)
            )
        )
        received = []
        for stream in (first_stream, second_stream):
            for _ in range(len(sent)):
                await stream.next_event("message")
            received.append([event.data["id"] for event in stream.events if event.type == "message"])
    assert received[0] == received[1] == await list_ids(hub, people[1].token, conversation_id)
    assert sorted(received[0]) == sorted(message["id"] for message in sent)


async def test_acknowledged_messages_survive_a_kill_without_duplicates(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_RATE_LIMIT="0", HUB_BACKLOG="1000")
    ann, bob = await hub.signup(), await hub.signup()
    conversation_id = (await send_message(hub, ann, "first", recipientId=bob.id))["conversationId"]
    client = hub.client(ann)
    acknowledged: dict[str, str] = {}

    async def send(client_id: str) -> None:
        body = {"conversationId": conversation_id, "content": client_id, "type": "text", "clientMessageId": client_id}
        try:
            response = await client.post(SEND, json=body)
        except httpx2.TransportError:
            return
        assert response.status_code in (200, 201), response.text
        assert acknowledged.setdefault(client_id, response.json()["id"]) == response.json()["id"]

    client_ids = [f"m{n}" for n in range(200)]
    sending = asyncio.gather(*(send(client_id) for client_id in client_ids))
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while len(acknowledged) < 20:  # noqa: ASYNC110 (responses have no event to wait on)
            await asyncio.sleep(0.005)
    await hub.kill()
    await sending
    before = dict(acknowledged)
    await hub.restart()
    stored = await list_ids(hub, bob.token, conversation_id)
    assert set(before.values()) <= set(stored)
    for client_id in client_ids:
        await send(client_id)
    assert acknowledged.keys() == set(client_ids)
    stored = await list_ids(hub, bob.token, conversation_id)
    assert (len(stored), set(stored) >= set(acknowledged.values())) == (len(client_ids) + 1, True)
    assert (await get_json(hub, bob, f"/api/conversations/{conversation_id}"))["unread"] == len(stored)
