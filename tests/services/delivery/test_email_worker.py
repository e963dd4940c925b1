"""The delivery worker with e-mail: delay, confirmation, preferences, SMTP errors and message headers."""

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
from services.times import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from tests.support.delivery_setup import NOON, DeliverySetup
from tests.support.mail_server import LocalMailServer, find_link, get_text
from tests.support.push_service import LocalPushService, Reply


@pytest.fixture
async def mail_server() -> AsyncIterator[LocalMailServer]:
    async with LocalMailServer() as server:
        yield server


@pytest.fixture
async def setup(database: Database, tmp_path: Path, mail_server: LocalMailServer) -> AsyncIterator[DeliverySetup]:
    async with LocalPushService() as push_service:
        client = PushClient(PushEndpoints(push_service.origin), tmp_path / "keys", "mailto:ops@example.org")
        yield DeliverySetup(database, push_service, tmp_path / "keys", client, mail_server.url)
        await client.stop()


async def test_unseen_notification_is_sent_once_after_ten_minutes(
    setup: DeliverySetup, mail_server: LocalMailServer
) -> None:
    ann = await setup.create_user()
    title = "Angenommen: Ärger & <b>Übermut</b> " + "ß" * 80
    notification_id = await setup.send(ann, category="hire", title=title, body="Für\nDich 🎉", url="/jobs/1")
    await setup.run_worker(10 * MINUTE_MS - 1)
    assert mail_server.messages == []
    await setup.run_worker(1)
    await setup.run_worker(DAY_MS)
    ((recipients, message),) = mail_server.messages
    assert recipients == [message["to"]]
    assert message["from"] == "Gigwire <hub@hub.example>"
    assert message["subject"] == title
    assert "Für\nDich 🎉\n\nhttps://hub.example/jobs/1\n" in get_text(message)
    assert message["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    link = find_link(message)
    assert message["list-unsubscribe"] == f"<{link}>"
    base, token = link.split("?token=")
    assert base == "https://hub.example/api/mail/unsubscribe"
    assert Tokens(["a key for tests that is long enough"]).read_link("unsubscribe", token, seconds=None) == [ann]
    assert message["auto-submitted"] == "auto-generated"
    assert (await setup.get_report(ann, notification_id)).email.state == "sent"


async def test_category_without_email_sends_none(setup: DeliverySetup, mail_server: LocalMailServer) -> None:
    ann = await setup.create_user()
    notification_id = await setup.send(ann, category="comment")
    await setup.run_worker(HOUR_MS)
    assert mail_server.messages == []
    assert (await setup.get_report(ann, notification_id)).email.state == "off"


async def test_unconfirmed_address_gets_no_email(setup: DeliverySetup, mail_server: LocalMailServer) -> None:
    ann = await setup.create_user()
    notification_id = await setup.send(ann, category="hire")
    await setup.database.write(lambda tx: tx.execute(verified_emails.delete()))
    await setup.run_worker(HOUR_MS)
    assert mail_server.messages == []
    assert (await setup.get_report(ann, notification_id)).email.reason == "nowhere"


async def test_email_is_skipped_when_seen_or_pushed_and_waits_for_a_push(
    setup: DeliverySetup, mail_server: LocalMailServer
) -> None:
    ann = await setup.create_user(setup.push_service.browser())
    seen = await setup.send(ann, category="hire")
    await setup.run_worker()
    bob = await setup.create_user()
    read = await setup.send(bob, category="hire")
    await setup.database.write(changes.change_ids, user_id=bob, verb="read", ids=[read], now=setup.now)
    setup.push_service.replies = [Reply(503)] * MAX_ATTEMPTS
    urgent = await setup.send(ann, category="hire", priority="urgent")
    await setup.run_worker(11 * MINUTE_MS)
    assert mail_server.messages == []
    assert (await setup.get_report(ann, seen)).email.reason == "pushed"
    assert (await setup.get_report(bob, read)).email.reason == "seen"
    assert (await setup.get_report(ann, urgent)).email.reason == "push first"
    for _ in range(2 * MAX_ATTEMPTS):
        await setup.run_worker(2 * HOUR_MS)
    assert len(mail_server.messages) == 1, "all pushes failed, so the e-mail is sent"


async def test_email_respects_preferences_changed_after_it_was_queued(
    setup: DeliverySetup, mail_server: LocalMailServer
) -> None:
    ann, bob = await setup.create_user(), await setup.create_user()
    quiet_hours = QuietHours(from_="12:05", to="13:00", time_zone="UTC")
    postponed, skipped = await setup.send(ann, category="hire"), await setup.send(bob, category="hire")
    await setup.database.write(preferences.save, user_id=ann, categories=DEFAULTS, quiet_hours=quiet_hours, now=1)
    await setup.database.write(preferences.disable_email, user_id=bob, now=1)
    await setup.run_worker(10 * MINUTE_MS)
    assert mail_server.messages == []
    assert (await setup.get_report(ann, postponed)).email.reason == "quiet hours"
    assert (await setup.get_report(bob, skipped)).email.reason == "off"
    setup.now = NOON + HOUR_MS
    await setup.run_worker()
    assert len(mail_server.messages) == 1


@pytest.mark.parametrize(
    ("reply", "state"),
    [("450 busy", "waiting"), ("452 full", "waiting"), ("550 no", "failed")],
    ids=["mailbox busy", "no storage", "rejected"],
)
async def test_temporary_smtp_errors_are_retried_and_permanent_ones_fail(
    setup: DeliverySetup, mail_server: LocalMailServer, reply: str, state: str
) -> None:
    ann = await setup.create_user()
    notification_id = await setup.send(ann, category="hire")
    mail_server.replies = [reply]
    await setup.run_worker(10 * MINUTE_MS)
    report = (await setup.get_report(ann, notification_id)).email
    assert (report.state, report.reason) == (state, f"status {reply[:3]}")
    await setup.run_worker(7 * SECOND_MS)
    assert len(mail_server.messages) == (state == "waiting")


async def test_unreachable_mail_server_is_retried(setup: DeliverySetup, mail_server: LocalMailServer) -> None:
    ann = await setup.create_user()
    notification_id = await setup.send(ann, category="hire")
    setup.smtp_url = "smtp://127.0.0.1:1"
    setup.worker = setup.new_worker()
    await setup.run_worker(10 * MINUTE_MS)
    report = (await setup.get_report(ann, notification_id)).email
    assert (report.state, report.reason) == ("waiting", "mail server")


async def test_email_is_skipped_without_a_mail_server(setup: DeliverySetup, mail_server: LocalMailServer) -> None:
    ann = await setup.create_user()
    notification_id = await setup.send(ann, category="hire")
    setup.smtp_url = ""
    setup.worker = setup.new_worker()
    await setup.run_worker(10 * MINUTE_MS)
    assert (await setup.get_report(ann, notification_id)).email.reason == "nowhere"
    assert mail_server.messages == []


def test_smtp_password_requires_tls_to_another_machine() -> None:
    remote = SmtpSettings.from_url("smtp://a%40b:p%2Fw@mail.example.org")
    assert (remote.user, remote.password, remote.port, remote.tls, remote.start_tls) == ("a@b", "p/w", 587, False, True)
    assert SmtpSettings.from_url("smtp://a:b@127.0.0.1:25").start_tls is None
    assert SmtpSettings.from_url("smtp://mail.example.org").start_tls is None
    implicit_tls = SmtpSettings.from_url("smtps://a:b@mail.example.org")
    assert (implicit_tls.port, implicit_tls.tls, implicit_tls.start_tls) == (465, True, False)


@pytest.mark.parametrize("separator", ["\u2028", "\u2029"], ids=["line separator", "paragraph separator"])
async def test_title_with_line_separators_is_one_subject_line(
    setup: DeliverySetup, mail_server: LocalMailServer, separator: str
) -> None:
    ann = await setup.create_user()
    notification_id = await setup.send(ann, category="hire", title=f"Hired{separator}Bcc: eve@example.org")
    await setup.run_worker(10 * MINUTE_MS)
    ((recipients, message),) = mail_server.messages
    assert message["subject"] == "Hired Bcc: eve@example.org"
    assert message["bcc"] is None
    assert recipients == [message["to"]]
    assert (await setup.get_report(ann, notification_id)).email.state == "sent"
