"""SmtpClient: hands e-mails to the configured mail server."""

import asyncio
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Final
from urllib.parse import unquote, urlsplit

import structlog

# For one e-mail, with connection and authentication.
TIMEOUT_SECONDS: Final = 30.0
# E-mails sent in the background: concurrently, and in all.
MAX_CONCURRENT: Final = 4
MAX_QUEUED: Final = 200


class PermanentFailure(Exception):
    """The mail server rejects this e-mail permanently; the text is the reason."""


class TemporaryFailure(Exception):
    """The mail server could not be reached or rejects the e-mail temporarily; the text is the reason."""


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """Address and credentials of the mail server; `tls` means TLS from the first byte (`smtps://`)."""

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None

    @classmethod
    def from_url(cls, url: str) -> "SmtpSettings":
        """Return the settings of `smtp[s]://[user:password@]host[:port]`."""
        parts = urlsplit(url)
        tls = parts.scheme == "smtps"
        return cls(
            host=parts.hostname or "",
            port=parts.port or (465 if tls else 587),
            tls=tls,
            user=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
        )

    @property
    def start_tls(self) -> bool | None:
        """Whether STARTTLS is required; None: use it if the server offers it.

        It is required when a password is sent to another machine.
        """
        if self.tls:
            return False
        is_local = self.host in ("localhost", "127.0.0.1", "::1")
        return True if self.user is not None and not is_local else None


class SmtpClient:
    """Sends e-mails; e-mail is off if `settings` is None."""

    def __init__(self, settings: SmtpSettings | None) -> None:
        self._settings = settings
        self._tasks: set[asyncio.Task[None]] = set()
        self._semaphore = asyncio.Semaphore(MAX_CONCURRENT)
        self._log = structlog.get_logger("mail")

    @property
    def enabled(self) -> bool:
        """Whether this hub sends e-mail."""
        return self._settings is not None

    async def send(self, message: EmailMessage) -> None:
        """Send one e-mail. Raises PermanentFailure and TemporaryFailure."""
        import aiosmtplib

        settings = self._settings
        if settings is None:
            raise PermanentFailure("off")
        try:
            await aiosmtplib.send(
                message,
                hostname=settings.host,
                port=settings.port,
                username=settings.user,
                password=settings.password,
                use_tls=settings.tls,
                start_tls=settings.start_tls,
                timeout=TIMEOUT_SECONDS,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _failure(max(refused.code for refused in error.recipients)) from None
        except aiosmtplib.SMTPAuthenticationError as error:
            # Temporary, because the operator can correct the password.
            raise TemporaryFailure(f"status {error.code}") from None
        except aiosmtplib.SMTPResponseException as error:
            raise _failure(error.code) from None
        except (aiosmtplib.SMTPException, OSError):  # includes timeouts
            raise TemporaryFailure("mail server") from None

    def send_in_background(self, message: EmailMessage) -> None:
        """Send one e-mail in a task, without retries; drop it if MAX_QUEUED e-mails are waiting."""
        if len(self._tasks) >= MAX_QUEUED:
            self._log.warning("email_dropped", waiting=len(self._tasks))
            return
        task = asyncio.get_running_loop().create_task(self._send(message), name="mail")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Drop the waiting e-mails; the user can request them again."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, message: EmailMessage) -> None:
        async with self._semaphore:
            try:
                await self.send(message)
            except (PermanentFailure, TemporaryFailure) as error:
                self._log.warning("email_failed", error=str(error))


def _failure(code: int) -> Exception:
    """Return the error of an SMTP reply code: codes from 500 on are permanent (RFC 5321, 4.2.1)."""
    return PermanentFailure(f"status {code}") if code >= 500 else TemporaryFailure(f"status {code}")
