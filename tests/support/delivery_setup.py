"""DeliverySetup: a delivery worker whose clock and user attention a test controls."""

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
from tests.support.timeouts import TIMEOUT_SECONDS

NOON = 1_768_478_400_000  # 2026-01-15T12:00:00Z


@dataclass
class DeliverySetup:
    """A delivery worker with real clients. The test sets the clock (`now`, ms) and the attention of all users."""

    database: Database
    push_service: LocalPushService
    key_dir: Path
    push_client: PushClient
    smtp_url: str = ""
    now: int = NOON
    user_active: bool = False
    position: int = 0
    worker: DeliveryWorker = field(init=False)

    def __post_init__(self) -> None:
        self.worker = self.new_worker()

    async def use_endpoints(self, endpoints: PushEndpoints) -> None:
        """Replace the push client by one with these endpoints."""
        await self.push_client.stop()
        self.push_client = PushClient(endpoints, self.key_dir, "mailto:ops@example.org")
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
            self,  # type: ignore[arg-type]  # implements the two methods of UserAttention that the worker calls
            origin="https://hub.example",
            clock=lambda: self.now,
            random=Random(1),
        )

    def is_active(self, user_id: str) -> bool:
        return self.user_active

    def acknowledged_position(self, user_id: str) -> int:
        return self.position

    async def run_worker(self, after_ms: int = 0) -> int:
        """Advance the clock, send all due deliveries and return the number of requests to the push service so far."""
        self.now += after_ms
        await self.worker.run_once()
        await self.worker.finish(TIMEOUT_SECONDS)
        return len(self.push_service.requests)

    async def create_user(self, *browsers: Browser) -> str:
        return await self.database.write(partial(_create_user, browsers=browsers))

    async def send(self, user_id: str, **fields: Any) -> str:
        fields = {"type": "t", "category": "job", "title": "T", "body": "B"} | fields
        return await self.database.write(inbox.deliver_fields, user_id=user_id, now=self.now, **fields)

    async def get_report(self, user_id: str, notification_id: str) -> DeliveryReport:
        return await self.database.read(report.get_report, user_id=user_id, notification_id=notification_id)


def _create_user(tx: Connection, *, browsers: tuple[Browser, ...]) -> str:
    email = f"{token_hex(4)}@example.org"
    user_id = users.create(tx, email=email, password_hash=None, name="Ann", role="client", external_id=None, now=1).id
    tx.execute(insert(verified_emails).values(user_id=user_id, email=email, confirmed_at=1))
    session_id = sessions.create(tx, user_id=user_id, expected_hash=None, user_agent=None, address=None, now=1)
    for browser in browsers:
        keys = browser.subscription["keys"]
        push_subscriptions.save(tx, user_id=user_id, session_id=session_id, endpoint=browser.endpoint, now=1, **keys)
    return user_id
