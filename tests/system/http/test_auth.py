"""Who is asking, on a real hub: accounts, cookies, tokens, sessions, limits; nobody learns who has an account."""

import asyncio
from typing import Any

import anyio.to_thread
import httpx2
import pytest

from tests.support.hub import PASSWORD, Hub, Person
from tests.system.conftest import StartHub

ANN = {"email": "Ann@example.org", "password": PASSWORD, "name": "Ann", "role": "freelancer"}


def code(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]


def log_in(client: httpx2.AsyncClient, who: Person | str, password: str = PASSWORD) -> Any:
    email = who.email if isinstance(who, Person) else who
    return client.post("/api/auth/login", json={"email": email, "password": password})


async def test_who_signs_up_is_signed_in_by_cookie_and_by_token(hub: Hub) -> None:
    async with hub.client() as browser:
        answer = await browser.post("/api/auth/signup", json=ANN | {"skills": ["sql", "sql"]})
        assert answer.status_code == 201
        user = answer.json()["user"]
        assert set(user) == {"id", "email", "name", "role", "skills", "createdAt"}
        assert (user["email"], user["skills"]) == ("ann@example.org", ["sql"])
        cookie = answer.headers["set-cookie"].lower()
        assert all(part in cookie for part in ("gigwire=", "httponly", "samesite=lax", "path=/"))
        assert "secure" not in cookie, "this is localhost"
        assert (await browser.get("/api/auth/me")).json() == user
    async with hub.client(answer.json()["token"]) as program:
        assert (await program.get("/api/auth/me")).json() == user


async def test_outside_localhost_the_cookie_is_secure_and_of_this_host_alone(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_PUBLIC_URL="https://hub.example.org")
    async with hub.client() as browser:
        answer = await browser.post(f"http://127.0.0.1:{hub.server.port}/api/auth/signup", json=ANN)
        cookie = answer.headers["set-cookie"]
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
)
async def test_what_cannot_be_an_account_is_refused_where_it_is_wrong(
    shared_hub: Hub, change: dict[str, Any], pointer: str
) -> None:
    async with shared_hub.client() as client:
        answer = await client.post("/api/auth/signup", json=ANN | change)
        assert answer.status_code == 422
        assert answer.json()["pointer"].startswith(pointer.rsplit("/0", 1)[0])


async def test_an_address_signs_up_once(shared_hub: Hub) -> None:
    ann = await shared_hub.signup()
    async with shared_hub.client() as client:
        assert code(await client.post("/api/auth/signup", json=ANN | {"email": ann.email.upper()})) == (409, "CONFLICT")


async def test_a_repeated_sign_up_is_the_same_account_with_a_login_of_its_own(hub: Hub) -> None:
    key = {"idempotency-key": "form-1"}
    async with hub.client() as client:
        first = await client.post("/api/auth/signup", json=ANN, headers=key)
        again = await client.post("/api/auth/signup", json=ANN, headers=key)
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.json()["user"] == first.json()["user"]
        assert again.json()["token"] != first.json()["token"]
        for other in ({"password": "another passphrase"}, {"name": "Ann B"}):
            answer = await client.post("/api/auth/signup", json=ANN | other, headers=key)
            assert code(answer) == (422, "IDEMPOTENCY_KEY_REUSED")
        stranger = await client.post("/api/auth/signup", json=ANN | {"email": "bob@example.org"}, headers=key)
        assert stranger.status_code == 201, "keys of different people never meet"
        assert code(await client.post("/api/auth/signup", json=ANN)) == (409, "CONFLICT")
    kept = b"".join(path.read_bytes() for path in hub.data_dir.glob("hub.db*"))
    assert PASSWORD.encode() not in kept
    assert first.json()["token"].encode() not in kept


async def test_a_wrong_password_and_a_stranger_get_the_same_answer(shared_hub: Hub) -> None:
    ann = await shared_hub.signup()
    async with shared_hub.client() as client:
        wrong = await log_in(client, ann, "not her passphrase")
        nobody = await log_in(client, f"nobody-{ann.email}")
        assert code(wrong) == code(nobody) == (401, "UNAUTHENTICATED")
        assert wrong.json() | {"requestId": ""} == nobody.json() | {"requestId": ""}
        assert wrong.headers["www-authenticate"] == "Bearer"
        assert (await log_in(client, ann)).status_code == 200


@pytest.mark.parametrize("token", ["x", "gw_" + "x" * 43, "ImwxIg.aaaaaa.bbbb"])
async def test_a_bad_token_is_refused_even_where_none_is_needed(shared_hub: Hub, token: str) -> None:
    async with shared_hub.client(token) as client:
        for path in ("/api/auth/me", "/api/realtime/status", "/api/realtime/connect"):
            assert code(await client.get(path)) == (401, "UNAUTHENTICATED")
        assert code(await client.get("/api/no-such-thing")) == (404, "NOT_FOUND")


async def test_a_stale_cookie_is_nobody_and_does_not_stand_in_the_way(shared_hub: Hub) -> None:
    ann = await shared_hub.signup()
    async with shared_hub.client(cookies={"gigwire": "stale"}) as browser:
        assert (await browser.get("/api/realtime/status")).status_code == 200
        assert code(await browser.get("/api/auth/me")) == (401, "UNAUTHENTICATED")
        assert (await log_in(browser, ann)).status_code == 200
        assert (await browser.get("/api/auth/me")).status_code == 200


async def test_log_out_ends_that_session_and_its_streams_only(shared_hub: Hub) -> None:
    ann = await shared_hub.signup()
    other = await shared_hub.login(ann.email)
    async with shared_hub.client() as browser:
        await log_in(browser, ann)
        cookie = {"cookie": f"gigwire={browser.cookies['gigwire']}"}
        async with shared_hub.stream(headers=cookie) as gone, shared_hub.stream(other) as stays:
            await gone.next_event("connection_confirmed")
            await stays.next_event("connection_confirmed")
            answer = await browser.post("/api/auth/logout")
            assert (answer.status_code, answer.content) == (204, b"")
            assert "gigwire" not in browser.cookies
            # Said by the commit itself, so that it is there before any clock could matter.
            assert (await gone.next_event("bye")).data["reason"] == "logout"
            await gone.wait_closed()
            async with shared_hub.stream(headers=cookie) as back:
                assert back.status == 401
            async with shared_hub.client(other) as program:
                assert (await program.get("/api/auth/me")).status_code == 200
                assert (await program.post("/api/auth/logout")).status_code == 204
            assert (await stays.next_event()).type == "bye"
            assert "bye" in gone.types()


async def test_one_sees_ones_sessions_and_ends_them(shared_hub: Hub) -> None:
    ann, bob = await shared_hub.signup(), await shared_hub.signup()
    phone = await shared_hub.login(ann.email)
    async with (
        shared_hub.client(ann) as laptop,
        shared_hub.client(bob) as stranger,
        shared_hub.client(phone) as pocket,
        shared_hub.stream(phone) as stream,
    ):
        listed = (await laptop.get("/api/auth/sessions")).json()
        assert [session["current"] for session in listed["items"]] == [False, True]
        assert set(listed["items"][0]) == {"id", "userAgent", "address", "createdAt", "usedAt", "current"}
        assert listed["items"][0]["address"] == "127.0.0.1"
        page = (await laptop.get("/api/auth/sessions?limit=1")).json()
        rest = (await laptop.get("/api/auth/sessions", params={"limit": 1, "after": page["next"]})).json()
        assert page["items"] + rest["items"] == listed["items"]
        assert rest["next"] is None
        ends = f"/api/auth/sessions/{listed['items'][0]['id']}"
        refused, absent = await stranger.delete(ends), await stranger.delete("/api/auth/sessions/nothing")
        assert refused.json() | {"requestId": ""} == absent.json() | {"requestId": ""}
        assert code(refused) == (404, "NOT_FOUND")
        await stream.next_event("connection_confirmed")
        assert (await laptop.delete(ends)).status_code == 204
        assert (await stream.next_event("bye")).data["reason"] == "revoked"
        assert code(await pocket.get("/api/auth/me")) == (401, "UNAUTHENTICATED")
        assert (await laptop.get("/api/auth/me")).status_code == 200


async def test_a_new_password_ends_every_other_session(shared_hub: Hub) -> None:
    ann = await shared_hub.signup()
    phone = await shared_hub.login(ann.email)
    change = {"currentPassword": PASSWORD, "newPassword": "quite another passphrase"}
    async with (
        shared_hub.client(ann) as laptop,
        shared_hub.client(phone) as pocket,
        shared_hub.stream(phone) as gone,
        shared_hub.stream(ann) as stays,
    ):
        await gone.next_event("connection_confirmed")
        await stays.next_event("connection_confirmed")
        wrong = await laptop.post("/api/auth/password", json=change | {"currentPassword": "guessed"})
        assert code(wrong) == (401, "UNAUTHENTICATED")
        assert (await pocket.get("/api/auth/me")).status_code == 200
        assert (await laptop.post("/api/auth/password", json=change)).status_code == 204
        assert (await gone.next_event("bye")).data["reason"] == "revoked"
        assert code(await pocket.get("/api/auth/me")) == (401, "UNAUTHENTICATED")
        assert (await laptop.get("/api/auth/me")).status_code == 200
        assert code(await log_in(laptop, ann)) == (401, "UNAUTHENTICATED")
        await shared_hub.login(ann.email, change["newPassword"])
        assert "bye" not in stays.types()


async def test_one_changes_ones_name_and_sees_it_at_once(shared_hub: Hub) -> None:
    ann = await shared_hub.signup(skills=["sql"])
    async with shared_hub.client(ann) as client:
        assert (await client.patch("/api/auth/me", json={"name": "Ann B"})).json()["name"] == "Ann B"
        assert (await client.patch("/api/auth/me", json={"skills": []})).json()["skills"] == []
        me = (await client.get("/api/auth/me")).json()
        assert (me["name"], me["skills"]) == ("Ann B", [])
        for body in ({"role": "admin"}, {"email": "x@example.org"}):
            assert code(await client.patch("/api/auth/me", json=body)) == (422, "UNKNOWN_FIELD")


async def test_failed_log_ins_are_limited_per_account_and_right_ones_are_not_counted(start_hub: StartHub) -> None:
    # Slow enough that all guesses wait before the first is found to be wrong.
    hub = await start_hub(HUB_PASSWORD_MEMORY_MB="24", HUB_LOGIN_RATE_LIMIT="10/hour")
    ann = await hub.signup()
    async with hub.client() as client:
        assert [(await log_in(client, ann)).status_code for _ in range(11)] == [200] * 11
        guesses = await asyncio.gather(*(log_in(client, ann, f"guess {n}") for n in range(20)))
        statuses = [answer.status_code for answer in guesses]
        # One more may be compared while the tenth is.
        assert statuses.count(401) in (10, 11)
        assert statuses.count(429) == 20 - statuses.count(401)
        refused = await log_in(client, ann)
        assert code(refused) == (429, "RATE_LIMITED")
        assert refused.json()["limit"] == "failed log-ins to this account"
        assert 1 <= int(refused.headers["retry-after"]) <= 360
        assert {"ratelimit", "ratelimit-policy"} <= set(refused.headers)
        nobody = [(await log_in(client, "nobody@example.org", "x")).status_code for _ in range(11)]
        assert nobody == [401] * 10 + [429], "strangers are limited alike"
        assert (await log_in(client, (await hub.signup()).email)).status_code == 200


async def test_log_ins_at_once_are_all_let_in_after_the_cost_of_hashing_was_changed(start_hub: StartHub) -> None:
    # Slow enough that all have read the old hash before the first makes it anew.
    hub = await start_hub(HUB_PASSWORD_MEMORY_MB="24")
    ann = await hub.signup()
    hub.server.settings["HUB_PASSWORD_MEMORY_MB"] = "32"
    await anyio.to_thread.run_sync(hub.server.restart)
    async with hub.client() as client:
        answers = await asyncio.gather(*(log_in(client, ann) for _ in range(4)))
        assert [answer.status_code for answer in answers] == [200] * 4


async def test_failed_log_ins_and_sign_ups_are_limited_per_address(start_hub: StartHub) -> None:
    hub = await start_hub(HUB_LOGIN_ADDRESS_RATE_LIMIT="3/hour", HUB_SIGNUP_RATE_LIMIT="2/hour")
    ann, _ = await hub.signup(), await hub.signup()
    async with hub.client() as client:
        forged = {"x-forwarded-for": "198.51.100.7"}
        answer = await client.post("/api/auth/signup", json=ANN, headers=forged)
        assert code(answer) == (429, "RATE_LIMITED")
        for n in range(3):
            assert (await log_in(client, f"u{n}@example.org")).status_code == 401
        assert (await log_in(client, ann)).json()["limit"] == "failed log-ins from your address"


async def test_a_foreign_page_may_not_act_with_the_cookie_but_may_with_a_token(hub: Hub) -> None:
    ann = await hub.signup()
    evil = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    async with hub.client() as browser:
        await log_in(browser, ann)
        refused = await browser.patch("/api/auth/me", json={"name": "Eve"}, headers=evil)
        assert code(refused) == (403, "CROSS_ORIGIN")
        for headers in ({"sec-fetch-site": "same-origin"}, {"origin": hub.url}, {}):
            assert (await browser.patch("/api/auth/me", json={"name": "Ann"}, headers=headers)).status_code == 200
    app = {"origin": "http://localhost:5173", "sec-fetch-site": "cross-site"}
    async with hub.client(ann, headers=app) as page:
        answer = await page.patch("/api/auth/me", json={"name": "Ann C"})
        assert answer.headers["access-control-allow-origin"] == app["origin"]
        assert (await page.get("/api/auth/me", headers={"authorization": "Bearer x"})).headers[
            "access-control-allow-origin"
        ] == app["origin"]
        missing = await page.get("/api/no-such-thing")
        assert missing.headers["access-control-allow-origin"] == app["origin"]
    assert "access-control-allow-credentials" not in answer.headers
