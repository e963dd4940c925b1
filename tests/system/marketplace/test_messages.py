"""Conversations over HTTP, on a real hub with open streams: said, read, changed, left."""

from typing import Any

import httpx2
import pytest

from tests.support.hub import Hub, Person
from tests.system.conftest import StartHub

SEND = "/api/realtime/messages/send"


async def say(hub: Hub, who: Person, content: str = "Hello", **to: Any) -> dict[str, Any]:
    answer = await hub.client(who).post(SEND, json={"content": content, "type": "text", **to})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def group(hub: Hub, maker: Person, *others: Person, title: str | None = "Team") -> str:
    body = {"title": title, "memberIds": [each.id for each in others]}
    answer = await hub.client(maker).post("/api/conversations", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def get(hub: Hub, who: Person, path: str, **params: Any) -> Any:
    answer = await hub.client(who).get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def problem(answer: httpx2.Response) -> tuple[Any, ...]:
    told = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, told["code"], told.get("pointer"), told.get("reason")


async def test_a_message_reaches_every_tab_of_both_with_their_own_counts(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup("freelancer")
    async with shared_hub.stream(bob) as his, shared_hub.stream(ann) as hers:
        for stream in (his, hers):
            await stream.next_event("connection_confirmed")
        sent = await say(shared_hub, ann, "Can you\nstart Monday?", recipientId=bob.id, clientMessageId="m1")
        came, echoed = await his.next_event("message"), await hers.next_event("message")
        assert came.data == sent | {"unread": 1, "unreadTotal": 1}
        assert echoed.data == sent | {"unread": 0, "unreadTotal": 0}
        notice = (await his.next_event("notification")).data
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
    assert "notification" not in hers.types()
    listed = await get(shared_hub, bob, "/api/conversations")
    assert (listed["unread"], listed["next"]) == (1, None)
    assert listed["items"] == [await get(shared_hub, bob, f"/api/conversations/{sent['conversationId']}")]
    (talk,) = listed["items"]
    assert (talk["kind"], talk["title"], talk["unread"], talk["muted"]) == ("direct", None, 1, False)
    assert talk["lastMessage"] == sent
    read = {member["id"]: member["readUpTo"] for member in talk["members"]}
    assert read == {ann.id: sent["id"], bob.id: None}


async def test_one_conversation_a_pair_whoever_begins(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    first, second = await say(shared_hub, ann, recipientId=bob.id), await say(shared_hub, bob, recipientId=ann.id)
    third = await say(shared_hub, bob, conversationId=first["conversationId"], replyTo=first["id"])
    assert first["conversationId"] == second["conversationId"] == third["conversationId"]
    assert third["replyTo"] == first["id"]


async def test_the_same_mark_again_is_the_same_message_however_often_and_whatever_it_says(hub: Hub) -> None:
    ann, bob, eve = await hub.signup(), await hub.signup(), await hub.signup()
    sent = await say(hub, ann, recipientId=bob.id, clientMessageId="once")
    client = hub.client(ann)
    for content in ("Hello", "Something else"):
        body = {"content": content, "type": "text", "recipientId": bob.id, "clientMessageId": "once"}
        again = await client.post(SEND, json=body)
        assert (again.status_code, again.json()) == (200, sent)
    await hub.restart()
    body = {"content": "Hello", "type": "text", "conversationId": sent["conversationId"], "clientMessageId": "once"}
    assert (await client.post(SEND, json=body)).json() == sent
    # The mark is the sender's own, in that conversation.
    assert (await say(hub, bob, recipientId=ann.id, clientMessageId="once"))["id"] != sent["id"]
    assert (await say(hub, ann, recipientId=eve.id, clientMessageId="once"))["id"] != sent["id"]
    history = await get(hub, bob, f"/api/conversations/{sent['conversationId']}/messages")
    assert len(history["items"]) == 2


async def test_history_goes_both_ways_without_a_gap(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    sent = [
        await say(shared_hub, ann if n % 3 else bob, f"{n}", recipientId=(bob if n % 3 else ann).id) for n in range(7)
    ]
    path, ids = f"/api/conversations/{sent[0]['conversationId']}/messages", [each["id"] for each in sent]
    newest = await get(shared_hub, bob, path, limit=3)
    assert newest["items"] == sent[:3:-1]
    older = await get(shared_hub, bob, path, limit=3, before=newest["next"])
    oldest = await get(shared_hub, bob, path, limit=3, before=older["next"])
    assert [each["id"] for page in (newest, older, oldest) for each in page["items"]] == ids[::-1]
    assert oldest["next"] is None
    newer = await get(shared_hub, bob, path, limit=3, after=ids[0])
    assert [each["id"] for each in newer["items"]] == ids[3:0:-1]
    last = await get(shared_hub, bob, path, limit=3, after=newer["next"])
    assert ([each["id"] for each in last["items"]], last["next"]) == (ids[:3:-1], None)


async def test_reading_on_one_device_clears_the_others_and_the_inbox(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    sent = [await say(shared_hub, ann, f"{n}", recipientId=bob.id) for n in range(3)]
    place = sent[0]["conversationId"]
    (notice,) = (await get(shared_hub, bob, "/api/notifications"))["items"]
    assert (notice["title"], notice["count"]) == (f"3 new messages from {ann.name}", 3)
    client, path = shared_hub.client(bob), "/api/realtime/messages/read"
    async with shared_hub.stream(bob) as other, shared_hub.stream(ann) as hers:
        for stream in (other, hers):
            await stream.next_event("connection_confirmed")
        half = await client.post(path, json={"conversationId": place, "upTo": sent[1]["id"]})
        assert (half.status_code, half.json()) == (200, {"unread": 1, "unreadTotal": 1})
        told = {"conversationId": place, "kind": "read", "userId": bob.id, "upTo": sent[1]["id"]}
        assert (await other.next_event("message_state")).data == told | {"unread": 1, "unreadTotal": 1}
        assert (await hers.next_event("message_state")).data == told
        assert (await client.post(path, json={"conversationId": place, "upTo": sent[2]["id"]})).json()["unread"] == 0
        gone = (await other.next_event("notification_state")).data
        assert (gone["ids"], gone["state"], gone["unread"]) == ([notice["id"]], "retracted", 0)
        # It never goes back.
        back = await client.post(path, json={"conversationId": place, "upTo": sent[0]["id"]})
        assert back.json() == {"unread": 0, "unreadTotal": 0}
    talk = await get(shared_hub, ann, f"/api/conversations/{place}")
    assert {member["readUpTo"] for member in talk["members"]} == {sent[2]["id"]}


async def test_who_is_looking_is_not_notified_and_a_muted_conversation_stays_silent(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    sent = await say(shared_hub, ann, recipientId=bob.id)
    place = sent["conversationId"]
    await shared_hub.client(bob).post("/api/realtime/messages/read", json={"conversationId": place, "upTo": sent["id"]})
    async with shared_hub.stream(bob) as his:
        await his.next_event("connection_confirmed")
        await say(shared_hub, ann, recipientId=bob.id)
        muted = await shared_hub.client(ann).patch(f"/api/conversations/{place}", json={"muted": True})
        assert muted.json()["muted"] is True
        await say(shared_hub, bob, recipientId=ann.id)
        await his.read_until(lambda event: event.type == "message" and event.data["sender"]["id"] == bob.id)
        assert "notification" not in his.types()
    listed = await get(shared_hub, ann, "/api/conversations")
    assert (listed["unread"], listed["items"][0]["unread"]) == (0, 1)
    assert (await get(shared_hub, ann, "/api/notifications"))["items"] == []


async def test_a_new_member_sees_history_only_if_it_was_given(shared_hub: Hub) -> None:
    ann, bob, eve, joe = [await shared_hub.signup() for _ in range(4)]
    place = await group(shared_hub, ann, bob)
    before = await say(shared_hub, ann, conversationId=place)
    for who, history in ((eve, False), (joe, True)):
        body = {"userIds": [who.id], "history": history}
        added = await shared_hub.client(ann).post(f"/api/conversations/{place}/members", json=body)
        assert (added.status_code, who.id in {each["id"] for each in added.json()["members"]}) == (200, True)
    path = f"/api/conversations/{place}/messages"
    assert [len((await get(shared_hub, who, path))["items"]) for who in (eve, joe)] == [0, 1]
    assert (await get(shared_hub, eve, f"/api/conversations/{place}"))["lastMessage"] is None
    for body in ({"content": "?", "type": "text", "conversationId": place, "replyTo": before["id"]},):
        assert problem(await shared_hub.client(eve).post(SEND, json=body)) == (
            422,
            "INVALID_FIELD",
            "/replyTo",
            "range",
        )
    after = await say(shared_hub, bob, conversationId=place)
    assert [each["id"] for each in (await get(shared_hub, eve, path))["items"]] == [after["id"]]


async def test_who_was_removed_gets_nothing_more_not_by_replay_either(shared_hub: Hub) -> None:
    ann, bob, eve = [await shared_hub.signup() for _ in range(3)]
    cursor = (await get(shared_hub, eve, "/api/conversations"))["cursor"]
    place = await group(shared_hub, ann, bob, eve)
    for n in range(3):
        await say(shared_hub, ann, f"secret {n}", conversationId=place)
    removed = await shared_hub.client(ann).delete(f"/api/conversations/{place}/members/{eve.id}")
    assert removed.status_code == 204
    await say(shared_hub, ann, "secret 3", conversationId=place)
    elsewhere = await say(shared_hub, bob, recipientId=eve.id)
    async with shared_hub.stream(eve, cursor=cursor) as hers:
        await hers.read_until(lambda event: event.type == "message" and event.data["id"] == elsewhere["id"])
        about = [event for event in hers.events if place in event.text and event.type != "notification_state"]
    assert [event.data for event in about] == [
        {"conversationId": place, "kind": "members", "members": [], "removed": [eve.id], "unread": 0, "unreadTotal": 0}
    ]
    assert not any("secret" in event.text for event in hers.events)
    for path in (f"/api/conversations/{place}", f"/api/conversations/{place}/messages"):
        assert problem(await shared_hub.client(eve).get(path))[:2] == (404, "NOT_FOUND")
    assert place not in {each["id"] for each in (await get(shared_hub, eve, "/api/conversations"))["items"]}
    assert "secret" not in str(await get(shared_hub, eve, "/api/notifications"))


async def test_an_edit_is_marked_and_what_was_deleted_is_nowhere(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    cursor = (await get(shared_hub, bob, "/api/conversations"))["cursor"]
    sent, kept = (
        await say(shared_hub, ann, "my password", recipientId=bob.id),
        await say(shared_hub, ann, recipientId=bob.id),
    )
    mine = shared_hub.client(ann)
    edited = await mine.patch(f"/api/messages/{kept['id']}", json={"content": "Hello, Bob"})
    assert (edited.status_code, edited.json()["content"]) == (200, "Hello, Bob")
    assert edited.json()["editedAt"] is not None
    assert (await mine.delete(f"/api/messages/{sent['id']}")).status_code == 204
    async with shared_hub.stream(bob, cursor=cursor) as his:
        gone = await his.read_until(lambda event: event.type == "message_state" and event.data["kind"] == "deleted")
    assert not any("password" in event.text for event in his.events)
    assert gone[-1].data["message"] | {"deletedAt": ""} == sent | {"content": "", "deletedAt": ""}
    assert (gone[-1].data["unread"], gone[-1].data["unreadTotal"]) == (1, 1)
    assert [event.data["message"] for event in gone if event.data.get("kind") == "edited"] == [edited.json()]
    history = await get(shared_hub, bob, f"/api/conversations/{sent['conversationId']}/messages")
    assert [each["content"] for each in history["items"]] == ["Hello, Bob", ""]
    assert "password" not in str(await get(shared_hub, bob, "/api/notifications"))
    for path in (f"/api/messages/{sent['id']}", f"/api/messages/{kept['id']}"):
        assert problem(await shared_hub.client(bob).delete(path))[:2] == (403, "FORBIDDEN")
    assert problem(await mine.patch(f"/api/messages/{sent['id']}", json={"content": "x"}))[:2] == (409, "CONFLICT")


async def test_a_block_silences_both(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    place = (await say(shared_hub, ann, recipientId=bob.id))["conversationId"]
    his = shared_hub.client(bob)
    assert (await his.put(f"/api/blocks/{ann.id}")).status_code == 204
    assert [each["id"] for each in (await his.get("/api/blocks")).json()["items"]] == [ann.id]
    for who, to in ((ann, bob), (bob, ann)):
        for body in ({"recipientId": to.id}, {"conversationId": place}):
            refused = await shared_hub.client(who).post(SEND, json={"content": "x", "type": "text"} | body)
            assert problem(refused)[:2] == (403, "FORBIDDEN")
    made = await shared_hub.client(ann).post("/api/conversations", json={"memberIds": [bob.id]})
    assert problem(made)[:2] == (403, "FORBIDDEN")
    assert (await his.delete(f"/api/blocks/{ann.id}")).status_code == 204
    await say(shared_hub, ann, recipientId=bob.id)


async def test_what_is_sent_again_counts_as_what_is_sent(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_RATE_LIMIT="2/hour")
    ann, bob = await hub.signup(), await hub.signup()
    words, key = {"content": "x", "recipientId": bob.id}, {"idempotency-key": "k"}
    answers = [await hub.client(ann).post(SEND, json=words, headers=key) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert answers[0].json() == answers[1].json()


async def test_a_sender_has_a_limit_in_all_and_one_for_each_recipient(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_RATE_LIMIT="5/minute", HUB_DIRECT_MESSAGE_RATE_LIMIT="3/hour")
    ann, bob, eve = [await hub.signup() for _ in range(3)]
    place = (await say(hub, ann, recipientId=bob.id))["conversationId"]
    await say(hub, ann, conversationId=place)
    await say(hub, ann, conversationId=place)
    refused = await hub.client(ann).post(SEND, json={"content": "x", "type": "text", "conversationId": place})
    assert problem(refused)[:2] == (429, "RATE_LIMITED")
    assert int(refused.headers["retry-after"]) > 100
    assert refused.json()["limit"] == "messages to one person"
    await say(hub, ann, recipientId=eve.id)
    refused = await hub.client(ann).post(SEND, json={"content": "x", "type": "text", "recipientId": eve.id})
    assert (problem(refused)[:2], refused.json()["limit"]) == ((429, "RATE_LIMITED"), "sends")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"content": ""}, (422, "INVALID_FIELD", "/content", "length")),
        ({"content": "x" * 5_001}, (422, "INVALID_FIELD", "/content", "length")),
        ({"content": "a\u0000b"}, (422, "INVALID_FIELD", "/content", "control character")),
        ({"type": "video"}, (422, "INVALID_FIELD", "/type", "range")),
        ({"type": "image"}, (422, "INVALID_FIELD", "/attachmentIds", "length")),
        ({"attachmentIds": ["x"]}, (422, "INVALID_FIELD", "/attachmentIds", "length")),
        ({"type": "file", "attachmentIds": ["nobody's"]}, (422, "INVALID_FIELD", "/attachmentIds/0", "range")),
        ({"recipientId": "nobody"}, (422, "INVALID_FIELD", "/recipientId", "unknown user")),
        ({"conversationId": "x"}, (422, "INVALID_FIELD", "/recipientId", "type")),
        ({"replyTo": "nothing"}, (422, "INVALID_FIELD", "/replyTo", "range")),
        ({"clientMessageId": "x" * 65}, (422, "INVALID_FIELD", "/clientMessageId", "length")),
        ({"clientMessageId": "a\n"}, (422, "INVALID_FIELD", "/clientMessageId", "control character")),
        ({"sender": "eve"}, (422, "UNKNOWN_FIELD", "/sender", "unknown field")),
    ],
)
async def test_bad_words_are_refused(shared_hub: Hub, more: dict[str, Any], expected: tuple[Any, ...]) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    body = {"recipientId": bob.id, "content": "Hello", "type": "text"} | more
    assert problem(await shared_hub.client(ann).post(SEND, json=body)) == expected


async def test_the_longest_message_passes_in_any_script(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    for character in ("x", "é", "語", "🎉"):
        assert (await say(shared_hub, ann, character * 5_000, recipientId=bob.id))["content"] == character * 5_000


async def test_what_is_not_yours_looks_like_what_is_not_there(shared_hub: Hub) -> None:
    ann, bob, eve = [await shared_hub.signup() for _ in range(3)]
    sent = await say(shared_hub, ann, recipientId=bob.id)
    client = shared_hub.client(eve)
    answers = []
    for place, message in ((sent["conversationId"], sent["id"]), ("nothing", "nothing")):
        answers.append(
            [
                await client.get(f"/api/conversations/{place}"),
                await client.patch(f"/api/conversations/{place}", json={"muted": True}),
                await client.get(f"/api/conversations/{place}/messages"),
                await client.post(f"/api/conversations/{place}/members", json={"userIds": [eve.id], "history": True}),
                await client.delete(f"/api/conversations/{place}/members/{eve.id}"),
                await client.patch(f"/api/messages/{message}", json={"content": "x"}),
                await client.delete(f"/api/messages/{message}"),
                await client.post(SEND, json={"content": "x", "type": "text", "conversationId": place}),
                await client.post("/api/realtime/messages/read", json={"conversationId": place, "upTo": message}),
            ]
        )
    shown = [[{**answer.json(), "requestId": ""} for answer in each] for each in answers]
    assert shown[0] == shown[1]
    assert {answer.status_code for each in answers for answer in each} == {404}
