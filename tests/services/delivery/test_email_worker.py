"""E-mail is the last resort: sent to a confirmed address, when nothing else has reached its reader."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.accounts.tokens import Tokens
from services.database.database import Database
from services.delivery.push_client import PushClient
from services.delivery.push_endpoints import PushEndpoints
from services.delivery.smtp_client import SmtpSettings
from services.delivery.worker import MAX_ATTEMPTS
from services.notifications import changes, preferences
from services.notifications.preferences import DEFAULTS
from services.notifications.quiet_hours import QuietHours
from services.tables import verified_emails
from services.times import DAY, HOUR, MINUTE, SECOND
from tests.support.delivery_setup import NOON, World
from tests.support.mail_server import LocalMailServer, link_in, text_of
from tests.support.push_service import LocalPushService, Reply


@pytest.fixture
async def mail() -> AsyncIterator[LocalMailServer]:
    async with LocalMailServer() as server:
        yield server


@pytest.fixture
async def world(database: Database, tmp_path: Path, mail: LocalMailServer) -> AsyncIterator[World]:
    async with LocalPushService() as push:
        service = PushClient(PushEndpoints(push.origin), tmp_path / "keys", "mailto:ops@example.org")
        yield World(database, push, tmp_path / "keys", service, mail.url)
        await service.stop()


async def test_what_was_not_seen_in_ten_minutes_is_sent_once_with_a_link_that_ends_it(
    world: World, mail: LocalMailServer
) -> None:
    ann = await world.person()
    title = "Angenommen: Ärger & <b>Übermut</b> " + "ß" * 80
    made = await world.send(ann, category="hire", title=title, body="Für\nDich 🎉", url="/jobs/1")
    await world.turn(10 * MINUTE - 1)
    assert mail.got == []
    await world.turn(1)
    await world.turn(DAY)
    ((to, message),) = mail.got
    assert to == [message["to"]]
    assert message["from"] == "Gigwire <hub@hub.example>"
    assert message["subject"] == title
    assert "Für\nDich 🎉\n\nhttps://hub.example/jobs/1\n" in text_of(message)
    assert message["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    link = link_in(message)
    assert message["list-unsubscribe"] == f"<{link}>"
    base, token = link.split("?token=")
    assert base == "https://hub.example/api/mail/unsubscribe"
    assert Tokens(["a key for tests that is long enough"]).read_link("unsubscribe", token, seconds=None) == [ann]
    assert message["auto-submitted"] == "auto-generated"
    assert (await world.fate(ann, made)).email.state == "sent"


async def test_a_category_that_nobody_asked_e_mail_for_sends_none(world: World, mail: LocalMailServer) -> None:
    ann = await world.person()
    made = await world.send(ann, category="comment")
    await world.turn(HOUR)
    assert mail.got == []
    assert (await world.fate(ann, made)).email.state == "off"


async def test_an_address_that_is_not_confirmed_any_more_gets_nothing(world: World, mail: LocalMailServer) -> None:
    ann = await world.person()
    made = await world.send(ann, category="hire")
    await world.database.write(lambda tx: tx.execute(verified_emails.delete()))
    await world.turn(HOUR)
    assert mail.got == []
    assert (await world.fate(ann, made)).email.reason == "nowhere"


async def test_what_was_seen_or_pushed_is_not_sent_and_a_push_under_way_is_waited_for(
    world: World, mail: LocalMailServer
) -> None:
    ann = await world.person(world.push.browser())
    seen = await world.send(ann, category="hire")
    await world.turn()
    bob = await world.person()
    read = await world.send(bob, category="hire")
    await world.database.write(changes.change_ids, user_id=bob, verb="read", ids=[read], now=world.now)
    world.push.replies = [Reply(503)] * MAX_ATTEMPTS
    waits = await world.send(ann, category="hire", priority="urgent")
    await world.turn(11 * MINUTE)
    assert mail.got == []
    assert (await world.fate(ann, seen)).email.reason == "pushed"
    assert (await world.fate(bob, read)).email.reason == "seen"
    assert (await world.fate(ann, waits)).email.reason == "push first"
    for _ in range(2 * MAX_ATTEMPTS):
        await world.turn(2 * HOUR)
    assert len(mail.got) == 1, "no push came through, so it is sent"


async def test_what_was_turned_off_or_is_quiet_by_then_waits_or_is_not_sent(
    world: World, mail: LocalMailServer
) -> None:
    ann, bob = await world.person(), await world.person()
    quiet = QuietHours(from_="12:05", to="13:00", time_zone="UTC")
    held, off = await world.send(ann, category="hire"), await world.send(bob, category="hire")
    await world.database.write(preferences.save, user_id=ann, categories=DEFAULTS, quiet_hours=quiet, now=1)
    await world.database.write(preferences.disable_email, user_id=bob, now=1)
    await world.turn(10 * MINUTE)
    assert mail.got == []
    assert (await world.fate(ann, held)).email.reason == "quiet hours"
    assert (await world.fate(bob, off)).email.reason == "off"
    world.now = NOON + HOUR
    await world.turn()
    assert len(mail.got) == 1


@pytest.mark.parametrize(("reply", "state"), [("450 busy", "waiting"), ("452 full", "waiting"), ("550 no", "failed")])
async def test_a_mail_server_that_says_later_is_asked_later_and_one_that_says_no_is_not(
    world: World, mail: LocalMailServer, reply: str, state: str
) -> None:
    ann = await world.person()
    made = await world.send(ann, category="hire")
    mail.replies = [reply]
    await world.turn(10 * MINUTE)
    fate = (await world.fate(ann, made)).email
    assert (fate.state, fate.reason) == (state, f"status {reply[:3]}")
    await world.turn(7 * SECOND)
    assert len(mail.got) == (state == "waiting")


async def test_a_mail_server_that_is_away_is_asked_later(world: World, mail: LocalMailServer) -> None:
    ann = await world.person()
    made = await world.send(ann, category="hire")
    world.smtp_url = "smtp://127.0.0.1:1"
    world.sender = world.new_sender()
    await world.turn(10 * MINUTE)
    fate = (await world.fate(ann, made)).email
    assert (fate.state, fate.reason) == ("waiting", "mail server")


async def test_without_a_mail_server_nothing_is_sent_and_it_says_so(world: World, mail: LocalMailServer) -> None:
    ann = await world.person()
    made = await world.send(ann, category="hire")
    world.smtp_url = ""
    world.sender = world.new_sender()
    await world.turn(10 * MINUTE)
    assert (await world.fate(ann, made)).email.reason == "nowhere"
    assert mail.got == []


def test_a_password_goes_to_another_machine_by_tls_alone() -> None:
    far = SmtpSettings.of("smtp://a%40b:p%2Fw@mail.example.org")
    assert (far.user, far.password, far.port, far.tls, far.must_upgrade) == ("a@b", "p/w", 587, False, True)
    assert SmtpSettings.of("smtp://a:b@127.0.0.1:25").must_upgrade is None
    assert SmtpSettings.of("smtp://mail.example.org").must_upgrade is None
    near = SmtpSettings.of("smtps://a:b@mail.example.org")
    assert (near.port, near.tls, near.must_upgrade) == (465, True, False)


@pytest.mark.parametrize("separator", ["\u2028", "\u2029"])
async def test_a_title_that_python_takes_for_two_lines_is_one_in_the_subject(
    world: World, mail: LocalMailServer, separator: str
) -> None:
    ann = await world.person()
    made = await world.send(ann, category="hire", title=f"Hired{separator}Bcc: eve@example.org")
    await world.turn(10 * MINUTE)
    ((to, message),) = mail.got
    assert message["subject"] == "Hired Bcc: eve@example.org"
    assert message["bcc"] is None
    assert to == [message["to"]]
    assert (await world.fate(ann, made)).email.state == "sent"
