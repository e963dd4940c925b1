"""E-mail on a running hub: addresses confirmed, e-mails ended in one click, passwords chosen anew; off by default."""

from urllib.parse import urlsplit

import pytest

from tests.support.hub import PASSWORD, Hub, Person
from tests.support.mail_server import LocalMailServer, find_link
from tests.system.conftest import StartHub

NEW = "another long enough passphrase"


@pytest.fixture
async def hub(start_hub: StartHub, mail: LocalMailServer) -> Hub:
    return await start_hub(HUB_SMTP_URL=mail.url)


def path_of(link: str) -> str:
    parts = urlsplit(link)
    return f"{parts.path}?{parts.query}"


async def confirmed(hub: Hub, who: Person) -> bool:
    kept = (await hub.client(who).get("/api/notifications/preferences")).json()
    return bool(kept["emailConfirmed"])


async def test_an_address_is_confirmed_by_a_press_and_not_by_a_look(hub: Hub, mail: LocalMailServer) -> None:
    ann = await hub.signup()
    ((to, message),) = await mail.wait_for(1)
    assert to == [ann.email]
    anybody, link = hub.client(), path_of(find_link(message))
    page = await anybody.get(link)
    assert (page.status_code, page.headers["referrer-policy"]) == (200, "no-referrer")
    assert not await confirmed(hub, ann)
    assert (await anybody.post(link)).status_code == 200
    assert await confirmed(hub, ann)
    assert (await hub.client(ann).post("/api/auth/email/confirmation")).status_code == 202
    await mail.wait_for(2)


async def test_one_click_by_a_mail_program_ends_the_e_mails_and_nothing_else(hub: Hub, mail: LocalMailServer) -> None:
    from api.config.signing_keys import load_signing_keys
    from services.accounts.tokens import Tokens

    ann = await hub.signup()
    token = Tokens(load_signing_keys((), hub.data_dir)).sign_link("unsubscribe", [ann.id])
    link = f"/api/mail/unsubscribe?token={token}"
    assert (await hub.client().get(link)).status_code == 200
    client = hub.client(ann)
    before = (await client.get("/api/notifications/preferences")).json()["categories"]
    assert before["hire"]["email"]
    # As RFC 8058 has it: no session, a form with this one field.
    done = await hub.client().post(link, data={"List-Unsubscribe": "One-Click"})
    assert done.status_code == 200
    after = (await client.get("/api/notifications/preferences")).json()["categories"]
    assert after == {category: ways | {"email": False} for category, ways in before.items()}


async def test_a_forgotten_password_is_chosen_anew_once_and_ends_every_session(hub: Hub, mail: LocalMailServer) -> None:
    ann = await hub.signup()
    await mail.wait_for(1)
    asked = await hub.client().post("/api/auth/password/forgot", json={"email": ann.email.upper()})
    assert asked.status_code == 202
    (to, message) = (await mail.wait_for(2))[1]
    assert to == [ann.email]
    link = path_of(find_link(message))
    assert "<input" in (await hub.client().get(link)).text
    short = await hub.client().post(link, data={"password": "short"})
    assert (short.status_code, short.json()["pointer"]) == (422, "/password")
    assert (await hub.client().post(link, data={"password": NEW})).status_code == 200
    assert (await hub.client(ann).get("/api/auth/me")).status_code == 401
    await hub.login(ann.email, NEW)
    again = await hub.client().post(link, data={"password": PASSWORD})
    assert (again.status_code, again.json()["code"]) == (422, "INVALID_FIELD")
    token = link.partition("token=")[2]
    body = {"token": token, "newPassword": PASSWORD}
    assert (await hub.client().post("/api/auth/password/reset", json=body)).status_code == 422
    assert await confirmed(hub, await hub.login(ann.email, NEW))


async def test_a_link_for_a_new_password_is_void_once_the_account_has_another_address(
    hub: Hub, mail: LocalMailServer
) -> None:
    service = hub.client(await hub.api_key("users"))
    account = {"name": "Ann", "email": "lost@example.org"}
    assert (await service.put("/api/users/by-external-id/7", json=account)).status_code == 200
    await hub.cli("users", "password", "lost@example.org", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert (await hub.client().post("/api/auth/password/forgot", json={"email": "lost@example.org"})).status_code == 202
    link = path_of(find_link((await mail.wait_for(1))[0][1]))
    moved = account | {"email": "safe@example.org"}
    assert (await service.put("/api/users/by-external-id/7", json=moved)).status_code == 200
    refused = await hub.client().post(link, data={"password": NEW})
    assert refused.status_code == 422
    assert refused.json()["code"] == "INVALID_FIELD"
    await hub.login("safe@example.org")


async def test_whether_there_is_such_an_account_is_not_said_and_nobody_s_inbox_is_filled(
    hub: Hub, mail: LocalMailServer
) -> None:
    ann = await hub.signup()
    await mail.wait_for(1)
    client = hub.client()
    answers = [await client.post("/api/auth/password/forgot", json={"email": ann.email}) for _ in range(8)]
    nobody = await client.post("/api/auth/password/forgot", json={"email": "nobody@example.org"})
    assert {(each.status_code, each.content) for each in [*answers, nobody]} == {(202, b"")}
    await hub.signup()
    assert len(await mail.wait_for(1 + 5 + 1)) == 7


@pytest.mark.parametrize("kind", ["confirm", "unsubscribe", "reset"])
async def test_a_link_that_is_for_something_else_or_was_changed_is_refused(
    hub: Hub, mail: LocalMailServer, kind: str
) -> None:
    await hub.signup()
    token = find_link((await mail.wait_for(1))[0][1]).partition("token=")[2]
    for tried in (token[:-1] + ("A" if token[-1] != "A" else "B"), "x", *([token] if kind != "confirm" else [])):
        for method in ("GET", "POST"):
            answer = await hub.client().request(method, f"/api/mail/{kind}?token={tried}")
            assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_FIELD")


async def test_a_hub_without_a_mail_server_says_so(shared_hub: Hub) -> None:
    ann = await shared_hub.signup()
    answers = [
        await shared_hub.client(ann).post("/api/auth/email/confirmation"),
        await shared_hub.client().post("/api/auth/password/forgot", json={"email": ann.email}),
    ]
    assert {(answer.status_code, answer.json()["message"]) for answer in answers} == {
        (404, "This hub sends no e-mail.")
    }
