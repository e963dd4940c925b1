"""Sending a message: its row, everybody's counts, an event on each member's channel and notifications, all at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, case, insert, or_, select, update

from services.accounts import users
from services.accounts.users import UserRef
from services.errors import InvalidField
from services.ids import new_id
from services.messages import events, groups, history
from services.messages import membership as message_membership
from services.messages import notifications as message_notifications
from services.messages.draft import MessageDraft, Recipient
from services.messages.membership import Unread
from services.messages.notifications import ACTIVE_MS
from services.messages.schemas import Attachment, Message
from services.notifications import inbox
from services.schemas import Person
from services.tables import attachments, conversation_members, conversations
from services.tables import messages as table_messages

# What a page shows in place, and what must be nothing else for a message of type image.
IMAGES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})

_c, _m, _s, _a = conversations.c, conversation_members.c, table_messages.c, attachments.c

_DIRECT = select(_c.id).where(_c.pair == bindparam("pair"))
_SENT_BEFORE = select(_s.id).where(
    _s.conversation_id == bindparam("place"),
    _s.sender_id == bindparam("who"),
    _s.client_message_id == bindparam("mark"),
)
_FILES = select(_a.id, _a.name, _a.type, _a.size, _a.width, _a.height, _a.thumbnail).where(
    _a.id.in_(bindparam("ids", expanding=True)), _a.owner_id == bindparam("who"), _a.message_id.is_(None)
)
_OPEN, _JOIN = insert(conversations), insert(conversation_members)
_SAY = insert(table_messages).returning(*history.COLUMNS)
_ATTACH = (
    update(attachments).where(_a.id == bindparam("which")).values(message_id=bindparam("to"), place=bindparam("at"))
)
_MOVE = (
    update(conversations)
    .where(_c.id == bindparam("which"))
    .values(last_seq=bindparam("seq"), updated_at=bindparam("now"))
)
_BY_SENDER = _m.user_id == bindparam("sender")
_IS_LOOKING = or_(_m.notify_at.is_not(None), _m.looked_at > bindparam("lately"))
# What one says one has read, and all before it.
_COUNT = (
    update(conversation_members)
    .where(_m.conversation_id == bindparam("which"))
    .values(
        activity=bindparam("seq"),
        unread=case((_BY_SENDER, 0), else_=_m.unread + 1),
        read_seq=case((_BY_SENDER, bindparam("seq")), else_=_m.read_seq),
        delivered_seq=case((_BY_SENDER, bindparam("seq")), else_=_m.delivered_seq),
        looked_at=case((_BY_SENDER, bindparam("now")), else_=_m.looked_at),
        notify_at=case(
            (or_(_BY_SENDER, _m.muted == 1), None),
            (_IS_LOOKING, case((_m.notify_at.is_(None), bindparam("then")), else_=_m.notify_at)),
            else_=None,
        ),
    )
    .returning(_m.user_id, _m.unread, _m.muted, _m.notify_at)
)


@dataclass(frozen=True, slots=True)
class SendMessageResult:
    """A message, and whether it is new or the one that was sent before under the same mark."""

    message: Message
    new: bool


@dataclass(frozen=True, slots=True)
class _Target:
    """The conversation as the sender sees it; a direct one may have to be made first (`peer` is then set)."""

    id: str
    kind: str
    title: str | None
    pair: str | None
    from_seq: int
    unread: int
    peer: str | None = None


def send(tx: Connection, *, sender: Person, to: Recipient, words: MessageDraft, now: int) -> SendMessageResult:
    """Say something in a conversation, or to somebody, with whom a direct one is made if there is none yet.

    Raises NotFound for a conversation one is not in, Forbidden where one of the two has blocked the other, and
    InvalidField.
    """
    place = _place(tx, sender.id, to)
    before = _find_duplicate(tx, place, sender.id, words.client_message_id)
    if before is not None:
        return SendMessageResult(before, new=False)
    if place.pair is not None:
        message_membership.require_not_blocked(tx, user_id=sender.id, pair=place.pair)
    if words.reply_to is not None:
        history.position_of(
            tx, message_id=words.reply_to, conversation_id=place.id, past=place.from_seq, pointer="/replyTo"
        )
    files = _files(tx, sender.id, words)
    if place.peer is not None:
        _create_direct(tx, place, sender.id, now)
    return SendMessageResult(_insert_message(tx, place, sender, words, files, now), new=True)


def _place(tx: Connection, sender_id: str, to: Recipient) -> _Target:
    if to.conversation_id is not None:
        return _existing_target(tx, to.conversation_id, sender_id)
    assert to.recipient_id is not None
    peer = users.resolve_refs(tx, refs=[UserRef("/recipientId", to.recipient_id)])[0]
    if peer == sender_id:
        raise InvalidField("/recipientId", "range", "A message goes to somebody else.")
    pair = message_membership.direct_key(sender_id, peer)
    found = tx.execute(_DIRECT, {"pair": pair}).scalar_one_or_none()
    if found is not None:
        return _existing_target(tx, found, sender_id)
    return _Target(new_id(), "direct", None, pair, 0, 0, peer)


def _existing_target(tx: Connection, conversation_id: str, sender_id: str) -> _Target:
    row = message_membership.get_membership(tx, conversation_id=conversation_id, user_id=sender_id)
    return _Target(row.id, row.kind, row.title, row.pair, row.from_seq, row.unread)


def _find_duplicate(tx: Connection, place: _Target, sender_id: str, mark: str | None) -> Message | None:
    if mark is None or place.peer is not None:
        return None
    found = tx.execute(_SENT_BEFORE, {"place": place.id, "who": sender_id, "mark": mark}).scalar_one_or_none()
    return None if found is None else history.load_many(tx, ids=[found])[found]


def _files(tx: Connection, sender_id: str, words: MessageDraft) -> list[Attachment]:
    """What goes along, in the order in which it was named."""
    if not words.attachment_ids:
        return []
    found = {row.id: row for row in tx.execute(_FILES, {"ids": list(words.attachment_ids), "who": sender_id})}
    for at, each in enumerate(words.attachment_ids):
        if each not in found:
            raise InvalidField(f"/attachmentIds/{at}", "range", "You have uploaded no such file, or sent it already.")
        if words.type == "image" and found[each].type not in IMAGES:
            raise InvalidField(f"/attachmentIds/{at}", "type", "That is no image: send it as a file.")
    return [history.attachment_to_schema(found[each]) for each in words.attachment_ids]


def _create_direct(tx: Connection, place: _Target, maker_id: str, now: int) -> None:
    row = {
        "id": place.id,
        "kind": place.kind,
        "title": None,
        "pair": place.pair,
        "maker_id": maker_id,
        "last_seq": 0,
        "created_at": now,
        "updated_at": now,
    }
    tx.execute(_OPEN, row)
    tx.execute(_JOIN, [groups.member_row(place.id, user_id, now=now) for user_id in (maker_id, str(place.peer))])


def _insert_message(
    tx: Connection, place: _Target, sender: Person, words: MessageDraft, files: Sequence[Attachment], now: int
) -> Message:
    message_id, seq = new_id(), message_membership.next_position(tx)
    row = {
        "id": message_id,
        "conversation_id": place.id,
        "seq": seq,
        "sender_id": sender.id,
        "type": words.type,
        "content": words.content,
        "reply_to": words.reply_to,
        "client_message_id": words.client_message_id,
        "created_at": now,
        "edited_at": None,
        "deleted_at": None,
    }
    said = tx.execute(_SAY, row).one()
    if files:
        tx.execute(_ATTACH, [{"which": file.id, "to": message_id, "at": at} for at, file in enumerate(files)])
    tx.execute(_MOVE, {"which": place.id, "seq": seq, "now": now})
    readers = _count(tx, place.id, sender.id, seq, now)
    message = history.to_schema(said, sender.name, files)
    events.publish_created(tx, message, _counts(tx, readers), now=now)
    if place.unread:
        message_notifications.retract_for_reader(tx, user_id=sender.id, conversation_id=place.id, now=now)
    _notify(tx, place, message, readers, now)
    return message


def _count(tx: Connection, conversation_id: str, sender_id: str, seq: int, now: int) -> Sequence[Row[*tuple[Any, ...]]]:
    asked = {
        "which": conversation_id,
        "sender": sender_id,
        "seq": seq,
        "now": now,
        "lately": now - ACTIVE_MS,
        "then": now + ACTIVE_MS,
    }
    return tx.execute(_COUNT, asked).all()


def _counts(tx: Connection, readers: Sequence[Row[*tuple[Any, ...]]]) -> Mapping[str, Unread]:
    totals = message_membership.totals(tx, ids=[reader.user_id for reader in readers])
    return {reader.user_id: Unread(reader.unread, totals.get(reader.user_id, 0)) for reader in readers}


def _notify(
    tx: Connection, place: _Target, message: Message, readers: Sequence[Row[*tuple[Any, ...]]], now: int
) -> None:
    mail = [
        (each.user_id, message_notifications.draft_for(message, kind=place.kind, title=place.title, unread=each.unread))
        for each in readers
        if each.user_id != message.sender.id and not each.muted and each.notify_at is None
    ]
    if mail:
        inbox.deliver(tx, items=mail, now=now)
