"""Typing, presence and delivery on a real hub: who hears of whom, and that none of it is ever in the log."""

import asyncio
import time
from typing import Any

from tests.support.hub import Hub, Person
from tests.support.sse_parser import ServerEvent
from tests.system.marketplace.test_messages import get, group, problem, say

TYPING = "/api/realtime/messages/typing"


async def type_in(hub: Hub, who: Person, place: str, typing: bool = True) -> None:
    answer = await hub.client(who).post(TYPING, json={"conversationId": place, "typing": typing})
    assert (answer.status_code, answer.content) == (202, b"")


async def type_thrice(hub: Hub, who: Person, other: Person) -> str:
    """Type in a new conversation three times within 3 s, and again in another one as long as it took longer; which."""
    while True:
        place, began = await group(hub, who, other), time.monotonic()
        for _ in range(3):
            await type_in(hub, who, place)
        if time.monotonic() - began < 3:
            return place


def is_typing(event: ServerEvent, place: str) -> bool:
    return event.type == "typing" and event.data["conversationId"] == place


async def seen(hub: Hub, who: Person, *others: Person) -> dict[str, str]:
    found = await get(hub, who, "/api/presence", userIds=",".join(each.id for each in others))
    return {each["userId"]: each["status"] for each in found["items"]}


async def test_typing_reaches_the_other_members_at_most_once_in_3_s_and_moves_no_cursor(shared_hub: Hub) -> None:
    ann, bob, eve = [await shared_hub.signup() for _ in range(3)]
    async with shared_hub.stream(bob) as his, shared_hub.stream(eve) as outside, shared_hub.stream(ann) as hers:
        for stream in (his, outside, hers):
            await stream.next_event("connection_confirmed")
        place = await type_thrice(shared_hub, ann, bob)
        event = (await his.read_until(lambda event: is_typing(event, place)))[-1]
        assert event.data == {"conversationId": place, "userId": ann.id, "typing": True, "expiresIn": 8}
        before = his.events[his.events.index(event) - 1]
        assert (event.id, event.last_event_id) == (None, before.last_event_id)
        await type_in(shared_hub, ann, place, typing=False)
        assert (await his.read_until(lambda event: is_typing(event, place)))[-1].data["typing"] is False
        await say(shared_hub, ann, conversationId=place)
        await say(shared_hub, ann, recipientId=eve.id)
        await outside.next_event("message")
        await his.next_event("message")
        assert [is_typing(event, place) for event in his.events].count(True) == 2
        assert "typing" not in outside.types() + hers.types()
    refused = await shared_hub.client(eve).post(TYPING, json={"conversationId": place, "typing": True})
    assert problem(refused)[:2] == (404, "NOT_FOUND")


async def test_presence_is_for_those_who_share_a_conversation_or_a_hire(shared_hub: Hub) -> None:
    owner, worker = await shared_hub.signup("client"), await shared_hub.signup("freelancer")
    friend, stranger = await shared_hub.signup(), await shared_hub.signup()
    await say(shared_hub, worker, recipientId=friend.id)
    await hire(shared_hub, owner, worker)
    async with (
        shared_hub.stream(owner) as employs,
        shared_hub.stream(friend) as knows,
        shared_hub.stream(stranger) as does_not,
    ):
        for stream in (employs, knows, does_not):
            await stream.next_event("connection_confirmed")
        async with shared_hub.stream(worker) as own:
            await own.next_event("connection_confirmed")
            for stream in (employs, knows):
                event = (await stream.read_until(lambda event: _about(event, worker)))[-1]
                assert event.data | {"lastSeenAt": ""} == {"userId": worker.id, "status": "online", "lastSeenAt": ""}
                assert event.data["lastSeenAt"] is not None
                assert event.id is None
            assert await seen(shared_hub, owner, worker, friend) == {worker.id: "online"}
            assert await seen(shared_hub, friend, worker, owner) == {worker.id: "online"}
            assert await seen(shared_hub, stranger, worker, owner, friend) == {}
        assert not any(_about(event, worker) for event in does_not.events)
    # A reload is not an absence.
    assert await seen(shared_hub, owner, worker) == {worker.id: "online"}


async def test_who_hides_is_offline_to_all_and_what_they_do_then_is_told_to_nobody(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    await say(shared_hub, ann, recipientId=bob.id)
    async with shared_hub.stream(bob) as his, shared_hub.stream(ann) as hers:
        await hers.next_event("connection_confirmed")
        await his.read_until(lambda event: _about(event, ann))
        client = shared_hub.client(ann)
        assert (await client.put("/api/presence/visibility", json={"invisible": True})).status_code == 204
        hidden = (await his.read_until(lambda event: _about(event, ann)))[-1]
        assert hidden.data["status"] == "offline"
        assert await seen(shared_hub, bob, ann) == {ann.id: "offline"}
        assert (await client.post("/api/presence", json={"active": True})).status_code == 204
        await client.put("/api/presence/visibility", json={"invisible": False})
        shown = (await his.read_until(lambda event: _about(event, ann)))[-1]
        assert shown.data["status"] == "online"


async def test_a_block_ends_presence_and_typing_both_ways(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    place = await group(shared_hub, ann, bob)
    async with shared_hub.stream(bob) as his, shared_hub.stream(ann) as hers:
        await his.read_until(lambda event: _about(event, ann))
        await hers.next_event("connection_confirmed")
        await shared_hub.client(bob).put(f"/api/blocks/{ann.id}")
        for stream, other in ((his, ann), (hers, bob)):
            over = (await stream.read_until(lambda event: _about(event, other) and event.data["status"] == "offline"))[-1]  # noqa: B023
            assert over.data["lastSeenAt"] is None
        await type_in(shared_hub, ann, place)
        await say(shared_hub, ann, conversationId=place)
        await his.next_event("message")
        assert "typing" not in his.types()
    assert (await seen(shared_hub, bob, ann), await seen(shared_hub, ann, bob)) == ({}, {})


async def test_a_message_is_delivered_once_the_browser_says_it_has_it(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    async with shared_hub.stream(bob) as his, shared_hub.stream(ann) as hers:
        for stream in (his, hers):
            await stream.next_event("connection_confirmed")
        first = await say(shared_hub, ann, recipientId=bob.id)
        stored = (await his.next_event("message")).id
        await his.next_event("notification")
        assert await delivered(shared_hub, ann, first, bob) is None
        client = shared_hub.client(bob)
        assert (await client.post("/api/presence", json={"active": False, "cursor": stored})).status_code == 204
        told = (await hers.next_event("message_state")).data
        member = {"id": bob.id, "name": bob.name, "readUpTo": None, "deliveredUpTo": first["id"]}
        assert (told["kind"], told["members"]) == ("members", [member])
        assert await delivered(shared_hub, ann, first, bob) == first["id"]
        second = await say(shared_hub, ann, recipientId=bob.id)
        come_back = (await his.next_event("message")).id
    # Who comes back with a cursor has what is before it.
    async with shared_hub.stream(ann) as hers, shared_hub.stream(bob, cursor=come_back) as his:
        await his.next_event("connection_confirmed")
        async with asyncio.timeout(10):
            while await delivered(shared_hub, ann, first, bob) != second["id"]:
                await hers.next_event("message_state")
    for cursor in ("nonsense", "1"):
        refused = await shared_hub.client(bob).post("/api/presence", json={"active": True, "cursor": cursor})
        assert problem(refused) == (422, "INVALID_FIELD", "/cursor", "type")
    ahead = await shared_hub.client(bob).post("/api/presence", json={"active": True, "cursor": f"{stored}999"})
    assert ahead.status_code == 204


async def delivered(hub: Hub, who: Person, message: dict[str, Any], whom: Person) -> str | None:
    talk = await get(hub, who, f"/api/conversations/{message['conversationId']}")
    found: dict[str, str | None] = {member["id"]: member["deliveredUpTo"] for member in talk["members"]}
    return found[whom.id]


async def hire(hub: Hub, owner: Person, worker: Person) -> None:
    job = {"title": "Fix it", "description": "All", "budget": 5_000}
    posted = (await hub.client(owner).post("/api/jobs", json=job)).json()["id"]
    offer = await hub.client(worker).post(f"/api/jobs/{posted}/bids", json={"message": "Me", "price": 4_000})
    assert (await hub.client(owner).patch(f"/api/bids/{offer.json()['id']}/hire")).status_code == 200


def _about(event: Any, who: Person) -> bool:
    return bool(event.type == "presence" and event.data["userId"] == who.id)
