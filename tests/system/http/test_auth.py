"""Accounts and sessions: signup, login, cookies, tokens, revocation, limits and cross-origin requests."""

import asyncio
from typing import Any

import anyio.to_thread
import httpx2
import pytest

from tests.support.hub import PASSWORD, Hub, Person
from tests.system.conftest import StartHub

ANN = {"email": "Ann@example.org", "password": PASSWORD, "name": "Ann", "role": "freelancer"}


def problem(response: httpx2.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json", response.text
    return response.status_code, response.json()["code"]


def log_in(client: httpx2.AsyncClient, user: Person | str, password: str = PASSWORD) -> Any:
    email = user.email if isinstance(user, Person) else user
    return client.post("/api/auth/login", json={"email": email, "password": password})


async def test_signup_signs_in_by_cookie_and_by_token(hub: Hub) -> None:
    async with hub.client() as browser:
        response = await browser.post("/api/auth/signup", json=ANN | {"skills": ["sql", "sql"]})
        assert response.status_code == 201
        user = response.json()["user"]
        assert set(user) == {"id", "email", "name", "role", "skills", "createdAt"}
        assert (user["email"], user["skills"]) == ("ann@example.org", ["sql"])
        cookie = response.headers["set-cookie"].lower()
        assert all(part in cookie for part in ("gigwire=", "httponly", "samesite=lax", "path=/"))
        assert "secure" not in cookie, "the hub is on localhost"
        assert (await browser.get("/api/auth/me")).json() == user
    async with hub.client(response.json()["token"]) as program:
        assert (await program.get("/api/auth/me")).json() == user


async def test_session_cookie_is_secure_and_host_only_outside_localhost(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_PUBLIC_URL="https://hub.example.org")
    async with hub.client() as browser:
        response = await browser.post(f"http://127.0.0.1:{hub.server.port}/api/auth/signup", json=ANN)
        cookie = response.headers["set-cookie"]
        assert cookie.startswith("__Host-gigwire=")
        assert "; Secure" in cookie
        assert "domain" not in cookie.lower()


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"email": "ann"}, "/email"),
        ({"email": "a" * 255}, "/email"),
        ({"password": "seven77"}, "/password"),
        ({"password": "x" * 129}, "/password"),
        ({"name": ""}, "/name"),
        ({"name": "Ann\n"}, "/name"),
        ({"role": "admin"}, "/role"),
        ({"skills": ["x"] * 31}, "/skills"),
        ({"skills": ["x" * 41]}, "/skills/0"),
        ({"admin": True}, "/admin"),
    ],
    ids=[
        "invalid_email",
        "long_email",
        "short_password",
        "long_password",
        "empty_name",
        "newline_in_name",
        "admin_role",
        "too_many_skills",
        "long_skill",
        "unknown_field",
    ],
)
async def test_signup_rejects_invalid_fields_with_a_pointer(
    shared_hub: Hub, change: dict[str, Any], pointer: str
) -> None:
    async with shared_hub.client() as client:
        response = await client.post("/api/auth/signup", json=ANN | change)
        assert response.status_code == 422
        assert response.json()["pointer"].startswith(pointer.rsplit("/0", 1)[0])


async def test_signup_rejects_an_email_address_in_use(shared_hub: Hub) -> None:
    ann = await shared_hub.signup()
    async with shared_hub.client() as client:
        response = await client.post("/api/auth/signup", json=ANN | {"email": ann.email.upper()})
        assert problem(response) == (409, "CONFLICT")


async def test_repeated_signup_returns_the_same_account_with_a_new_session(hub: Hub) -> None:
    key = {"idempotency-key": "form-1"}
    async with hub.client() as client:
        first = await client.post("/api/auth/signup", json=ANN, headers=key)
        repeated = await client.post("/api/auth/signup", json=ANN, headers=key)
        assert (first.status_code, repeated.status_code) == (201, 201)
        assert repeated.json()["user"] == first.json()["user"]
        assert repeated.json()["token"] != first.json()["token"]
        for change in ({"password": "another passphrase"}, {"name": "Ann B"}):
            response = await client.post("/api/auth/signup", json=ANN | change, headers=key)
            assert problem(response) == (422, "IDEMPOTENCY_KEY_REUSED")
        other_user = await client.post("/api/auth/signup", json=ANN | {"email": "bob@example.org"}, headers=key)
        assert other_user.status_code == 201, "idempotency keys of different users are independent"
        assert problem(await client.post("/api/auth/signup", json=ANN)) == (409, "CONFLICT")
    stored_bytes = b"".join(path.read_bytes() for path in hub.data_dir.glob("hub.db*"))
    assert PASSWORD.encode() not in stored_bytes
    assert first.json()["token"].encode() not in stored_bytes


async def test_login_response_is_equal_for_wrong_password_and_unknown_account(shared_hub: Hub) -> None:
    ann = await shared_hub.signup()
    async with shared_hub.client() as client:
        wrong = await log_in(client, ann, "not her passphrase")
        unknown = await log_in(client, f"nobody-{ann.email}")
        assert problem(wrong) == problem(unknown) == (401, "UNAUTHENTICATED")
        assert wrong.json() | {"requestId": ""} == unknown.json() | {"requestId": ""}
        assert wrong.headers["www-authenticate"] == "Bearer"
        assert (await log_in(client, ann)).status_code == 200


@pytest.mark.parametrize(
    "token", ["x", "gw_" + "x" * 43, "ImwxIg.aaaaaa.bbbb"], ids=["unknown_form", "unknown_api_key", "invalid_session"]
)
async def test_invalid_token_is_rejected_on_public_routes_too(shared_hub: Hub, token: str) -> None:
    async with shared_hub.client(token) as client:
        for path in ("/api/auth/me", "/api/realtime/status", "/api/realtime/connect"):
            assert problem(await client.get(path)) == (401, "UNAUTHENTICATED")
        assert problem(await client.get("/api/no-such-thing")) == (404, "NOT_FOUND")


async def test_stale_cookie_is_anonymous_and_does_not_prevent_login(shared_hub: Hub) -> None:
    ann = await shared_hub.signup()
    async with shared_hub.client(cookies={"gigwire": "stale"}) as browser:
        assert (await browser.get("/api/realtime/status")).status_code == 200
        assert problem(await browser.get("/api/auth/me")) == (401, "UNAUTHENTICATED")
        assert (await log_in(browser, ann)).status_code == 200
        assert (await browser.get("/api/auth/me")).status_code == 200


async def test_logout_ends_only_its_session_and_streams(shared_hub: Hub) -> None:
    ann = await shared_hub.signup()
    other_session = await shared_hub.login(ann.email)
    async with shared_hub.client() as browser:
        await log_in(browser, ann)
        cookie = {"cookie": f"gigwire={browser.cookies['gigwire']}"}
        async with shared_hub.stream(headers=cookie) as closed, shared_hub.stream(other_session) as remaining:
            await closed.next_event("connection_confirmed")
            await remaining.next_event("connection_confirmed")
            response = await browser.post("/api/auth/logout")
            assert (response.status_code, response.content) == (204, b"")
            assert "gigwire" not in browser.cookies
            # The commit of the logout closes the stream, before any periodic check.
            assert (await closed.next_event("bye")).data["reason"] == "logout"
            await closed.wait_closed()
            async with shared_hub.stream(headers=cookie) as reconnected:
                assert reconnected.status == 401
            async with shared_hub.client(other_session) as program:
                assert (await program.get("/api/auth/me")).status_code == 200
                assert (await program.post("/api/auth/logout")).status_code == 204
            assert (await remaining.next_event()).type == "bye"
            assert "bye" in closed.types()


async def test_sessions_are_listed_and_revoked_by_their_user(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    phone_session = await shared_hub.login(ann.email)
    async with (
        shared_hub.client(ann) as laptop_client,
        shared_hub.client(bob) as other_client,
        shared_hub.client(phone_session) as phone_client,
        shared_hub.stream(phone_session) as stream,
    ):
        sessions = (await laptop_client.get("/api/auth/sessions")).json()
        assert [session["current"] for session in sessions["items"]] == [False, True]
        assert set(sessions["items"][0]) == {"id", "userAgent", "address", "createdAt", "usedAt", "current"}
        assert sessions["items"][0]["address"] == "127.0.0.1"
        page = (await laptop_client.get("/api/auth/sessions?limit=1")).json()
        next_page = (await laptop_client.get("/api/auth/sessions", params={"limit": 1, "after": page["next"]})).json()
        assert page["items"] + next_page["items"] == sessions["items"]
        assert next_page["next"] is None
        session_url = f"/api/auth/sessions/{sessions['items'][0]['id']}"
        rejected = await other_client.delete(session_url)
        unknown = await other_client.delete("/api/auth/sessions/nothing")
        assert rejected.json() | {"requestId": ""} == unknown.json() | {"requestId": ""}
        assert problem(rejected) == (404, "NOT_FOUND")
        await stream.next_event("connection_confirmed")
        assert (await laptop_client.delete(session_url)).status_code == 204
        assert (await stream.next_event("bye")).data["reason"] == "revoked"
        assert problem(await phone_client.get("/api/auth/me")) == (401, "UNAUTHENTICATED")
        assert (await laptop_client.get("/api/auth/me")).status_code == 200


async def test_password_change_revokes_all_other_sessions(shared_hub: Hub) -> None:
    ann = await shared_hub.signup()
    phone_session = await shared_hub.login(ann.email)
    change = {"currentPassword": PASSWORD, "newPassword": "quite another passphrase"}
    async with (
        shared_hub.client(ann) as laptop_client,
        shared_hub.client(phone_session) as phone_client,
        shared_hub.stream(phone_session) as closed,
        shared_hub.stream(ann) as remaining,
    ):
        await closed.next_event("connection_confirmed")
        await remaining.next_event("connection_confirmed")
        wrong = await laptop_client.post("/api/auth/password", json=change | {"currentPassword": "guessed"})
        assert problem(wrong) == (401, "UNAUTHENTICATED")
        assert (await phone_client.get("/api/auth/me")).status_code == 200
        assert (await laptop_client.post("/api/auth/password", json=change)).status_code == 204
        assert (await closed.next_event("bye")).data["reason"] == "revoked"
        assert problem(await phone_client.get("/api/auth/me")) == (401, "UNAUTHENTICATED")
        assert (await laptop_client.get("/api/auth/me")).status_code == 200
        assert problem(await log_in(laptop_client, ann)) == (401, "UNAUTHENTICATED")
        await shared_hub.login(ann.email, change["newPassword"])
        assert "bye" not in remaining.types()


async def test_profile_change_is_visible_at_once(shared_hub: Hub) -> None:
    ann = await shared_hub.signup(skills=["sql"])
    async with shared_hub.client(ann) as client:
        assert (await client.patch("/api/auth/me", json={"name": "Ann B"})).json()["name"] == "Ann B"
        assert (await client.patch("/api/auth/me", json={"skills": []})).json()["skills"] == []
        me = (await client.get("/api/auth/me")).json()
        assert (me["name"], me["skills"]) == ("Ann B", [])
        for change in ({"role": "admin"}, {"email": "x@example.org"}):
            assert problem(await client.patch("/api/auth/me", json=change)) == (422, "UNKNOWN_FIELD")


async def test_login_limit_per_account_counts_only_failed_attempts(start_hub: StartHub) -> None:
    # Hashing is slow enough that all guesses are queued before the first result.
    hub = await start_hub(HUB_PASSWORD_MEMORY_MB="24", HUB_LOGIN_RATE_LIMIT="10/hour")
    ann = await hub.signup()
    async with hub.client() as client:
        assert [(await log_in(client, ann)).status_code for _ in range(11)] == [200] * 11
        guesses = await asyncio.gather(*(log_in(client, ann, f"guess {n}") for n in range(20)))
        statuses = [response.status_code for response in guesses]
        # An eleventh guess may be compared while the tenth is still running.
        assert statuses.count(401) in (10, 11)
        assert statuses.count(429) == 20 - statuses.count(401)
        rejected = await log_in(client, ann)
        assert problem(rejected) == (429, "RATE_LIMITED")
        assert rejected.json()["limit"] == "failed log-ins to this account"
        assert 1 <= int(rejected.headers["retry-after"]) <= 360
        assert {"ratelimit", "ratelimit-policy"} <= set(rejected.headers)
        unknown = [(await log_in(client, "nobody@example.org", "x")).status_code for _ in range(11)]
        assert unknown == [401] * 10 + [429], "unknown accounts have the same limit"
        assert (await log_in(client, (await hub.signup()).email)).status_code == 200


async def test_concurrent_logins_succeed_after_a_change_of_hashing_cost(start_hub: StartHub) -> None:
    # Hashing is slow enough that all logins read the old hash before the first one replaces it.
    hub = await start_hub(HUB_PASSWORD_MEMORY_MB="24")
    ann = await hub.signup()
    hub.server.settings["HUB_PASSWORD_MEMORY_MB"] = "32"
    await anyio.to_thread.run_sync(hub.server.restart)
    async with hub.client() as client:
        responses = await asyncio.gather(*(log_in(client, ann) for _ in range(4)))
        assert [response.status_code for response in responses] == [200] * 4


async def test_failed_logins_and_signups_are_limited_per_address(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_LOGIN_ADDRESS_RATE_LIMIT="3/hour", HUB_SIGNUP_RATE_LIMIT="2/hour")
    ann, _ = await hub.signup(), await hub.signup()
    async with hub.client() as client:
        forged = {"x-forwarded-for": "198.51.100.7"}
        response = await client.post("/api/auth/signup", json=ANN, headers=forged)
        assert problem(response) == (429, "RATE_LIMITED")
        for n in range(3):
            assert (await log_in(client, f"u{n}@example.org")).status_code == 401
        assert (await log_in(client, ann)).json()["limit"] == "failed log-ins from your address"


async def test_cross_site_page_is_rejected_with_cookie_and_accepted_with_token(hub: Hub) -> None:
    ann = await hub.signup()
    cross_site = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    async with hub.client() as browser:
        await log_in(browser, ann)
        rejected = await browser.patch("/api/auth/me", json={"name": "Eve"}, headers=cross_site)
        assert problem(rejected) == (403, "CROSS_ORIGIN")
        for headers in ({"sec-fetch-site": "same-origin"}, {"origin": hub.url}, {}):
            assert (await browser.patch("/api/auth/me", json={"name": "Ann"}, headers=headers)).status_code == 200
    allowed_origin = {"origin": "http://localhost:5173", "sec-fetch-site": "cross-site"}
    async with hub.client(ann, headers=allowed_origin) as page:
        response = await page.patch("/api/auth/me", json={"name": "Ann C"})
        assert response.headers["access-control-allow-origin"] == allowed_origin["origin"]
        unauthenticated = await page.get("/api/auth/me", headers={"authorization": "Bearer x"})
        assert unauthenticated.headers["access-control-allow-origin"] == allowed_origin["origin"]
        missing = await page.get("/api/no-such-thing")
        assert missing.headers["access-control-allow-origin"] == allowed_origin["origin"]
    assert "access-control-allow-credentials" not in response.headers
