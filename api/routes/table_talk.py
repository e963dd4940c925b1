"""The URLs of conversations, who may call them, what goes in and what comes out; presence and attachments too."""

from collections.abc import Sequence
from typing import Final

from api.http.bodies import PageQuery
from api.operations.operation import Operation
from api.operations.policy import USER
from api.routes import attachments, conversations, messages, presence
from services.messages.schemas import (
    Attachment,
    BlockedUser,
    Conversation,
    Conversations,
    Message,
    Messages,
    ReadReceipt,
)
from services.pagination import Page
from services.presence.schemas import PresenceList

OPERATIONS: Final[Sequence[Operation]] = (
    Operation(
        method="POST",
        path="/api/realtime/messages/send",
        handler=messages.send,
        policy=USER,
        body=messages.NewMessage,
        response=Message,
        status=201,
        also=(200,),
        counts_as_send=True,
    ),
    Operation(
        method="POST",
        path="/api/realtime/messages/read",
        handler=messages.read,
        policy=USER,
        body=messages.ReadPosition,
        response=ReadReceipt,
    ),
    Operation(
        method="POST",
        path="/api/realtime/messages/typing",
        handler=presence.typing,
        policy=USER,
        body=presence.Typing,
        status=202,
    ),
    Operation(
        method="GET",
        path="/api/conversations",
        handler=conversations.page,
        policy=USER,
        query=PageQuery,
        response=Conversations,
    ),
    Operation(
        method="POST",
        path="/api/conversations",
        handler=conversations.make,
        policy=USER,
        body=conversations.NewGroup,
        response=Conversation,
        status=201,
    ),
    Operation(
        method="GET", path="/api/conversations/{id}", handler=conversations.show, policy=USER, response=Conversation
    ),
    Operation(
        method="PATCH",
        path="/api/conversations/{id}",
        handler=conversations.change,
        policy=USER,
        body=conversations.Changes,
        response=Conversation,
    ),
    Operation(
        method="GET",
        path="/api/conversations/{id}/messages",
        handler=messages.history,
        policy=USER,
        query=messages.History,
        response=Messages,
    ),
    Operation(
        method="POST",
        path="/api/conversations/{id}/members",
        handler=conversations.add,
        policy=USER,
        body=conversations.Joining,
        response=Conversation,
    ),
    Operation(
        method="DELETE", path="/api/conversations/{id}/members/{userId}", handler=conversations.remove, policy=USER
    ),
    Operation(
        method="PATCH",
        path="/api/messages/{id}",
        handler=messages.edit,
        policy=USER,
        body=messages.MessageEdit,
        response=Message,
    ),
    Operation(method="DELETE", path="/api/messages/{id}", handler=messages.remove, policy=USER),
    Operation(method="PUT", path="/api/blocks/{userId}", handler=conversations.block, policy=USER),
    Operation(method="DELETE", path="/api/blocks/{userId}", handler=conversations.unblock, policy=USER),
    Operation(
        method="GET",
        path="/api/blocks",
        handler=conversations.blocked,
        policy=USER,
        query=PageQuery,
        response=Page[BlockedUser],
    ),
    Operation(method="POST", path="/api/presence", handler=presence.report, policy=USER, body=presence.Report),
    Operation(
        method="PUT",
        path="/api/presence/visibility",
        handler=presence.set_visibility,
        policy=USER,
        body=presence.Visibility,
    ),
    Operation(
        method="GET",
        path="/api/presence",
        handler=presence.show,
        policy=USER,
        query=presence.Who,
        response=PresenceList,
    ),
    Operation(
        method="POST",
        path="/api/attachments",
        handler=attachments.upload,
        policy=USER,
        response=Attachment,
        status=201,
        uploads=True,
    ),
    Operation(
        method="GET",
        path="/api/attachments/{id}",
        handler=attachments.download,
        policy=USER,
        query=attachments.Size,
        media_type="application/octet-stream",
    ),
)
