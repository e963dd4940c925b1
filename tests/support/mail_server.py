"""LocalMailServer: an SMTP server for tests that stores messages and sends chosen replies."""

import asyncio
import email
from email.message import EmailMessage
from email.policy import default
from typing import Any, Final, Self

from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.timeouts import TIMEOUT_SECONDS

OK: Final = "250 OK"


class LocalMailServer:
    """Use it as `async with LocalMailServer() as mail_server`.

    Each message is answered with the next of `replies`, and with 250 when there are none left.
    """

    def __init__(self) -> None:
        self.messages: list[tuple[list[str], EmailMessage]] = []
        self.replies: list[str] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: SMTP(self, loop=loop), "127.0.0.1", 0)
        self.url = f"smtp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._message_received = asyncio.Event()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Store an accepted message; aiosmtpd calls this method."""
        reply = self.replies.pop(0) if self.replies else OK
        if reply == OK:
            content: Any = envelope.content
            message = email.message_from_bytes(content, policy=default)
            assert isinstance(message, EmailMessage)
            self.messages.append((list(envelope.rcpt_tos), message))
            self._message_received.set()
        return reply

    async def wait_for(self, count: int) -> list[tuple[list[str], EmailMessage]]:
        """Wait for at least `count` messages and return all recipients and messages."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while len(self.messages) < count:
                self._message_received.clear()
                await self._message_received.wait()
        return self.messages


def get_text(message: EmailMessage) -> str:
    """Return the text of an e-mail, with LF line breaks."""
    return str(message.get_content()).replace("\r\n", "\n")


def find_link(message: EmailMessage) -> str:
    """Return the last link in the text of an e-mail."""
    return [word for word in get_text(message).split() if word.startswith("http")][-1]
