"""Messages."""

from operator import attrgetter
from typing import Annotated

import msgspec
from msgspec import Meta
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

# `MessageDraft` checks the characters.
Content = Annotated[str, Meta(max_length=MAX_CONTENT)]


class NewMessage(Body, frozen=True):
    """A message to a user or a conversation; a repeated `clientMessageId` does not send it again."""

    recipient_id: Id | None = None
    conversation_id: Id | None = None
    content: Content = ""
    type: MessageType = "text"
    attachment_ids: Annotated[list[Id], Meta(max_length=MAX_FILES)] = msgspec.field(default_factory=list)
    reply_to: Id | None = None
    client_message_id: Line64 | None = None


class ReadPosition(Body, frozen=True):
    """The last message of a conversation that the user has read."""

    conversation_id: Id
    up_to: Id


class MessageEdit(Body, frozen=True):
    """The new content of a message."""

    content: Content


class HistoryQuery(Query, frozen=True):
    """The messages before or after a message; by default the last ones."""

    before: Id | None = None
    after: Id | None = None
    limit: PageLimit = pagination.DEFAULT_LIMIT


async def send(call: Call[NewMessage, None]) -> Message | Response | bytes:
    """Send a message; a repeated clientMessageId returns 200 with the first message."""
    body = call.body
    if (body.recipient_id is None) == (body.conversation_id is None):
        raise InvalidField("/recipientId", "type", "Give either recipientId or conversationId.")
    draft = MessageDraft(
        type=body.type,
        content=body.content,
        attachment_ids=body.attachment_ids,
        reply_to=body.reply_to,
        client_message_id=body.client_message_id,
    )
    await _count_direct_message(call)
    response, result = await call.write_with_response(
        sending.send,
        attrgetter("message"),
        sender=Person(id=call.user.id, name=call.user.name),
        recipient=Recipient(recipient_id=body.recipient_id, conversation_id=body.conversation_id),
        draft=draft,
    )
    if result is not None and not result.created:
        content = response if isinstance(response, bytes) else msgspec.json.encode(response)
        return Response(content, headers={"cache-control": "no-store"}, media_type="application/json")
    return response


async def _count_direct_message(call: Call[NewMessage, None]) -> None:
    """Count a message against the limit from one user to another. Raises RateLimited."""
    sender_id, recipient_id = call.user.id, call.body.recipient_id
    if recipient_id is None:
        user_ids = await call.read(membership.direct_users, conversation_id=str(call.body.conversation_id))
        if sender_id not in user_ids:
            return
        recipient_id = user_ids[user_ids[0] == sender_id]
    call.hub.rate_limits.direct_messages.hit(f"{sender_id}:{recipient_id}")


async def mark_read(call: Call[ReadPosition, None]) -> ReadReceipt:
    """Mark a conversation read up to a message, on all devices."""
    body = call.body
    call.hub.rate_limits.read_receipts.hit(f"{call.user.id}:{body.conversation_id}")
    return await call.write(
        receipts.mark_read, conversation_id=body.conversation_id, user_id=call.user.id, up_to=body.up_to
    )


async def edit(call: Call[MessageEdit, None]) -> Message:
    """Edit your message; members see that it was edited."""
    call.hub.rate_limits.changes.hit(call.user.id)
    return await call.write(editing.edit, message_id=call.path("id"), user_id=call.user.id, content=call.body.content)


async def delete(call: Call[None, None]) -> None:
    """Delete your message; its content and attachments are removed, an empty message remains."""
    call.hub.rate_limits.changes.hit(call.user.id)
    await call.write(editing.delete_message, message_id=call.path("id"), user_id=call.user.id)


async def list_messages(call: Call[None, HistoryQuery]) -> Messages:
    """List the messages of a conversation, newest first, before or after a message."""
    query = call.query
    return await call.read(
        message_history.list_messages,
        conversation_id=call.path("id"),
        user_id=call.user.id,
        before=query.before,
        after=query.after,
        limit=query.limit,
    )
