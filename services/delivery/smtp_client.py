"""Hands e-mails to the operator's mail server (RFC 5321), where there is one."""

import asyncio
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Final
from urllib.parse import unquote, urlsplit

import structlog

# Seconds for all of one e-mail.
SECONDS: Final = 30.0
# Under way at once of those that nobody waits for, and waiting for their turn.
AT_ONCE: Final = 4
WAITING: Final = 200


class PermanentFailure(Exception):
    """The mail server will not have this e-mail, now or later."""


class TemporaryFailure(Exception):
    """The mail server could not be asked, or says: later."""


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """`smtp://` is upgraded to TLS where the server offers it, and must be before a password is sent elsewhere."""

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None

    @classmethod
    def of(cls, url: str) -> "SmtpSettings":
        """From `smtp[s]://[user:password@]host[:port]`."""
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
    def must_upgrade(self) -> bool | None:
        """Whether STARTTLS is needed; None: if it is offered."""
        here = self.host in ("localhost", "127.0.0.1", "::1")
        return False if self.tls else True if self.user is not None and not here else None


class SmtpClient:
    """One for the hub; `server` is None where e-mail is off."""

    def __init__(self, server: SmtpSettings | None) -> None:
        self._server = server
        self._posted: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._log = structlog.get_logger("mail")

    @property
    def is_on(self) -> bool:
        """Whether this hub sends e-mail."""
        return self._server is not None

    async def send(self, message: EmailMessage) -> None:
        """Hand one over. Raises Refused and Unsent."""
        import aiosmtplib

        server = self._server
        if server is None:
            raise PermanentFailure("off")
        try:
            await aiosmtplib.send(
                message,
                hostname=server.host,
                port=server.port,
                username=server.user,
                password=server.password,
                use_tls=server.tls,
                start_tls=server.must_upgrade,
                timeout=SECONDS,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _failure(max(one.code for one in error.recipients)) from None
        except aiosmtplib.SMTPAuthenticationError as error:
            # The operator can put that right.
            raise TemporaryFailure(f"status {error.code}") from None
        except aiosmtplib.SMTPResponseException as error:
            raise _failure(error.code) from None
        except (aiosmtplib.SMTPException, OSError):  # a timeout is one
            raise TemporaryFailure("mail server") from None

    def send_in_background(self, message: EmailMessage) -> None:
        """Send one that nobody waits for, once; dropped where too many are waiting already."""
        if len(self._posted) >= WAITING:
            self._log.warning("mail_dropped", waiting=len(self._posted))
            return
        task = asyncio.get_running_loop().create_task(self._send(message), name="mail")
        self._posted.add(task)
        task.add_done_callback(self._posted.discard)

    async def stop(self) -> None:
        """Drop what has not been handed over; whoever asked asks again."""
        tasks = list(self._posted)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, message: EmailMessage) -> None:
        async with self._room:
            try:
                await self.send(message)
            except (PermanentFailure, TemporaryFailure) as error:
                self._log.warning("mail_not_sent", error=str(error))


def _failure(code: int) -> Exception:
    """RFC 5321, 4.2.1: what begins with a 5 is for good."""
    return PermanentFailure(f"status {code}") if code >= 500 else TemporaryFailure(f"status {code}")
