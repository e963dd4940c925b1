"""Messages over HTTP: sent, read, changed, and the page by page history of a conversation."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import Connection
from starlette.responses import Response

from api.http.bodies import Body, Id, Line64, PageLimit, Query
from api.operations.call import Call
from services import pagination
from services.errors import InvalidField
from services.messages import editing, membership, receipts, sending
from services.messages import history as message_history
from services.messages.draft import MAX_CONTENT, MAX_FILES, MessageDraft, Recipient
from services.messages.schemas import Message, Messages, MessageType, ReadReceipt
from services.schemas import Person

# What it may hold is said where words are checked, in `Words`.
Content = Annotated[str, Meta(max_length=MAX_CONTENT)]


class NewMessage(Body, frozen=True):
    """What is said, to somebody or in a conversation; `clientMessageId` makes sending it again harmless."""

    recipient_id: Id | None = None
    conversation_id: Id | None = None
    content: Content = ""
    type: MessageType = "text"
    attachment_ids: Annotated[list[Id], Meta(max_length=MAX_FILES)] = msgspec.field(default_factory=list)
    reply_to: Id | None = None
    client_message_id: Line64 | None = None


class ReadPosition(Body, frozen=True):
    """The last message that was read."""

    conversation_id: Id
    up_to: Id


class MessageEdit(Body, frozen=True):
    """What a message says from now on."""

    content: Content


class History(Query, frozen=True):
    """Which part of a conversation: what is before a message, or after it, or the last of it."""

    before: Id | None = None
    after: Id | None = None
    limit: PageLimit = pagination.DEFAULT_LIMIT


async def send(call: Call[NewMessage, None]) -> Message | Response | bytes:
    """Send a message; the same clientMessageId again is answered 200 with the same message."""
    body = call.body
    if (body.recipient_id is None) == (body.conversation_id is None):
        raise InvalidField("/recipientId", "type", "Give either recipientId or conversationId.")
    words = MessageDraft(
        type=body.type,
        content=body.content,
        attachment_ids=body.attachment_ids,
        reply_to=body.reply_to,
        client_message_id=body.client_message_id,
    )
    await _count(call)
    again = list[bool]()
    answer = await call.write_idempotent(
        _send,
        sender=Person(id=call.user.id, name=call.user.name),
        to=Recipient(recipient_id=body.recipient_id, conversation_id=body.conversation_id),
        words=words,
        again=again,
    )
    if again == [True]:
        content = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
        return Response(content, headers={"cache-control": "no-store"}, media_type="application/json")
    return answer


def _send(tx: Connection, *, again: list[bool], now: int, **what: Any) -> Message:
    """The unit, and for the answer's status whether it was sent before: should it run again, that is replaced."""
    sent = sending.send(tx, **what, now=now)
    again[:] = [not sent.new]
    return sent.message


async def _count(call: Call[NewMessage, None]) -> None:
    """One person may not flood another. Raises RateLimited."""
    me, recipient = call.user.id, call.body.recipient_id
    if recipient is None:
        pair = await call.read(membership.direct_users, conversation_id=str(call.body.conversation_id))
        if me not in pair:
            return
        recipient = pair[pair[0] == me]
    call.hub.paces.pair.hit(f"{me}:{recipient}")


async def read(call: Call[ReadPosition, None]) -> ReadReceipt:
    """Say up to where one has read; one's other devices follow."""
    body = call.body
    call.hub.paces.read.hit(f"{call.user.id}:{body.conversation_id}")
    return await call.write(
        receipts.mark_read, conversation_id=body.conversation_id, user_id=call.user.id, up_to=body.up_to
    )


async def edit(call: Call[MessageEdit, None]) -> Message:
    """Give one's own message other words; the others see that it was edited."""
    call.hub.paces.change.hit(call.user.id)
    return await call.write(editing.edit, message_id=call.path("id"), user_id=call.user.id, content=call.body.content)


async def remove(call: Call[None, None]) -> None:
    """Delete one's own message: its words and files are gone, its place stays."""
    call.hub.paces.change.hit(call.user.id)
    await call.write(editing.delete_message, message_id=call.path("id"), user_id=call.user.id)


async def history(call: Call[None, History]) -> Messages:
    """Part of a conversation, the newest first; `next` goes on in the same direction."""
    query = call.query
    return await call.read(
        message_history.list_messages,
        conversation_id=call.path("id"),
        user_id=call.user.id,
        before=query.before,
        after=query.after,
        limit=query.limit,
    )
