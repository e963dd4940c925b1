"""A mail server for tests: aiosmtpd, which answers as it is told and keeps what it was given."""

import asyncio
import email
from email.message import EmailMessage
from email.policy import default
from typing import Any, Final, Self

from aiosmtpd.smtp import SMTP, Envelope, Session

OK: Final = "250 OK"


class LocalMailServer:
    """`async with LocalMailServer() as mail`: it takes `replies` from the front, then says 250 to all."""

    def __init__(self) -> None:
        self.got: list[tuple[list[str], EmailMessage]] = []
        self.replies: list[str] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: SMTP(self, loop=loop), "127.0.0.1", 0)
        self.url = f"smtp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._news = asyncio.Event()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Called by aiosmtpd."""
        reply = self.replies.pop(0) if self.replies else OK
        if reply == OK:
            content: Any = envelope.content
            message = email.message_from_bytes(content, policy=default)
            assert isinstance(message, EmailMessage)
            self.got.append((list(envelope.rcpt_tos), message))
            self._news.set()
        return reply

    async def wait(self, count: int) -> list[tuple[list[str], EmailMessage]]:
        """What it was given, once there are so many."""
        async with asyncio.timeout(20):
            while len(self.got) < count:
                self._news.clear()
                await self._news.wait()
        return self.got


def text_of(message: EmailMessage) -> str:
    """The text of a mail."""
    return str(message.get_content()).replace("\r\n", "\n")


def link_in(message: EmailMessage) -> str:
    """The last address in the text of a mail."""
    return [word for word in text_of(message).split() if word.startswith("http")][-1]
