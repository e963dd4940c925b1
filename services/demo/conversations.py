"""Demo conversations."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import Connection, bindparam, select

from services import tables as t
from services.attachments import records
from services.attachments.file_store import FileStore
from services.attachments.records import StoredFile
from services.attachments.thumbnails import inspect
from services.messages import groups, receipts, sending
from services.messages import membership as message_membership
from services.messages.draft import MessageDraft, Recipient
from services.schemas import Person
from services.times import DAY_MS, HOUR_MS, MINUTE_MS

_DIRECT = select(t.conversations.c.id).where(t.conversations.c.direct_key == bindparam("direct_key"))
_GROUP = select(t.conversations.c.id).where(
    t.conversations.c.creator_id == bindparam("creator_id"), t.conversations.c.title == bindparam("title")
)
NOTES_FILE: Final = "notes.txt"
SKETCH_FILE: Final = "sketch.png"


@dataclass(frozen=True, slots=True)
class Line:
    """A message. `sender` is the index of its author in the conversation, `file` the name of its attachment."""

    sender: int
    minutes_ago: int
    content: str
    file: str | None = None


@dataclass(frozen=True, slots=True)
class _Conversations:
    group_title: str
    notes: str
    hired: tuple[Line, ...]
    applicant: tuple[Line, ...]
    group: tuple[Line, ...]


_CONVERSATIONS: Final = msgspec.json.decode(
    (Path(__file__).parent / "data" / "conversations.json").read_bytes(), type=_Conversations
)
GROUP_TITLE: Final = _CONVERSATIONS.group_title


def create_files(files: FileStore) -> dict[str, StoredFile]:
    """Store the attached files and return them by name, for `fill`. Blocks."""
    files.prepare()
    notes, sketch = files.create_temporary(), files.create_temporary()
    try:
        notes.write(_CONVERSATIONS.notes.encode())
        notes.finish()
        files.commit(notes, None)
        sketch.write(_draw_sketch())
        sketch.finish()
        image_info = inspect(sketch.path, "image/png")
        files.commit(sketch, image_info.thumbnail)
    finally:
        notes.discard()
        sketch.discard()
    text = StoredFile(hash=notes.hash, name=NOTES_FILE, type="text/plain", size=notes.size)
    image = StoredFile(
        hash=sketch.hash,
        name=SKETCH_FILE,
        type="image/png",
        size=sketch.size,
        width=image_info.width,
        height=image_info.height,
        thumbnail=True,
    )
    return {NOTES_FILE: text, SKETCH_FILE: image}


def fill(
    tx: Connection, *, owner: Person, hired: Person, applicant: Person, files: Mapping[str, StoredFile], now: int
) -> int:
    """Create the missing conversations and return their number; existing ones stay unchanged.

    The owner has one with the hired freelancer, one with a freelancer who has a question, and a group with both.
    `files` are the result of `create_files`; without them the messages have no attachments.
    """
    created = 0
    for other, lines in ((hired, _CONVERSATIONS.hired), (applicant, _CONVERSATIONS.applicant)):
        direct_key = message_membership.direct_key(owner.id, other.id)
        if tx.execute(_DIRECT, {"direct_key": direct_key}).first() is None:
            _send_all(tx, (owner, other), lines, None, files, now)
            created += 1
    if tx.execute(_GROUP, {"creator_id": owner.id, "title": GROUP_TITLE}).first() is None:
        created_at = now - DAY_MS - HOUR_MS
        member_ids = [hired.id, applicant.id]
        group = groups.create(tx, creator_id=owner.id, member_ids=member_ids, title=GROUP_TITLE, now=created_at)
        _send_all(tx, (owner, hired, applicant), _CONVERSATIONS.group, group.id, files, now)
        created += 1
    return created


def _send_all(
    tx: Connection,
    members: Sequence[Person],
    lines: Sequence[Line],
    conversation_id: str | None,
    files: Mapping[str, StoredFile],
    now: int,
) -> None:
    """Send all lines. All members read each line before the next one, so that only the last line is unread."""
    last_id = None
    for line in lines:
        at, sender = now - line.minutes_ago * MINUTE_MS, members[line.sender]
        if last_id is not None:
            for member in members:
                receipts.mark_read(
                    tx, conversation_id=str(conversation_id), user_id=member.id, up_to=last_id, now=at - MINUTE_MS
                )
        if conversation_id is None:
            recipient = Recipient(recipient_id=members[1 - line.sender].id)
        else:
            recipient = Recipient(conversation_id=conversation_id)
        draft = _draft(tx, sender, line, files, at)
        message = sending.send(tx, sender=sender, recipient=recipient, draft=draft, now=at).message
        conversation_id, last_id = message.conversation_id, message.id


def _draft(tx: Connection, sender: Person, line: Line, files: Mapping[str, StoredFile], at: int) -> MessageDraft:
    file = files.get(line.file or "")
    if file is None:
        return MessageDraft(content=line.content)
    attachment = records.create(tx, owner_id=sender.id, file=file, quota=0, now=at)
    return MessageDraft(
        content=line.content, type="image" if file.thumbnail else "file", attachment_ids=[attachment.id]
    )


def _draw_sketch() -> bytes:
    """Return a PNG image that looks like the layout of a web page."""
    # Imported here because the hub imports this module at start but never draws.
    from PIL import Image

    page = Image.new("RGB", (960, 600), "#f6f4ef")
    page.paste("#2f4b7c", (0, 0, 960, 84))
    for column in range(3):
        left = 48 + column * 296
        page.paste("#ffa600", (left, 132, left + 272, 300))
        page.paste("#d9d4c7", (left, 324, left + 272, 348))
        page.paste("#d9d4c7", (left, 364, left + 200, 388))
    image = io.BytesIO()
    page.save(image, "PNG")
    return image.getvalue()
