"""Typing, presence and message delivery: which users receive them, and that they are not logged."""

import asyncio
import time
from functools import partial
from typing import Any

from tests.support.hub import Hub, Person
from tests.support.sse_parser import ServerEvent
from tests.support.timeouts import TIMEOUT_SECONDS
from tests.system.job_factory import create_job
from tests.system.marketplace.test_messages import create_group, get_json, problem_fields, send_message

TYPING = "/api/realtime/messages/typing"


async def send_typing(hub: Hub, user: Person, conversation_id: str, typing: bool = True) -> None:
    response = await hub.client(user).post(TYPING, json={"conversationId": conversation_id, "typing": typing})
    assert (response.status_code, response.content) == (202, b"")


async def type_three_times(hub: Hub, user: Person, other: Person) -> str:
    """Send typing three times within 3 s in a new conversation and return its id.

    When the three requests took longer, they are repeated in another conversation.
    """
    while True:
        conversation_id, start = await create_group(hub, user, other), time.monotonic()
        for _ in range(3):
            await send_typing(hub, user, conversation_id)
        if time.monotonic() - start < 3:
            return conversation_id


def is_typing(event: ServerEvent, conversation_id: str) -> bool:
    return event.type == "typing" and event.data["conversationId"] == conversation_id


async def get_statuses(hub: Hub, user: Person, *others: Person) -> dict[str, str]:
    """Return the presence statuses that the user can see, by user id."""
    presence = await get_json(hub, user, "/api/presence", userIds=",".join(other.id for other in others))
    return {item["userId"]: item["status"] for item in presence["items"]}


async def test_typing_is_sent_to_members_once_in_3_s_without_an_event_id(shared_hub: Hub) -> None:
    ann, bob, eve = [await shared_hub.signup() for _ in range(3)]
    async with (
        shared_hub.stream(bob) as bob_stream,
        shared_hub.stream(eve) as eve_stream,
        shared_hub.stream(ann) as ann_stream,
    ):
        for stream in (bob_stream, eve_stream, ann_stream):
            await stream.next_event("connection_confirmed")
        conversation_id = await type_three_times(shared_hub, ann, bob)
        event = (await bob_stream.read_until(lambda event: is_typing(event, conversation_id)))[-1]
        assert event.data == {"conversationId": conversation_id, "userId": ann.id, "typing": True, "expiresIn": 8}
        previous = bob_stream.events[bob_stream.events.index(event) - 1]
        assert (event.id, event.last_event_id) == (None, previous.last_event_id)
        await send_typing(shared_hub, ann, conversation_id, typing=False)
        event = (await bob_stream.read_until(lambda event: is_typing(event, conversation_id)))[-1]
        assert event.data["typing"] is False
        await send_message(shared_hub, ann, conversationId=conversation_id)
        await send_message(shared_hub, ann, recipientId=eve.id)
        await eve_stream.next_event("message")
        await bob_stream.next_event("message")
        assert [is_typing(event, conversation_id) for event in bob_stream.events].count(True) == 2
        assert "typing" not in eve_stream.types() + ann_stream.types()
    refused = await shared_hub.client(eve).post(TYPING, json={"conversationId": conversation_id, "typing": True})
    assert problem_fields(refused)[:2] == (404, "NOT_FOUND")


async def test_presence_is_visible_to_users_who_share_a_conversation_or_hire(shared_hub: Hub) -> None:
    owner, freelancer = await shared_hub.signup("client"), await shared_hub.signup("freelancer")
    friend, stranger = await shared_hub.signup(), await shared_hub.signup()
    await send_message(shared_hub, freelancer, recipientId=friend.id)
    await create_job(shared_hub, "assigned", owner=owner, freelancer=freelancer)
    async with (
        shared_hub.stream(owner) as owner_stream,
        shared_hub.stream(friend) as friend_stream,
        shared_hub.stream(stranger) as stranger_stream,
    ):
        for stream in (owner_stream, friend_stream, stranger_stream):
            await stream.next_event("connection_confirmed")
        async with shared_hub.stream(freelancer) as freelancer_stream:
            await freelancer_stream.next_event("connection_confirmed")
            for stream in (owner_stream, friend_stream):
                event = (await stream.read_until(lambda event: is_presence(event, freelancer)))[-1]
                last_seen_at = event.data["lastSeenAt"]
                assert event.data == {"userId": freelancer.id, "status": "online", "lastSeenAt": last_seen_at}
                assert last_seen_at is not None
                assert event.id is None
            assert await get_statuses(shared_hub, owner, freelancer, friend) == {freelancer.id: "online"}
            assert await get_statuses(shared_hub, friend, freelancer, owner) == {freelancer.id: "online"}
            assert await get_statuses(shared_hub, stranger, freelancer, owner, friend) == {}
        assert not any(is_presence(event, freelancer) for event in stranger_stream.events)
    # A user who closed the last stream a moment ago is still online, as after a page reload.
    assert await get_statuses(shared_hub, owner, freelancer) == {freelancer.id: "online"}


async def test_invisible_user_is_offline_and_activity_is_not_published(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    await send_message(shared_hub, ann, recipientId=bob.id)
    async with shared_hub.stream(bob) as bob_stream, shared_hub.stream(ann) as ann_stream:
        await ann_stream.next_event("connection_confirmed")
        await bob_stream.read_until(lambda event: is_presence(event, ann))
        client = shared_hub.client(ann)
        assert (await client.put("/api/presence/visibility", json={"invisible": True})).status_code == 204
        hidden = (await bob_stream.read_until(lambda event: is_presence(event, ann)))[-1]
        assert hidden.data["status"] == "offline"
        assert await get_statuses(shared_hub, bob, ann) == {ann.id: "offline"}
        assert (await client.post("/api/presence", json={"active": True})).status_code == 204
        await client.put("/api/presence/visibility", json={"invisible": False})
        online = (await bob_stream.read_until(lambda event: is_presence(event, ann)))[-1]
        assert online.data["status"] == "online"


async def test_block_ends_presence_and_typing_in_both_directions(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    conversation_id = await create_group(shared_hub, ann, bob)
    async with shared_hub.stream(bob) as bob_stream, shared_hub.stream(ann) as ann_stream:
        await bob_stream.read_until(lambda event: is_presence(event, ann))
        await ann_stream.next_event("connection_confirmed")
        await shared_hub.client(bob).put(f"/api/blocks/{ann.id}")
        for stream, other in ((bob_stream, ann), (ann_stream, bob)):
            offline = partial(is_presence, user=other, status="offline")
            assert (await stream.read_until(offline))[-1].data["lastSeenAt"] is None
        await send_typing(shared_hub, ann, conversation_id)
        await send_message(shared_hub, ann, conversationId=conversation_id)
        await bob_stream.next_event("message")
        assert "typing" not in bob_stream.types()
    assert (await get_statuses(shared_hub, bob, ann), await get_statuses(shared_hub, ann, bob)) == ({}, {})


async def test_message_is_delivered_when_the_browser_acknowledges_it(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    async with shared_hub.stream(bob) as bob_stream, shared_hub.stream(ann) as ann_stream:
        for stream in (bob_stream, ann_stream):
            await stream.next_event("connection_confirmed")
        first = await send_message(shared_hub, ann, recipientId=bob.id)
        cursor_of_first = (await bob_stream.next_event("message")).id
        await bob_stream.next_event("notification")
        assert await get_delivered_id(shared_hub, ann, first, bob) is None
        client = shared_hub.client(bob)
        response = await client.post("/api/presence", json={"active": False, "cursor": cursor_of_first})
        assert response.status_code == 204
        data = (await ann_stream.next_event("message_state")).data
        member = {"id": bob.id, "name": bob.name, "readUpTo": None, "deliveredUpTo": first["id"]}
        assert (data["kind"], data["members"]) == ("members", [member])
        assert await get_delivered_id(shared_hub, ann, first, bob) == first["id"]
        second = await send_message(shared_hub, ann, recipientId=bob.id)
        cursor_of_second = (await bob_stream.next_event("message")).id
    # A stream that is opened with a cursor acknowledges all events before it.
    async with shared_hub.stream(ann) as ann_stream, shared_hub.stream(bob, cursor=cursor_of_second) as bob_stream:
        await bob_stream.next_event("connection_confirmed")
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while await get_delivered_id(shared_hub, ann, first, bob) != second["id"]:
                await ann_stream.next_event("message_state")
    for cursor in ("nonsense", "1"):
        refused = await shared_hub.client(bob).post("/api/presence", json={"active": True, "cursor": cursor})
        assert problem_fields(refused) == (422, "INVALID_FIELD", "/cursor", "type")
    ahead = await shared_hub.client(bob).post("/api/presence", json={"active": True, "cursor": f"{cursor_of_first}999"})
    assert ahead.status_code == 204


async def get_delivered_id(hub: Hub, user: Person, message: dict[str, Any], member: Person) -> str | None:
    """Return the id of the last message that was delivered to the member, as the user sees it."""
    conversation = await get_json(hub, user, f"/api/conversations/{message['conversationId']}")
    delivered: dict[str, str | None] = {item["id"]: item["deliveredUpTo"] for item in conversation["members"]}
    return delivered[member.id]


def is_presence(event: ServerEvent, user: Person, status: str | None = None) -> bool:
    """Return whether this is a presence event of the user, with the status if one is named."""
    if event.type != "presence" or event.data["userId"] != user.id:
        return False
    return status in (None, event.data["status"])
