"""EmailSender: builds e-mails with signed links and sends them."""

from collections.abc import Sequence

from services.accounts.tokens import Purpose, Tokens
from services.delivery import email_templates
from services.delivery.email_templates import EmailIdentity
from services.delivery.queue import Delivery
from services.delivery.smtp_client import SmtpClient


class EmailSender:
    """Sends all e-mails of the hub."""

    def __init__(self, smtp_client: SmtpClient, tokens: Tokens, identity: EmailIdentity) -> None:
        self._smtp_client, self._tokens, self._identity = smtp_client, tokens, identity

    @property
    def enabled(self) -> bool:
        """Whether this hub sends e-mail."""
        return self._smtp_client.enabled

    async def send(self, delivery: Delivery, *, now: int) -> None:
        """Send the e-mail of a notification. Raises PermanentFailure and TemporaryFailure."""
        link = self._link("unsubscribe", [delivery.user_id])
        message = email_templates.notification(self._identity, delivery, unsubscribe_link=link, now=now)
        await self._smtp_client.send(message)

    def send_confirmation(self, *, user_id: str, email: str, name: str, now: int) -> None:
        """Send in the background the link that confirms an e-mail address; does nothing if e-mail is off."""
        if self.enabled:
            link = self._link("confirm", [user_id, email])
            self._smtp_client.send_in_background(
                email_templates.confirmation(self._identity, to=email, name=name, link=link, now=now)
            )

    def send_password_reset(self, *, user_id: str, fingerprint: str, email: str, name: str, now: int) -> None:
        """Send in the background the link to choose a new password; does nothing if e-mail is off.

        The link is valid while the fingerprint of the account is `fingerprint`.
        """
        if self.enabled:
            link = self._link("reset", [user_id, fingerprint])
            self._smtp_client.send_in_background(
                email_templates.password_reset(self._identity, to=email, name=name, link=link, now=now)
            )

    async def stop(self) -> None:
        """Drop the e-mails that the mail server has not accepted yet."""
        await self._smtp_client.stop()

    def _link(self, purpose: Purpose, claims: Sequence[str]) -> str:
        return f"{self._identity.origin}/api/mail/{purpose}?token={self._tokens.sign_link(purpose, claims)}"
