"""Internal services and the pages of other origins, on a real hub: keys, scopes, foreign users, tickets."""

import httpx2

from tests.hub import Hub


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def ticket(client: httpx2.AsyncClient, body: dict[str, str] | None = None) -> str:
    answer = (
        await client.post("/api/realtime/tickets", json=body) if body else await client.post("/api/realtime/tickets")
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["expiresIn"] == 30
    return str(answer.json()["ticket"])


async def test_a_ticket_opens_one_stream_once_from_an_allowed_origin(shared_hub: Hub) -> None:
    ann = await shared_hub.signup()
    async with shared_hub.client(ann) as client:
        taken = await ticket(client)
        page = {"origin": "http://localhost:5173"}
        async with shared_hub.stream(params={"ticket": taken}, headers=page) as stream:
            assert (await stream.next("connection_confirmed")).data["userId"] == ann.id
            assert stream.headers["access-control-allow-origin"] == page["origin"]
            assert "access-control-allow-credentials" not in stream.headers
            async with shared_hub.stream(params={"ticket": taken}, headers=page) as again:
                assert again.status == 401
                assert again.headers["access-control-allow-origin"] == page["origin"]
            await client.post("/api/auth/logout")
            assert (await stream.next("bye")).data["reason"] == "logout"


async def test_a_ticket_does_not_outlive_the_session_or_the_process_that_took_it(hub: Hub) -> None:
    ann, bob = await hub.signup(), await hub.signup()
    async with hub.client(ann) as client, hub.client(bob) as other:
        early, bobs = await ticket(client), await ticket(other)
        await client.post("/api/auth/logout")
        async with hub.stream(params={"ticket": early}) as stream:
            assert stream.status == 401
    await hub.restart()
    async with hub.stream(params={"ticket": bobs}) as stream:
        assert stream.status == 401
    async with hub.stream(bob) as stream:
        assert stream.status == 200, "the session itself lives on"


async def test_a_session_token_never_works_in_a_url_and_a_ticket_nowhere_else(shared_hub: Hub) -> None:
    ann = await shared_hub.signup()
    async with shared_hub.stream(ann, params={"ticket": ann.token}) as stream:
        assert stream.status == 401
    async with shared_hub.client(ann) as client:
        taken = await ticket(client)
    async with shared_hub.client(taken) as client:
        assert code(await client.get("/api/auth/me")) == (401, "UNAUTHENTICATED")
    async with shared_hub.client() as client:
        assert (await client.get("/api/auth/me", params={"ticket": taken})).status_code in (401, 422)
    assert taken not in shared_hub.log
    assert ann.token not in shared_hub.log


async def test_a_user_takes_tickets_for_themselves_only(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    async with shared_hub.client(ann) as client:
        assert await ticket(client, {"userId": ann.id})
        for body in ({"userId": bob.id}, {"externalId": "7"}):
            assert code(await client.post("/api/realtime/tickets", json=body)) == (403, "FORBIDDEN")
    async with shared_hub.client() as client:
        assert code(await client.post("/api/realtime/tickets")) == (401, "UNAUTHENTICATED")


async def test_a_service_keeps_its_users_and_opens_their_streams(hub: Hub) -> None:
    key = await hub.api_key("users", "tickets", name="crm")
    async with hub.client(key) as crm:
        path = "/api/users/by-external-id/crm|7"
        made = await crm.put(path, json={"name": "Grace", "role": "freelancer"})
        assert made.status_code == 200
        assert made.json()["email"] is None
        again = await crm.put(path, json={"name": "Grace H", "email": "grace@example.org"})
        assert again.json() == made.json() | {"name": "Grace H", "email": "grace@example.org"}
        assert code(await crm.put(path, json={"name": "Grace", "role": "admin"})) == (422, "INVALID_FIELD")
        assert code(await crm.put("/api/users/by-external-id/" + "x" * 129, json={"name": "G"}))[0] == 422
        ann = await hub.signup()
        taken = await crm.put(path, json={"name": "Grace", "email": ann.email})
        assert code(taken) == (409, "CONFLICT")
        by_ours = await ticket(crm, {"userId": made.json()["id"]})
        by_theirs = await ticket(crm, {"externalId": "crm|7"})
        left = await ticket(crm, {"externalId": "crm|7"})
        for body in ({"userId": "crm|7"}, {"externalId": "8"}):
            answer = await crm.post("/api/realtime/tickets", json=body)
            assert code(answer) == (422, "INVALID_FIELD")
            assert answer.json()["reason"] == "unknown user"
        for body in ({}, {"userId": ann.id, "externalId": "crm|7"}):
            assert code(await crm.post("/api/realtime/tickets", json=body)) == (422, "INVALID_FIELD")
        async with hub.stream(params={"ticket": by_ours}) as one, hub.stream(params={"ticket": by_theirs}) as two:
            for stream in (one, two):
                assert (await stream.next("connection_confirmed")).data["userId"] == made.json()["id"]
            assert (await hub.cli("keys", "revoke", "crm")).returncode == 0
            for stream in (one, two):
                assert (await stream.next("bye")).data["reason"] == "revoked"
            async with hub.stream(params={"ticket": left}) as stream:
                assert stream.status == 401
        assert code(await crm.put(path, json={"name": "Grace"})) == (401, "UNAUTHENTICATED")


async def test_a_key_does_what_its_scopes_say_and_no_more(shared_hub: Hub) -> None:
    key = await shared_hub.api_key("notify")
    ann = await shared_hub.signup()
    async with shared_hub.client(key) as service, shared_hub.client(ann) as user:
        assert code(await service.post("/api/realtime/tickets", json={"userId": ann.id})) == (403, "FORBIDDEN")
        path = "/api/users/by-external-id/7"
        for client in (service, user):
            assert code(await client.put(path, json={"name": "Grace"})) == (403, "FORBIDDEN")
        assert code(await service.get("/api/auth/me")) == (403, "FORBIDDEN")
    async with shared_hub.stream(key) as stream:
        assert stream.status == 403
    assert key not in shared_hub.log


async def test_a_foreign_user_with_another_role_comes_back_to_other_channels(hub: Hub) -> None:
    key = await hub.api_key("users", "tickets")
    async with hub.client(key) as crm:
        path = "/api/users/by-external-id/7"
        await crm.put(path, json={"name": "Grace", "role": "client"})
        async with hub.stream(params={"ticket": await ticket(crm, {"externalId": "7"})}) as stream:
            assert "role:client" in (await stream.next("connection_confirmed")).data["channels"]
            await crm.put(path, json={"name": "Grace", "role": "freelancer"})
            assert (await stream.next("bye")).data["reason"] == "rotate"
        async with hub.stream(params={"ticket": await ticket(crm, {"externalId": "7"})}) as stream:
            assert "role:freelancer" in (await stream.next("connection_confirmed")).data["channels"]
