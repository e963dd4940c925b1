"""Conversations for the demo, by the same units of work that serve real people: two about a job, and a group."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

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

_TALKED = select(t.conversations.c.id).where(t.conversations.c.direct_key == bindparam("direct_key"))
_GROUP = select(t.conversations.c.id).where(
    t.conversations.c.creator_id == bindparam("maker"), t.conversations.c.title == bindparam("called")
)
GROUP_TITLE: Final = "Launch week"
NOTES_FILE: Final = "notes.txt"
SKETCH_FILE: Final = "sketch.png"

_NOTES = """Notes from the call

- The list should load without a spinner
- Keep the old addresses working
- Staging is fine until Thursday; then live
"""


@dataclass(frozen=True, slots=True)
class Line:
    """What the `who`-th of those who talk says, `ago` milliseconds before now; `file` goes along."""

    sender: int
    age_ms: int
    content: str
    file: str | None = None


HIRED_LINES: Final = (
    Line(0, 2 * DAY_MS, "Hi! Thanks for the bid. Could you start on Monday?"),
    Line(1, 2 * DAY_MS - 4 * MINUTE_MS, "Monday works. I would begin with the import, then the pages."),
    Line(0, 2 * DAY_MS - 6 * MINUTE_MS, "Good. Here is what we said on the phone.", NOTES_FILE),
    Line(1, 2 * DAY_MS - 20 * MINUTE_MS, "Got it, thank you. One question: do the old links have to keep working?"),
    Line(0, DAY_MS, "Yes please, we have them printed on the boxes 😅"),
    Line(1, 3 * HOUR_MS, "Then I will redirect them. First sketch of the start page:", SKETCH_FILE),
    Line(1, 3 * HOUR_MS - 2 * MINUTE_MS, "The colours are only a guess."),
)
APPLICANT_LINES: Final = (
    Line(1, 5 * HOUR_MS, "Hello, I saw your job and have a question before I bid."),
    Line(1, 5 * HOUR_MS - MINUTE_MS, "Is the text already written, or is that part of it?"),
    Line(0, 4 * HOUR_MS, "It is written, about 20 pages. It only needs a second pair of eyes."),
    Line(1, 40 * MINUTE_MS, "Perfect, then I can do it this week."),
)
GROUP_LINES: Final = (
    Line(0, DAY_MS, "Welcome, everybody! Let us keep what concerns all of us in here."),
    Line(1, DAY_MS - 10 * MINUTE_MS, "👋"),
    Line(2, DAY_MS - 12 * MINUTE_MS, "Hi all. Who has the logins for staging?"),
    Line(0, DAY_MS - 30 * MINUTE_MS, "I will send them to each of you, not in here."),
    Line(1, 2 * HOUR_MS, "Staging is up. Please have a look before tomorrow noon."),
    Line(2, 25 * MINUTE_MS, "Looks good. Two typos on the second page, I will fix them."),
)


def create_files(files: FileStore) -> dict[str, StoredFile]:
    """Put the files that go along on disk, for `fill`. Blocks."""
    files.prepare()
    notes, sketch = files.create_temporary(), files.create_temporary()
    try:
        notes.write(_NOTES.encode())
        notes.finish()
        files.commit(notes, None)
        sketch.write(_sketch())
        sketch.finish()
        looked = inspect(sketch.path, "image/png")
        files.commit(sketch, looked.thumbnail)
    finally:
        notes.discard()
        sketch.discard()
    text = StoredFile(hash=notes.hash, name=NOTES_FILE, type="text/plain", size=notes.size)
    image = StoredFile(
        hash=sketch.hash,
        name=SKETCH_FILE,
        type="image/png",
        size=sketch.size,
        width=looked.width,
        height=looked.height,
        thumbnail=True,
    )
    return {NOTES_FILE: text, SKETCH_FILE: image}


def fill(
    tx: Connection, *, owner: Person, hired: Person, applicant: Person, files: Mapping[str, StoredFile], now: int
) -> int:
    """Let an owner talk with whom they hired, with somebody who asks, and with both; returns how many were made.

    What is there already stays as it is. `files` are those of `make_files`; without them nothing goes along.
    """
    made = 0
    for other, lines in ((hired, HIRED_LINES), (applicant, APPLICANT_LINES)):
        pair = message_membership.direct_key(owner.id, other.id)
        if tx.execute(_TALKED, {"direct_key": pair}).first() is None:
            _talk(tx, (owner, other), lines, None, files, now)
            made += 1
    if tx.execute(_GROUP, {"maker": owner.id, "called": GROUP_TITLE}).first() is None:
        began = now - DAY_MS - HOUR_MS
        ids = [hired.id, applicant.id]
        group = groups.create(tx, creator_id=owner.id, member_ids=ids, title=GROUP_TITLE, now=began)
        _talk(tx, (owner, hired, applicant), GROUP_LINES, group.id, files, now)
        made += 1
    return made


def _talk(
    tx: Connection,
    people: Sequence[Person],
    lines: Sequence[Line],
    place: str | None,
    files: Mapping[str, StoredFile],
    now: int,
) -> None:
    """All of it; whoever hears a line reads it before the next, so that only what was said last is unread."""
    last = None
    for line in lines:
        at, sender = now - line.age_ms, people[line.sender]
        if last is not None:
            for other in people:
                receipts.mark_read(tx, conversation_id=str(place), user_id=other.id, up_to=last, now=at - MINUTE_MS)
        to = Recipient(recipient_id=people[1 - line.sender].id) if place is None else Recipient(conversation_id=place)
        sent = sending.send(tx, sender=sender, recipient=to, draft=_words(tx, sender, line, files, at), now=at).message
        place, last = sent.conversation_id, sent.id


def _words(tx: Connection, sender: Person, line: Line, files: Mapping[str, StoredFile], at: int) -> MessageDraft:
    file = files.get(line.file or "")
    if file is None:
        return MessageDraft(content=line.content)
    added = records.create(tx, owner_id=sender.id, file=file, quota=0, now=at)
    return MessageDraft(content=line.content, type="image" if file.thumbnail else "file", attachment_ids=[added.id])


def _sketch() -> bytes:
    made = io.BytesIO()
    # The hub knows this file too, and makes no pictures.
    from PIL import Image

    page = Image.new("RGB", (960, 600), "#f6f4ef")
    page.paste("#2f4b7c", (0, 0, 960, 84))
    for column in range(3):
        left = 48 + column * 296
        page.paste("#ffa600", (left, 132, left + 272, 300))
        page.paste("#d9d4c7", (left, 324, left + 272, 348))
        page.paste("#d9d4c7", (left, 364, left + 200, 388))
    page.save(made, "PNG")
    return made.getvalue()
