"""HUB_SERVICE_RATE_LIMIT: what services send to one recipient is bounded, and refused whole."""

from tests.system.conftest import StartHub


async def test_a_recipient_is_not_flooded_by_services(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_SERVICE_RATE_LIMIT="2/hour")
    ann, bob, key = await hub.signup("client"), await hub.signup("client"), await hub.api_key("notify")
    client = hub.client(key)
    note = {"type": "note", "category": "system", "title": "Hello", "body": "There"}
    path = "/api/realtime/notifications/send"
    assert [(await client.post(path, json=note | {"userId": ann.id})).status_code for _ in range(2)] == [201, 201]
    refused = await client.post(path, json=note | {"userIds": [bob.id, ann.id]})
    assert (refused.status_code, refused.json()["code"]) == (429, "RATE_LIMITED")
    assert int(refused.headers["retry-after"]) > 0
    assert (await hub.client(bob).get("/api/notifications")).json()["unread"] == 0
    assert [(await client.post(path, json=note | {"userId": bob.id})).status_code for _ in range(2)] == [201, 201]
