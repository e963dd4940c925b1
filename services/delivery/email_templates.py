"""Text of the e-mails: notification, confirmation, password reset."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Final

from services.delivery.queue import Delivery
from services.ids import new_id

# Longer than any link of the hub: mail programs do not recognize a link in a folded header.
_LINE_LENGTH: Final = 990


@dataclass(frozen=True, slots=True)
class EmailIdentity:
    """The sender address of all e-mails, and the origin of their links."""

    sender: str
    origin: str


def notification(identity: EmailIdentity, delivery: Delivery, *, unsubscribe_link: str, now: int) -> EmailMessage:
    """Return the e-mail of a notification, with a link for one-click unsubscribing (RFC 8058)."""
    url = delivery.url or "/"
    link = f"{identity.origin}{url}" if url.startswith("/") else url
    text = (
        f"Hello {delivery.name},\n\n{delivery.body}\n\n{link}\n\n-- \n"
        "You receive this e-mail because you have not seen the notification in the app. "
        f"Stop these e-mails: {unsubscribe_link}\n"
    )
    headers = {
        "List-Unsubscribe": f"<{unsubscribe_link}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Auto-Submitted": "auto-generated",
    }
    # The delivery's id as Message-ID: if a crash causes a second send, mail programs recognize the duplicate.
    return _message(
        identity, to=delivery.email or "", subject=delivery.title, text=text, id=delivery.id, now=now, headers=headers
    )


def confirmation(identity: EmailIdentity, *, to: str, name: str, link: str, now: int) -> EmailMessage:
    """Return the e-mail that asks the user to confirm the address."""
    text = (
        f"Hello {name},\n\nopen this link within a day to confirm your e-mail address. Then you receive "
        f"notifications that you have not seen by e-mail:\n\n{link}\n\nIf you have no account here, ignore this "
        "e-mail.\n"
    )
    return _message(identity, to=to, subject="Confirm your e-mail address", text=text, id=new_id(), now=now)


def password_reset(identity: EmailIdentity, *, to: str, name: str, link: str, now: int) -> EmailMessage:
    """Return the e-mail with the link to choose a new password."""
    text = (
        f"Hello {name},\n\na new password was requested for your account. Open this link within an hour to choose "
        f"one. All your sessions end then:\n\n{link}\n\nIf you did not request it, ignore this e-mail: your password "
        "stays the same.\n"
    )
    return _message(identity, to=to, subject="Choose a new password", text=text, id=new_id(), now=now)


def _message(
    identity: EmailIdentity,
    *,
    to: str,
    subject: str,
    text: str,
    id: str,
    now: int,
    headers: Mapping[str, str] | None = None,
) -> EmailMessage:
    # Imported with the first e-mail, because it needs 0.7 MB.
    from email.policy import SMTP

    message = EmailMessage(policy=SMTP.clone(max_line_length=_LINE_LENGTH))
    # A title may contain U+2028. The library treats it as a line break and rejects the header.
    message["From"], message["To"], message["Subject"] = identity.sender, to, " ".join(subject.splitlines())
    message["Date"] = format_datetime(datetime.fromtimestamp(now / 1_000, UTC))
    message["Message-ID"] = f"<{id}@{parseaddr(identity.sender)[1].rpartition('@')[2]}>"
    for name, value in (headers or {}).items():
        message[name] = value
    message.set_content(text)
    return message
