"""HUB_SERVICE_RATE_LIMIT: the limit of notifications that services send to one recipient."""

from tests.system.conftest import StartHub


async def test_send_is_rejected_for_all_recipients_when_one_is_over_the_limit(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_SERVICE_RATE_LIMIT="2/hour")
    ann, bob, key = await hub.signup("client"), await hub.signup("client"), await hub.api_key("notify")
    client = hub.client(key)
    notification = {"type": "note", "category": "system", "title": "Hello", "body": "There"}
    path = "/api/realtime/notifications/send"
    assert [(await client.post(path, json=notification | {"userId": ann.id})).status_code for _ in range(2)] == [
        201,
        201,
    ]
    rejected = await client.post(path, json=notification | {"userIds": [bob.id, ann.id]})
    assert (rejected.status_code, rejected.json()["code"]) == (429, "RATE_LIMITED")
    assert int(rejected.headers["retry-after"]) > 0
    assert (await hub.client(bob).get("/api/notifications")).json()["unread"] == 0
    assert [(await client.post(path, json=notification | {"userId": bob.id})).status_code for _ in range(2)] == [
        201,
        201,
    ]
