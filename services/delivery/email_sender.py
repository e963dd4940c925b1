"""The hub's e-mails: written, given their signed link, handed over."""

from collections.abc import Sequence

from services.accounts.tokens import Purpose, Tokens
from services.delivery import email_templates
from services.delivery.email_templates import EmailIdentity
from services.delivery.queue import Delivery
from services.delivery.smtp_client import SmtpClient


class EmailSender:
    """One for the hub."""

    def __init__(self, mailer: SmtpClient, tokens: Tokens, head: EmailIdentity) -> None:
        self._mailer, self._tokens, self._head = mailer, tokens, head

    @property
    def enabled(self) -> bool:
        """Whether this hub sends e-mail."""
        return self._mailer.is_on

    async def send(self, order: Delivery, *, now: int) -> None:
        """Send one notification. Raises Refused and Unsent."""
        link = self._link("unsubscribe", [order.user_id])
        await self._mailer.send(email_templates.notification(self._head, order, unsubscribe=link, now=now))

    def send_confirmation(self, *, user_id: str, email: str, name: str, now: int) -> None:
        """Ask whether an address is somebody's, where e-mail is on; nobody waits for it."""
        if self.enabled:
            link = self._link("confirm", [user_id, email])
            self._mailer.send_in_background(
                email_templates.confirmation(self._head, to=email, name=name, link=link, now=now)
            )

    def send_password_reset(self, *, user_id: str, mark: str, email: str, name: str, now: int) -> None:
        """Let somebody choose a new password while `mark` is that of the one they have; nobody waits for it."""
        if self.enabled:
            link = self._link("reset", [user_id, mark])
            self._mailer.send_in_background(email_templates.reset(self._head, to=email, name=name, link=link, now=now))

    async def stop(self) -> None:
        """Drop what has not been handed over."""
        await self._mailer.stop()

    def _link(self, purpose: Purpose, claims: Sequence[str]) -> str:
        return f"{self._head.origin}/api/mail/{purpose}?token={self._tokens.sign_link(purpose, claims)}"
