"""Internal services and pages of other origins: API keys, scopes, external users and stream tickets."""

from urllib.parse import quote

import httpx2
import pytest

from tests.support.hub import Hub

CONNECT = "/api/realtime/connect"


@pytest.fixture
async def services_client(shared_hub: Hub) -> httpx2.AsyncClient:
    """A client of a service with the scopes `users` and `tickets`."""
    return shared_hub.client(await shared_hub.api_key("users", "tickets"))


def problem(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


async def take_ticket(client: httpx2.AsyncClient, body: dict[str, str] | None = None) -> str:
    response = (
        await client.post("/api/realtime/tickets", json=body) if body else await client.post("/api/realtime/tickets")
    )
    assert response.status_code == 200, response.text
    assert response.json()["expiresIn"] == 30
    return str(response.json()["ticket"])


async def test_ticket_opens_one_stream_from_an_allowed_origin(shared_hub: Hub) -> None:
    ann = await shared_hub.signup()
    async with shared_hub.client(ann) as client:
        stream_ticket = await take_ticket(client)
        page = {"origin": "http://localhost:5173"}
        async with shared_hub.stream(params={"ticket": stream_ticket}, headers=page) as stream:
            assert (await stream.next_event("connection_confirmed")).data["userId"] == ann.id
            assert stream.headers["access-control-allow-origin"] == page["origin"]
            assert "access-control-allow-credentials" not in stream.headers
            async with shared_hub.stream(params={"ticket": stream_ticket}, headers=page) as repeated:
                assert repeated.status == 401
                assert repeated.headers["access-control-allow-origin"] == page["origin"]
            await client.post("/api/auth/logout")
            assert (await stream.next_event("bye")).data["reason"] == "logout"


async def test_ticket_is_invalid_after_logout_or_restart(hub: Hub) -> None:
    ann, bob = await hub.signup(), await hub.signup()
    async with hub.client(ann) as client, hub.client(bob) as bob_client:
        ann_ticket, bob_ticket = await take_ticket(client), await take_ticket(bob_client)
        await client.post("/api/auth/logout")
        async with hub.stream(params={"ticket": ann_ticket}) as stream:
            assert stream.status == 401
    await hub.restart()
    async with hub.stream(params={"ticket": bob_ticket}) as stream:
        assert stream.status == 401
    async with hub.stream(bob) as stream:
        assert stream.status == 200, "the session is still valid"


async def test_session_token_is_rejected_in_urls_and_ticket_outside_connect(shared_hub: Hub) -> None:
    ann = await shared_hub.signup()
    async with shared_hub.stream(ann, params={"ticket": ann.token}) as stream:
        assert stream.status == 401
    async with shared_hub.client(ann) as client:
        stream_ticket = await take_ticket(client)
    async with shared_hub.client(stream_ticket) as client:
        assert problem(await client.get("/api/auth/me")) == (401, "UNAUTHENTICATED")
    async with shared_hub.client() as client:
        assert (await client.get("/api/auth/me", params={"ticket": stream_ticket})).status_code in (401, 422)
    assert stream_ticket not in shared_hub.log
    assert ann.token not in shared_hub.log


async def test_user_takes_tickets_only_for_the_own_account(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    async with shared_hub.client(ann) as client:
        assert await take_ticket(client, {"userId": ann.id})
        for body in ({"userId": bob.id}, {"externalId": "7"}):
            assert problem(await client.post("/api/realtime/tickets", json=body)) == (403, "FORBIDDEN")
    async with shared_hub.client() as client:
        assert problem(await client.post("/api/realtime/tickets")) == (401, "UNAUTHENTICATED")


async def test_service_creates_users_and_opens_streams_for_them(hub: Hub) -> None:
    key = await hub.api_key("users", "tickets", name="crm")
    async with hub.client(key) as crm:
        path = "/api/users/by-external-id/crm|7"
        created = await crm.put(path, json={"name": "Grace", "role": "freelancer"})
        assert created.status_code == 200
        assert created.json()["email"] is None
        updated = await crm.put(path, json={"name": "Grace H", "email": "grace@example.org"})
        assert updated.json() == created.json() | {"name": "Grace H", "email": "grace@example.org"}
        assert problem(await crm.put(path, json={"name": "Grace", "role": "admin"})) == (422, "INVALID_FIELD")
        assert problem(await crm.put("/api/users/by-external-id/" + "x" * 129, json={"name": "G"}))[0] == 422
        ann = await hub.signup()
        rejected = await crm.put(path, json={"name": "Grace", "email": ann.email})
        assert problem(rejected) == (409, "CONFLICT")
        by_user_id = await take_ticket(crm, {"userId": created.json()["id"]})
        by_external_id = await take_ticket(crm, {"externalId": "crm|7"})
        unused = await take_ticket(crm, {"externalId": "crm|7"})
        for body in ({"userId": "crm|7"}, {"externalId": "8"}):
            response = await crm.post("/api/realtime/tickets", json=body)
            assert problem(response) == (422, "INVALID_FIELD")
            assert response.json()["reason"] == "unknown user"
        for body in ({}, {"userId": ann.id, "externalId": "crm|7"}):
            assert problem(await crm.post("/api/realtime/tickets", json=body)) == (422, "INVALID_FIELD")
        async with (
            hub.stream(params={"ticket": by_user_id}) as first,
            hub.stream(params={"ticket": by_external_id}) as second,
        ):
            for stream in (first, second):
                assert (await stream.next_event("connection_confirmed")).data["userId"] == created.json()["id"]
            assert (await hub.cli("keys", "revoke", "crm")).returncode == 0
            for stream in (first, second):
                assert (await stream.next_event("bye")).data["reason"] == "revoked"
            async with hub.stream(params={"ticket": unused}) as stream:
                assert stream.status == 401
        assert problem(await crm.put(path, json={"name": "Grace"})) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    "external_id",
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
    ids=[
        "slash_inside",
        "slash",
        "empty_segments",
        "parent_folder",
        "dot",
        "leading_dot",
        "percent",
        "encoded_slash",
        "encoded_slash_inside",
        "query_and_fragment",
        "space_and_plus",
        "non_ascii",
        "emoji",
        "reserved_characters",
    ],
)
async def test_external_id_may_be_any_text(
    shared_hub: Hub, services_client: httpx2.AsyncClient, external_id: str
) -> None:
    path = f"/api/users/by-external-id/{quote(external_id, safe='')}"
    created = await services_client.put(path, json={"name": "Grace"})
    assert created.status_code == 200, created.text
    other = await services_client.put(path + "x", json={"name": "Other"})
    updated = await services_client.put(path, json={"name": "Grace H"})
    assert (updated.json()["id"], other.json()["id"] == created.json()["id"]) == (created.json()["id"], False)
    stream_ticket = await take_ticket(services_client, {"externalId": external_id})
    async with shared_hub.stream(params={"ticket": stream_ticket}) as stream:
        assert (await stream.next_event("connection_confirmed")).data["userId"] == created.json()["id"]


@pytest.mark.parametrize(
    "segment",
    ["", "%00", "a%0A", "%0A", "a%0Ab", "%C2%85", "%FF", "a%ED%A0%80", "x" * 129, "x%2F" * 65],
    ids=[
        "empty",
        "nul",
        "trailing_newline",
        "newline",
        "newline_inside",
        "next_line",
        "invalid_utf8",
        "encoded_surrogate",
        "too_long",
        "too_long_when_decoded",
    ],
)
async def test_invalid_external_id_is_rejected(services_client: httpx2.AsyncClient, segment: str) -> None:
    response = await services_client.put(f"/api/users/by-external-id/{segment}", json={"name": "Grace"})
    assert problem(response) == (422, "INVALID_FIELD")
    assert response.json()["pointer"] == "externalId"


@pytest.mark.parametrize(
    "path",
    ["/api/jobs%0A", "/api/jobs/", "/api/jobs//", "//api/jobs", "/api/users/by-external-id"],
    ids=["trailing_newline", "trailing_slash", "trailing_slashes", "leading_slashes", "no_external_id"],
)
async def test_path_similar_to_a_route_is_not_found(shared_hub: Hub, path: str) -> None:
    assert problem(await shared_hub.client().get(f"{shared_hub.url}{path}")) == (404, "NOT_FOUND")


async def test_head_request_of_connect_does_not_use_up_the_ticket(shared_hub: Hub) -> None:
    stream_ticket = await take_ticket(shared_hub.client(await shared_hub.signup()))
    for _ in range(2):
        head = await shared_hub.client().head(CONNECT, params={"ticket": stream_ticket})
        assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    async with shared_hub.stream(params={"ticket": stream_ticket}) as stream:
        assert await stream.next_event("connection_confirmed")
    assert (await shared_hub.client().head(CONNECT, params={"ticket": stream_ticket})).status_code == 401


async def test_ticket_body_is_optional_and_validated_when_sent(shared_hub: Hub) -> None:
    client = shared_hub.client(await shared_hub.signup())
    for content, content_type, error in (
        (b"", "text/plain", None),
        (b"{}", "application/json", None),
        (b"{}", "text/plain", (415, "UNSUPPORTED_MEDIA_TYPE")),
        (b"null", "application/json", (422, "INVALID_FIELD")),
        (b"{", "application/json", (400, "INVALID_JSON")),
        (b'{"user":"x"}', "application/json", (422, "UNKNOWN_FIELD")),
    ):
        response = await client.post("/api/realtime/tickets", content=content, headers={"content-type": content_type})
        assert response.status_code == 200 if error is None else problem(response) == error, content


async def test_api_key_is_limited_to_its_scopes(shared_hub: Hub) -> None:
    key = await shared_hub.api_key("notify")
    ann = await shared_hub.signup()
    async with shared_hub.client(key) as service, shared_hub.client(ann) as user:
        assert problem(await service.post("/api/realtime/tickets", json={"userId": ann.id})) == (403, "FORBIDDEN")
        path = "/api/users/by-external-id/7"
        for client in (service, user):
            assert problem(await client.put(path, json={"name": "Grace"})) == (403, "FORBIDDEN")
        assert problem(await service.get("/api/auth/me")) == (403, "FORBIDDEN")
    async with shared_hub.stream(key) as stream:
        assert stream.status == 403
    assert key not in shared_hub.log


async def test_role_change_of_an_external_user_changes_the_channels(hub: Hub) -> None:
    key = await hub.api_key("users", "tickets")
    async with hub.client(key) as crm:
        path = "/api/users/by-external-id/7"
        await crm.put(path, json={"name": "Grace", "role": "client"})
        async with hub.stream(params={"ticket": await take_ticket(crm, {"externalId": "7"})}) as stream:
            assert "role:client" in (await stream.next_event("connection_confirmed")).data["channels"]
            await crm.put(path, json={"name": "Grace", "role": "freelancer"})
            assert (await stream.next_event("bye")).data["reason"] == "rotate"
        async with hub.stream(params={"ticket": await take_ticket(crm, {"externalId": "7"})}) as stream:
            assert "role:freelancer" in (await stream.next_event("connection_confirmed")).data["channels"]
