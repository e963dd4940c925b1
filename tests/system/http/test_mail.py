"""E-mail links: confirmation, one-click unsubscribe and password reset; e-mail is off by default."""

from urllib.parse import urlsplit

import pytest

from api.config.signing_keys import load_signing_keys
from services.accounts.tokens import Tokens
from tests.support.hub import PASSWORD, Hub, Person
from tests.support.mail_server import LocalMailServer, find_link
from tests.system.conftest import StartHub

NEW_PASSWORD = "another long enough passphrase"


@pytest.fixture
async def hub(start_hub: StartHub, mail: LocalMailServer) -> Hub:
    return await start_hub(HUB_SMTP_URL=mail.url)


def get_path(link: str) -> str:
    parts = urlsplit(link)
    return f"{parts.path}?{parts.query}"


async def is_confirmed(hub: Hub, user: Person) -> bool:
    preferences = (await hub.client(user).get("/api/notifications/preferences")).json()
    return bool(preferences["emailConfirmed"])


async def test_address_is_confirmed_by_post_and_not_by_get(hub: Hub, mail: LocalMailServer) -> None:
    ann = await hub.signup()
    ((recipients, message),) = await mail.wait_for(1)
    assert recipients == [ann.email]
    anonymous, link = hub.client(), get_path(find_link(message))
    page = await anonymous.get(link)
    assert (page.status_code, page.headers["referrer-policy"]) == (200, "no-referrer")
    assert not await is_confirmed(hub, ann)
    assert (await anonymous.post(link)).status_code == 200
    assert await is_confirmed(hub, ann)
    assert (await hub.client(ann).post("/api/auth/email/confirmation")).status_code == 202
    await mail.wait_for(2)


async def test_one_click_unsubscribe_disables_only_email(hub: Hub, mail: LocalMailServer) -> None:
    ann = await hub.signup()
    token = Tokens(load_signing_keys((), hub.data_dir)).sign_link("unsubscribe", [ann.id])
    link = f"/api/mail/unsubscribe?token={token}"
    assert (await hub.client().get(link)).status_code == 200
    client = hub.client(ann)
    before = (await client.get("/api/notifications/preferences")).json()["categories"]
    assert before["hire"]["email"]
    # RFC 8058: the request has no session and a form with this one field.
    unsubscribed = await hub.client().post(link, data={"List-Unsubscribe": "One-Click"})
    assert unsubscribed.status_code == 200
    after = (await client.get("/api/notifications/preferences")).json()["categories"]
    assert after == {category: methods | {"email": False} for category, methods in before.items()}


async def test_password_reset_link_works_once_and_revokes_all_sessions(hub: Hub, mail: LocalMailServer) -> None:
    ann = await hub.signup()
    await mail.wait_for(1)
    forgot = await hub.client().post("/api/auth/password/forgot", json={"email": ann.email.upper()})
    assert forgot.status_code == 202
    (recipients, message) = (await mail.wait_for(2))[1]
    assert recipients == [ann.email]
    link = get_path(find_link(message))
    assert "<input" in (await hub.client().get(link)).text
    short = await hub.client().post(link, data={"password": "short"})
    assert (short.status_code, short.json()["pointer"]) == (422, "/password")
    assert (await hub.client().post(link, data={"password": NEW_PASSWORD})).status_code == 200
    assert (await hub.client(ann).get("/api/auth/me")).status_code == 401
    await hub.login(ann.email, NEW_PASSWORD)
    repeated = await hub.client().post(link, data={"password": PASSWORD})
    assert (repeated.status_code, repeated.json()["code"]) == (422, "INVALID_FIELD")
    token = link.partition("token=")[2]
    body = {"token": token, "newPassword": PASSWORD}
    assert (await hub.client().post("/api/auth/password/reset", json=body)).status_code == 422
    assert await is_confirmed(hub, await hub.login(ann.email, NEW_PASSWORD))


async def test_password_reset_link_is_invalid_after_a_change_of_address(hub: Hub, mail: LocalMailServer) -> None:
    service = hub.client(await hub.api_key("users"))
    account = {"name": "Ann", "email": "lost@example.org"}
    assert (await service.put("/api/users/by-external-id/7", json=account)).status_code == 200
    await hub.cli("users", "password", "lost@example.org", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert (await hub.client().post("/api/auth/password/forgot", json={"email": "lost@example.org"})).status_code == 202
    link = get_path(find_link((await mail.wait_for(1))[0][1]))
    changed = account | {"email": "safe@example.org"}
    assert (await service.put("/api/users/by-external-id/7", json=changed)).status_code == 200
    rejected = await hub.client().post(link, data={"password": NEW_PASSWORD})
    assert rejected.status_code == 422
    assert rejected.json()["code"] == "INVALID_FIELD"
    await hub.login("safe@example.org")


async def test_password_forgot_hides_accounts_and_limits_e_mails(hub: Hub, mail: LocalMailServer) -> None:
    ann = await hub.signup()
    await mail.wait_for(1)
    client = hub.client()
    responses = [await client.post("/api/auth/password/forgot", json={"email": ann.email}) for _ in range(8)]
    unknown = await client.post("/api/auth/password/forgot", json={"email": "nobody@example.org"})
    assert {(response.status_code, response.content) for response in [*responses, unknown]} == {(202, b"")}
    await hub.signup()
    assert len(await mail.wait_for(1 + 5 + 1)) == 7


@pytest.mark.parametrize("kind", ["confirm", "unsubscribe", "reset"])
async def test_link_with_wrong_purpose_or_signature_is_rejected(hub: Hub, mail: LocalMailServer, kind: str) -> None:
    await hub.signup()
    token = find_link((await mail.wait_for(1))[0][1]).partition("token=")[2]
    content, _, signature = token.rpartition(".")
    # The first character: the last one of a base64url text has bits that are not part of the signature.
    wrong_signature = ("A" if signature[0] != "A" else "B") + signature[1:]
    for invalid_token in (
        f"{content}.{wrong_signature}",
        "x",
        *([token] if kind != "confirm" else []),
    ):
        for method in ("GET", "POST"):
            response = await hub.client().request(method, f"/api/mail/{kind}?token={invalid_token}")
            assert (response.status_code, response.json()["code"]) == (422, "INVALID_FIELD")


async def test_email_routes_return_not_found_without_a_mail_server(shared_hub: Hub) -> None:
    ann = await shared_hub.signup()
    responses = [
        await shared_hub.client(ann).post("/api/auth/email/confirmation"),
        await shared_hub.client().post("/api/auth/password/forgot", json={"email": ann.email}),
    ]
    assert {(response.status_code, response.json()["message"]) for response in responses} == {
        (404, "This hub sends no e-mail.")
    }
