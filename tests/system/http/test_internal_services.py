"""Internal services and the pages of other origins, on a real hub: keys, scopes, foreign users, tickets."""

from urllib.parse import quote

import httpx2
import pytest

from tests.support.hub import Hub

CONNECT = "/api/realtime/connect"


@pytest.fixture
async def services_client(shared_hub: Hub) -> httpx2.AsyncClient:
    """A service that keeps users."""
    return shared_hub.client(await shared_hub.api_key("users", "tickets"))


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
            assert (await stream.next_event("connection_confirmed")).data["userId"] == ann.id
            assert stream.headers["access-control-allow-origin"] == page["origin"]
            assert "access-control-allow-credentials" not in stream.headers
            async with shared_hub.stream(params={"ticket": taken}, headers=page) as again:
                assert again.status == 401
                assert again.headers["access-control-allow-origin"] == page["origin"]
            await client.post("/api/auth/logout")
            assert (await stream.next_event("bye")).data["reason"] == "logout"


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
                assert (await stream.next_event("connection_confirmed")).data["userId"] == made.json()["id"]
            assert (await hub.cli("keys", "revoke", "crm")).returncode == 0
            for stream in (one, two):
                assert (await stream.next_event("bye")).data["reason"] == "revoked"
            async with hub.stream(params={"ticket": left}) as stream:
                assert stream.status == 401
        assert code(await crm.put(path, json={"name": "Grace"})) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    "theirs",
    [
        "acme/42",
        "/",
        "a//b/",
        "../x",
        "a.b",
        ".hidden",
        "100%",
        "%2F",
        "a%2Fb",
        "a?b#c",
        "a b+c",
        "naïve-Ü/名前",
        "🎉",
        ";=&",
    ],
)
async def test_a_foreign_id_may_be_any_text_and_comes_whole(
    shared_hub: Hub, services_client: httpx2.AsyncClient, theirs: str
) -> None:
    path = f"/api/users/by-external-id/{quote(theirs, safe='')}"
    made = await services_client.put(path, json={"name": "Grace"})
    assert made.status_code == 200, made.text
    other = await services_client.put(path + "x", json={"name": "Other"})
    again = await services_client.put(path, json={"name": "Grace H"})
    assert (again.json()["id"], other.json()["id"] == made.json()["id"]) == (made.json()["id"], False)
    async with shared_hub.stream(params={"ticket": await ticket(services_client, {"externalId": theirs})}) as stream:
        assert (await stream.next_event("connection_confirmed")).data["userId"] == made.json()["id"]


@pytest.mark.parametrize(
    "sent", ["", "%00", "a%0A", "%0A", "a%0Ab", "%C2%85", "%FF", "a%ED%A0%80", "x" * 129, "x%2F" * 65]
)
async def test_what_cannot_be_a_foreign_id_is_refused(services_client: httpx2.AsyncClient, sent: str) -> None:
    answer = await services_client.put(f"/api/users/by-external-id/{sent}", json={"name": "Grace"})
    assert code(answer) == (422, "INVALID_FIELD")
    assert answer.json()["pointer"] == "externalId"


@pytest.mark.parametrize(
    "path", ["/api/jobs%0A", "/api/jobs/", "/api/jobs//", "//api/jobs", "/api/users/by-external-id"]
)
async def test_a_path_that_is_almost_one_of_ours_is_unknown(shared_hub: Hub, path: str) -> None:
    assert code(await shared_hub.client().get(f"{shared_hub.url}{path}")) == (404, "NOT_FOUND")


async def test_asking_for_the_head_of_a_stream_leaves_the_ticket_good(shared_hub: Hub) -> None:
    taken = await ticket(shared_hub.client(await shared_hub.signup()))
    for _ in range(2):
        head = await shared_hub.client().head(CONNECT, params={"ticket": taken})
        assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    async with shared_hub.stream(params={"ticket": taken}) as stream:
        assert await stream.next_event("connection_confirmed")
    assert (await shared_hub.client().head(CONNECT, params={"ticket": taken})).status_code == 401


async def test_the_body_of_a_ticket_may_be_left_out_but_not_be_something_else(shared_hub: Hub) -> None:
    client = shared_hub.client(await shared_hub.signup())
    for content, kind, refused in (
        (b"", "text/plain", None),
        (b"{}", "application/json", None),
        (b"{}", "text/plain", (415, "UNSUPPORTED_MEDIA_TYPE")),
        (b"null", "application/json", (422, "INVALID_FIELD")),
        (b"{", "application/json", (400, "INVALID_JSON")),
        (b'{"user":"x"}', "application/json", (422, "UNKNOWN_FIELD")),
    ):
        answer = await client.post("/api/realtime/tickets", content=content, headers={"content-type": kind})
        assert answer.status_code == 200 if refused is None else code(answer) == refused, content


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
            assert "role:client" in (await stream.next_event("connection_confirmed")).data["channels"]
            await crm.put(path, json={"name": "Grace", "role": "freelancer"})
            assert (await stream.next_event("bye")).data["reason"] == "rotate"
        async with hub.stream(params={"ticket": await ticket(crm, {"externalId": "7"})}) as stream:
            assert "role:freelancer" in (await stream.next_event("connection_confirmed")).data["channels"]
