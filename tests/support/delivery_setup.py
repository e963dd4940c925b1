"""A sender of pushes and e-mails whose clock and whose readers a test decides on."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from secrets import token_hex
from typing import Any

from sqlalchemy import Connection, insert

from services.accounts import sessions, users
from services.accounts.tokens import Tokens
from services.database.database import Database
from services.delivery import push_subscriptions, report
from services.delivery.email_sender import EmailSender
from services.delivery.email_templates import EmailIdentity
from services.delivery.push_client import PushClient
from services.delivery.push_endpoints import PushEndpoints
from services.delivery.report import DeliveryReport
from services.delivery.smtp_client import SmtpClient, SmtpSettings
from services.delivery.worker import DeliveryWorker
from services.notifications import inbox
from services.tables import verified_emails
from tests.support.push_service import Browser, LocalPushService

NOON = 1_768_478_400_000  # 2026-01-15T12:00:00Z


@dataclass
class DeliverySetup:
    """A sender whose clock and whose readers the test decides on; `turn` sends what is due and waits for it."""

    database: Database
    push_service: LocalPushService
    keys: Path
    push_client: PushClient
    smtp_url: str = ""
    now: int = NOON
    user_active: bool = False
    position: int = 0
    worker: DeliveryWorker = field(init=False)

    def __post_init__(self) -> None:
        self.worker = self.new_worker()

    async def use_endpoints(self, endpoints: PushEndpoints) -> None:
        """Look names up in another way from now on."""
        await self.push_client.stop()
        self.push_client = PushClient(endpoints, self.keys, "mailto:ops@example.org")
        self.worker = self.new_worker()

    def new_worker(self) -> DeliveryWorker:
        return DeliveryWorker(
            self.database,
            self.push_client,
            EmailSender(
                SmtpClient(SmtpSettings.from_url(self.smtp_url) if self.smtp_url else None),
                Tokens(["a key for tests that is long enough"]),
                EmailIdentity("Gigwire <hub@hub.example>", "https://hub.example"),
            ),
            self,  # type: ignore[arg-type]  # it answers what onlookers are asked
            origin="https://hub.example",
            clock=lambda: self.now,
            random=Random(1),
        )

    def is_active(self, user_id: str) -> bool:
        return self.user_active

    def acknowledged_position(self, user_id: str) -> int:
        return self.position

    async def run_worker(self, after: int = 0) -> int:
        """How many requests the push service has got by then."""
        self.now += after
        await self.worker.run_once()
        await self.worker.finish(30)
        return len(self.push_service.requests)

    async def create_user(self, *browsers: Browser) -> str:
        return await self.database.write(partial(_person, browsers=browsers))

    async def send(self, user_id: str, **more: Any) -> str:
        said = {"type": "t", "category": "job", "title": "T", "body": "B"} | more
        return await self.database.write(inbox.deliver_fields, user_id=user_id, now=self.now, **said)

    async def get_report(self, user_id: str, notification_id: str) -> DeliveryReport:
        return await self.database.read(report.get_report, user_id=user_id, notification_id=notification_id)


def _person(tx: Connection, *, browsers: tuple[Browser, ...]) -> str:
    email = f"{token_hex(4)}@example.org"
    ann = users.create(tx, email=email, password_hash=None, name="Ann", role="client", external_id=None, now=1).id
    tx.execute(insert(verified_emails).values(user_id=ann, email=email, confirmed_at=1))
    login = sessions.create(tx, user_id=ann, expected_hash=None, user_agent=None, address=None, now=1)
    for browser in browsers:
        keys = browser.subscription["keys"]
        push_subscriptions.save(tx, user_id=ann, session_id=login, endpoint=browser.endpoint, now=1, **keys)
    return ann
