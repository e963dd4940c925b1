"""What the hub writes in e-mails: a notification, a question whether an address is somebody's, a new password."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Final

from services.delivery.queue import Delivery
from services.ids import new_id

# Longer than any link of ours: a link in a header that is folded is none.
_LINE_LENGTH: Final = 990


@dataclass(frozen=True, slots=True)
class EmailIdentity:
    """Who writes, and the origin that links lead to."""

    sender: str
    origin: str


def notification(head: EmailIdentity, order: Delivery, *, unsubscribe: str, now: int) -> EmailMessage:
    """A notification, with the link that ends such e-mails in one click (RFC 8058)."""
    url = order.url or "/"
    link = f"{head.origin}{url}" if url.startswith("/") else url
    text = (
        f"Hello {order.name},\n\n{order.body}\n\n{link}\n\n-- \n"
        f"You have not seen this in the app, so here it is. No more e-mails like this: {unsubscribe}\n"
    )
    headers = {
        "List-Unsubscribe": f"<{unsubscribe}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Auto-Submitted": "auto-generated",
    }
    # The same one again, after a crash, is the same to a mail program.
    return _message(head, to=order.email or "", subject=order.title, text=text, id=order.id, now=now, headers=headers)


def confirmation(head: EmailIdentity, *, to: str, name: str, link: str, now: int) -> EmailMessage:
    """Ask whether an address is somebody's."""
    text = (
        f"Hello {name},\n\nis this your address? Then open this link within a day, and you can be told by e-mail "
        f"of what you have not seen:\n\n{link}\n\nIf you have no account here, do nothing.\n"
    )
    return _message(head, to=to, subject="Is this your e-mail address?", text=text, id=new_id(), now=now)


def reset(head: EmailIdentity, *, to: str, name: str, link: str, now: int) -> EmailMessage:
    """Let somebody choose a new password."""
    text = (
        f"Hello {name},\n\nyou, or somebody else, asked for a new password. Open this link within an hour to choose "
        f"one; every session then ends:\n\n{link}\n\nIf it was not you, do nothing: your password stays as it is.\n"
    )
    return _message(head, to=to, subject="A new password", text=text, id=new_id(), now=now)


def _message(
    head: EmailIdentity,
    *,
    to: str,
    subject: str,
    text: str,
    id: str,
    now: int,
    headers: Mapping[str, str] | None = None,
) -> EmailMessage:
    # Not before the first mail: 0.7 MB.
    from email.policy import SMTP

    made = EmailMessage(policy=SMTP.clone(max_line_length=_LINE_LENGTH))
    # A title may hold U+2028, and a header ends there for the library, which then refuses it.
    made["From"], made["To"], made["Subject"] = head.sender, to, " ".join(subject.splitlines())
    made["Date"] = format_datetime(datetime.fromtimestamp(now / 1_000, UTC))
    made["Message-ID"] = f"<{id}@{parseaddr(head.sender)[1].rpartition('@')[2]}>"
    for name, value in (headers or {}).items():
        made[name] = value
    made.set_content(text)
    return made
