"""Conversations over HTTP with open streams: sending, reading, editing, membership, blocks and limits."""

from typing import Any

import httpx2
import pytest

from tests.support.hub import Hub, Person
from tests.system.conftest import StartHub

SEND = "/api/realtime/messages/send"


async def send_message(hub: Hub, sender: Person, content: str = "Hello", **recipient: Any) -> dict[str, Any]:
    response = await hub.client(sender).post(SEND, json={"content": content, "type": "text", **recipient})
    assert response.status_code == 201, response.text
    return dict(response.json())


async def create_group(hub: Hub, creator: Person, *others: Person, title: str | None = "Team") -> str:
    body = {"title": title, "memberIds": [other.id for other in others]}
    response = await hub.client(creator).post("/api/conversations", json=body)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def get_json(hub: Hub, user: Person, path: str, **params: Any) -> Any:
    response = await hub.client(user).get(path, params=params)
    assert response.status_code == 200, response.text
    return response.json()


def problem_fields(response: httpx2.Response) -> tuple[Any, ...]:
    body = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, body["code"], body.get("pointer"), body.get("reason")


async def test_message_reaches_the_streams_of_both_users_with_their_counts(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup("freelancer")
    async with shared_hub.stream(bob) as bob_stream, shared_hub.stream(ann) as ann_stream:
        for stream in (bob_stream, ann_stream):
            await stream.next_event("connection_confirmed")
        sent = await send_message(shared_hub, ann, "Can you\nstart Monday?", recipientId=bob.id, clientMessageId="m1")
        received, echoed = await bob_stream.next_event("message"), await ann_stream.next_event("message")
        assert received.data == sent | {"unread": 1, "unreadTotal": 1}
        assert echoed.data == sent | {"unread": 0, "unreadTotal": 0}
        notice = (await bob_stream.next_event("notification")).data
    assert sent == {
        "id": sent["id"],
        "conversationId": sent["conversationId"],
        "sender": {"id": ann.id, "name": ann.name},
        "type": "text",
        "content": "Can you\nstart Monday?",
        "attachments": [],
        "replyTo": None,
        "clientMessageId": "m1",
        "createdAt": sent["createdAt"],
        "editedAt": None,
        "deletedAt": None,
    }
    assert (notice["type"], notice["category"], notice["title"]) == (
        "message",
        "message",
        f"New message from {ann.name}",
    )
    assert "notification" not in ann_stream.types()
    listed = await get_json(shared_hub, bob, "/api/conversations")
    assert (listed["unread"], listed["next"]) == (1, None)
    assert listed["items"] == [await get_json(shared_hub, bob, f"/api/conversations/{sent['conversationId']}")]
    (conversation,) = listed["items"]
    assert (conversation["kind"], conversation["title"], conversation["unread"], conversation["muted"]) == (
        "direct",
        None,
        1,
        False,
    )
    assert conversation["lastMessage"] == sent
    read = {member["id"]: member["readUpTo"] for member in conversation["members"]}
    assert read == {ann.id: sent["id"], bob.id: None}


async def test_two_users_share_one_direct_conversation(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    first, second = (
        await send_message(shared_hub, ann, recipientId=bob.id),
        await send_message(shared_hub, bob, recipientId=ann.id),
    )
    third = await send_message(shared_hub, bob, conversationId=first["conversationId"], replyTo=first["id"])
    assert first["conversationId"] == second["conversationId"] == third["conversationId"]
    assert third["replyTo"] == first["id"]


async def test_repeated_client_message_id_returns_the_first_message(hub: Hub) -> None:
    ann, bob, eve = await hub.signup(), await hub.signup(), await hub.signup()
    sent = await send_message(hub, ann, recipientId=bob.id, clientMessageId="once")
    client = hub.client(ann)
    for content in ("Hello", "Something else"):
        body = {"content": content, "type": "text", "recipientId": bob.id, "clientMessageId": "once"}
        again = await client.post(SEND, json=body)
        assert (again.status_code, again.json()) == (200, sent)
    await hub.restart()
    body = {"content": "Hello", "type": "text", "conversationId": sent["conversationId"], "clientMessageId": "once"}
    assert (await client.post(SEND, json=body)).json() == sent
    # A client id is unique per sender and conversation.
    assert (await send_message(hub, bob, recipientId=ann.id, clientMessageId="once"))["id"] != sent["id"]
    assert (await send_message(hub, ann, recipientId=eve.id, clientMessageId="once"))["id"] != sent["id"]
    history = await get_json(hub, bob, f"/api/conversations/{sent['conversationId']}/messages")
    assert len(history["items"]) == 2


async def test_history_pages_go_both_ways_without_gaps(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    sent = [
        await send_message(shared_hub, ann if n % 3 else bob, f"{n}", recipientId=(bob if n % 3 else ann).id)
        for n in range(7)
    ]
    path, ids = f"/api/conversations/{sent[0]['conversationId']}/messages", [item["id"] for item in sent]
    newest = await get_json(shared_hub, bob, path, limit=3)
    assert newest["items"] == sent[:3:-1]
    older = await get_json(shared_hub, bob, path, limit=3, before=newest["next"])
    oldest = await get_json(shared_hub, bob, path, limit=3, before=older["next"])
    assert [item["id"] for page in (newest, older, oldest) for item in page["items"]] == ids[::-1]
    assert oldest["next"] is None
    newer = await get_json(shared_hub, bob, path, limit=3, after=ids[0])
    assert [item["id"] for item in newer["items"]] == ids[3:0:-1]
    last = await get_json(shared_hub, bob, path, limit=3, after=newer["next"])
    assert ([item["id"] for item in last["items"]], last["next"]) == (ids[:3:-1], None)


async def test_reading_on_one_device_updates_other_devices_and_the_inbox(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    sent = [await send_message(shared_hub, ann, f"{n}", recipientId=bob.id) for n in range(3)]
    conversation_id = sent[0]["conversationId"]
    (notice,) = (await get_json(shared_hub, bob, "/api/notifications"))["items"]
    assert (notice["title"], notice["count"]) == (f"3 new messages from {ann.name}", 3)
    client, path = shared_hub.client(bob), "/api/realtime/messages/read"
    async with shared_hub.stream(bob) as other_stream, shared_hub.stream(ann) as ann_stream:
        for stream in (other_stream, ann_stream):
            await stream.next_event("connection_confirmed")
        half = await client.post(path, json={"conversationId": conversation_id, "upTo": sent[1]["id"]})
        assert (half.status_code, half.json()) == (200, {"unread": 1, "unreadTotal": 1})
        expected = {"conversationId": conversation_id, "kind": "read", "userId": bob.id, "upTo": sent[1]["id"]}
        assert (await other_stream.next_event("message_state")).data == expected | {"unread": 1, "unreadTotal": 1}
        assert (await ann_stream.next_event("message_state")).data == expected
        assert (await client.post(path, json={"conversationId": conversation_id, "upTo": sent[2]["id"]})).json()[
            "unread"
        ] == 0
        retracted = (await other_stream.next_event("notification_state")).data
        assert (retracted["ids"], retracted["state"], retracted["unread"]) == ([notice["id"]], "retracted", 0)
        # The read position never decreases.
        earlier = await client.post(path, json={"conversationId": conversation_id, "upTo": sent[0]["id"]})
        assert earlier.json() == {"unread": 0, "unreadTotal": 0}
    conversation = await get_json(shared_hub, ann, f"/api/conversations/{conversation_id}")
    assert {member["readUpTo"] for member in conversation["members"]} == {sent[2]["id"]}


async def test_active_readers_and_muted_members_are_not_notified(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    sent = await send_message(shared_hub, ann, recipientId=bob.id)
    conversation_id = sent["conversationId"]
    await shared_hub.client(bob).post(
        "/api/realtime/messages/read", json={"conversationId": conversation_id, "upTo": sent["id"]}
    )
    async with shared_hub.stream(bob) as bob_stream:
        await bob_stream.next_event("connection_confirmed")
        await send_message(shared_hub, ann, recipientId=bob.id)
        muted = await shared_hub.client(ann).patch(f"/api/conversations/{conversation_id}", json={"muted": True})
        assert muted.json()["muted"] is True
        await send_message(shared_hub, bob, recipientId=ann.id)
        await bob_stream.read_until(lambda event: event.type == "message" and event.data["sender"]["id"] == bob.id)
        assert "notification" not in bob_stream.types()
    listed = await get_json(shared_hub, ann, "/api/conversations")
    assert (listed["unread"], listed["items"][0]["unread"]) == (0, 1)
    assert (await get_json(shared_hub, ann, "/api/notifications"))["items"] == []


async def test_new_member_sees_history_only_when_it_is_shared(shared_hub: Hub) -> None:
    ann, bob, eve, joe = [await shared_hub.signup() for _ in range(4)]
    conversation_id = await create_group(shared_hub, ann, bob)
    before = await send_message(shared_hub, ann, conversationId=conversation_id)
    for user, history in ((eve, False), (joe, True)):
        body = {"userIds": [user.id], "history": history}
        added = await shared_hub.client(ann).post(f"/api/conversations/{conversation_id}/members", json=body)
        assert (added.status_code, user.id in {item["id"] for item in added.json()["members"]}) == (200, True)
    path = f"/api/conversations/{conversation_id}/messages"
    assert [len((await get_json(shared_hub, user, path))["items"]) for user in (eve, joe)] == [0, 1]
    assert (await get_json(shared_hub, eve, f"/api/conversations/{conversation_id}"))["lastMessage"] is None
    for body in ({"content": "?", "type": "text", "conversationId": conversation_id, "replyTo": before["id"]},):
        assert problem_fields(await shared_hub.client(eve).post(SEND, json=body)) == (
            422,
            "INVALID_FIELD",
            "/replyTo",
            "range",
        )
    after = await send_message(shared_hub, bob, conversationId=conversation_id)
    assert [item["id"] for item in (await get_json(shared_hub, eve, path))["items"]] == [after["id"]]


async def test_removed_member_receives_nothing_not_even_by_replay(shared_hub: Hub) -> None:
    ann, bob, eve = [await shared_hub.signup() for _ in range(3)]
    cursor = (await get_json(shared_hub, eve, "/api/conversations"))["cursor"]
    conversation_id = await create_group(shared_hub, ann, bob, eve)
    for n in range(3):
        await send_message(shared_hub, ann, f"secret {n}", conversationId=conversation_id)
    removed = await shared_hub.client(ann).delete(f"/api/conversations/{conversation_id}/members/{eve.id}")
    assert removed.status_code == 204
    await send_message(shared_hub, ann, "secret 3", conversationId=conversation_id)
    elsewhere = await send_message(shared_hub, bob, recipientId=eve.id)
    async with shared_hub.stream(eve, cursor=cursor) as eve_stream:
        await eve_stream.read_until(lambda event: event.type == "message" and event.data["id"] == elsewhere["id"])
        about = [
            event for event in eve_stream.events if conversation_id in event.text and event.type != "notification_state"
        ]
    assert [event.data for event in about] == [
        {
            "conversationId": conversation_id,
            "kind": "members",
            "members": [],
            "removed": [eve.id],
            "unread": 0,
            "unreadTotal": 0,
        }
    ]
    assert not any("secret" in event.text for event in eve_stream.events)
    for path in (f"/api/conversations/{conversation_id}", f"/api/conversations/{conversation_id}/messages"):
        assert problem_fields(await shared_hub.client(eve).get(path))[:2] == (404, "NOT_FOUND")
    assert conversation_id not in {
        item["id"] for item in (await get_json(shared_hub, eve, "/api/conversations"))["items"]
    }
    assert "secret" not in str(await get_json(shared_hub, eve, "/api/notifications"))


async def test_edited_message_is_marked_and_deleted_text_is_removed(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    cursor = (await get_json(shared_hub, bob, "/api/conversations"))["cursor"]
    deleted, kept = (
        await send_message(shared_hub, ann, "my password", recipientId=bob.id),
        await send_message(shared_hub, ann, recipientId=bob.id),
    )
    ann_client = shared_hub.client(ann)
    edited = await ann_client.patch(f"/api/messages/{kept['id']}", json={"content": "Hello, Bob"})
    assert (edited.status_code, edited.json()["content"]) == (200, "Hello, Bob")
    assert edited.json()["editedAt"] is not None
    assert (await ann_client.delete(f"/api/messages/{deleted['id']}")).status_code == 204
    async with shared_hub.stream(bob, cursor=cursor) as bob_stream:
        state_events = await bob_stream.read_until(
            lambda event: event.type == "message_state" and event.data["kind"] == "deleted"
        )
    assert not any("password" in event.text for event in bob_stream.events)
    assert state_events[-1].data["message"] | {"deletedAt": ""} == deleted | {"content": "", "deletedAt": ""}
    assert (state_events[-1].data["unread"], state_events[-1].data["unreadTotal"]) == (1, 1)
    assert [event.data["message"] for event in state_events if event.data.get("kind") == "edited"] == [edited.json()]
    history = await get_json(shared_hub, bob, f"/api/conversations/{deleted['conversationId']}/messages")
    assert [item["content"] for item in history["items"]] == ["Hello, Bob", ""]
    assert "password" not in str(await get_json(shared_hub, bob, "/api/notifications"))
    for path in (f"/api/messages/{deleted['id']}", f"/api/messages/{kept['id']}"):
        assert problem_fields(await shared_hub.client(bob).delete(path))[:2] == (403, "FORBIDDEN")
    assert problem_fields(await ann_client.patch(f"/api/messages/{deleted['id']}", json={"content": "x"}))[:2] == (
        409,
        "CONFLICT",
    )


async def test_block_prevents_messages_in_both_directions(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    conversation_id = (await send_message(shared_hub, ann, recipientId=bob.id))["conversationId"]
    bob_client = shared_hub.client(bob)
    assert (await bob_client.put(f"/api/blocks/{ann.id}")).status_code == 204
    assert [item["id"] for item in (await bob_client.get("/api/blocks")).json()["items"]] == [ann.id]
    for sender, recipient in ((ann, bob), (bob, ann)):
        for body in ({"recipientId": recipient.id}, {"conversationId": conversation_id}):
            rejected = await shared_hub.client(sender).post(SEND, json={"content": "x", "type": "text"} | body)
            assert problem_fields(rejected)[:2] == (403, "FORBIDDEN")
    rejected = await shared_hub.client(ann).post("/api/conversations", json={"memberIds": [bob.id]})
    assert problem_fields(rejected)[:2] == (403, "FORBIDDEN")
    assert (await bob_client.delete(f"/api/blocks/{ann.id}")).status_code == 204
    await send_message(shared_hub, ann, recipientId=bob.id)


async def test_repeated_requests_count_for_the_rate_limit(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_RATE_LIMIT="2/hour")
    ann, bob = await hub.signup(), await hub.signup()
    body, key = {"content": "x", "recipientId": bob.id}, {"idempotency-key": "k"}
    responses = [await hub.client(ann).post(SEND, json=body, headers=key) for _ in range(3)]
    assert [response.status_code for response in responses] == [201, 201, 429]
    assert responses[0].json() == responses[1].json()


async def test_sender_has_a_total_limit_and_one_per_recipient(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_RATE_LIMIT="5/hour", HUB_DIRECT_MESSAGE_RATE_LIMIT="3/hour")
    ann, bob, eve = [await hub.signup() for _ in range(3)]
    conversation_id = (await send_message(hub, ann, recipientId=bob.id))["conversationId"]
    await send_message(hub, ann, conversationId=conversation_id)
    await send_message(hub, ann, conversationId=conversation_id)
    rejected = await hub.client(ann).post(
        SEND, json={"content": "x", "type": "text", "conversationId": conversation_id}
    )
    assert problem_fields(rejected)[:2] == (429, "RATE_LIMITED")
    assert int(rejected.headers["retry-after"]) > 100
    assert rejected.json()["limit"] == "messages to one person"
    await send_message(hub, ann, recipientId=eve.id)
    rejected = await hub.client(ann).post(SEND, json={"content": "x", "type": "text", "recipientId": eve.id})
    assert (problem_fields(rejected)[:2], rejected.json()["limit"]) == ((429, "RATE_LIMITED"), "sends")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"content": ""}, (422, "INVALID_FIELD", "/content", "length")),
        ({"content": "x" * 5_001}, (422, "INVALID_FIELD", "/content", "length")),
        ({"content": "a\u0000b"}, (422, "INVALID_FIELD", "/content", "control character")),
        ({"type": "video"}, (422, "INVALID_FIELD", "/type", "range")),
        ({"type": "image"}, (422, "INVALID_FIELD", "/attachmentIds", "length")),
        ({"attachmentIds": ["x"]}, (422, "INVALID_FIELD", "/attachmentIds", "length")),
        ({"type": "file", "attachmentIds": ["unknown"]}, (422, "INVALID_FIELD", "/attachmentIds/0", "range")),
        ({"recipientId": "unknown"}, (422, "INVALID_FIELD", "/recipientId", "unknown user")),
        ({"conversationId": "x"}, (422, "INVALID_FIELD", "/recipientId", "type")),
        ({"replyTo": "unknown"}, (422, "INVALID_FIELD", "/replyTo", "range")),
        ({"clientMessageId": "x" * 65}, (422, "INVALID_FIELD", "/clientMessageId", "length")),
        ({"clientMessageId": "a\n"}, (422, "INVALID_FIELD", "/clientMessageId", "control character")),
        ({"sender": "eve"}, (422, "UNKNOWN_FIELD", "/sender", "unknown field")),
    ],
)
async def test_invalid_message_bodies_are_rejected_with_a_pointer(
    shared_hub: Hub, more: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    body = {"recipientId": bob.id, "content": "Hello", "type": "text"} | more
    assert problem_fields(await shared_hub.client(ann).post(SEND, json=body)) == expected


async def test_longest_message_is_accepted_in_any_script(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    for character in ("x", "é", "語", "🎉"):
        assert (await send_message(shared_hub, ann, character * 5_000, recipientId=bob.id))[
            "content"
        ] == character * 5_000


async def test_conversations_of_others_look_like_unknown_ones(shared_hub: Hub) -> None:
    ann, bob, eve = [await shared_hub.signup() for _ in range(3)]
    sent = await send_message(shared_hub, ann, recipientId=bob.id)
    client = shared_hub.client(eve)
    responses = []
    for conversation_id, message in ((sent["conversationId"], sent["id"]), ("unknown", "unknown")):
        responses.append(
            [
                await client.get(f"/api/conversations/{conversation_id}"),
                await client.patch(f"/api/conversations/{conversation_id}", json={"muted": True}),
                await client.get(f"/api/conversations/{conversation_id}/messages"),
                await client.post(
                    f"/api/conversations/{conversation_id}/members", json={"userIds": [eve.id], "history": True}
                ),
                await client.delete(f"/api/conversations/{conversation_id}/members/{eve.id}"),
                await client.patch(f"/api/messages/{message}", json={"content": "x"}),
                await client.delete(f"/api/messages/{message}"),
                await client.post(SEND, json={"content": "x", "type": "text", "conversationId": conversation_id}),
                await client.post(
                    "/api/realtime/messages/read", json={"conversationId": conversation_id, "upTo": message}
                ),
            ]
        )
    bodies = [[{**response.json(), "requestId": ""} for response in group] for group in responses]
    assert bodies[0] == bodies[1]
    assert {response.status_code for group in responses for response in group} == {404}
