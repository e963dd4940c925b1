"""The URLs of conversations, who may call them, what goes in and what comes out; presence and attachments too."""

from collections.abc import Sequence
from typing import Final

from api.http.bodies import PageQuery
from api.operations.operation import Operation
from api.operations.policy import USER
from api.routes import attachments, conversations, messages, presence
from services.messages.schemas import Attachment, Blocked, Conversation, Conversations, Message, Messages, Read
from services.pagination import Page
from services.presence.schemas import Presences

OPERATIONS: Final[Sequence[Operation]] = (
    Operation(
        method="POST",
        path="/api/realtime/messages/send",
        handler=messages.send,
        who=USER,
        body=messages.NewMessage,
        answer=Message,
        status=201,
        also=(200,),
        sends=True,
    ),
    Operation(
        method="POST",
        path="/api/realtime/messages/read",
        handler=messages.read,
        who=USER,
        body=messages.Reading,
        answer=Read,
    ),
    Operation(
        method="POST",
        path="/api/realtime/messages/typing",
        handler=presence.typing,
        who=USER,
        body=presence.Typing,
        status=202,
    ),
    Operation(
        method="GET",
        path="/api/conversations",
        handler=conversations.page,
        who=USER,
        query=PageQuery,
        answer=Conversations,
    ),
    Operation(
        method="POST",
        path="/api/conversations",
        handler=conversations.make,
        who=USER,
        body=conversations.NewGroup,
        answer=Conversation,
        status=201,
    ),
    Operation(method="GET", path="/api/conversations/{id}", handler=conversations.show, who=USER, answer=Conversation),
    Operation(
        method="PATCH",
        path="/api/conversations/{id}",
        handler=conversations.change,
        who=USER,
        body=conversations.Changes,
        answer=Conversation,
    ),
    Operation(
        method="GET",
        path="/api/conversations/{id}/messages",
        handler=messages.history,
        who=USER,
        query=messages.History,
        answer=Messages,
    ),
    Operation(
        method="POST",
        path="/api/conversations/{id}/members",
        handler=conversations.add,
        who=USER,
        body=conversations.Joining,
        answer=Conversation,
    ),
    Operation(method="DELETE", path="/api/conversations/{id}/members/{userId}", handler=conversations.remove, who=USER),
    Operation(
        method="PATCH",
        path="/api/messages/{id}",
        handler=messages.edit,
        who=USER,
        body=messages.NewWords,
        answer=Message,
    ),
    Operation(method="DELETE", path="/api/messages/{id}", handler=messages.remove, who=USER),
    Operation(method="PUT", path="/api/blocks/{userId}", handler=conversations.block, who=USER),
    Operation(method="DELETE", path="/api/blocks/{userId}", handler=conversations.unblock, who=USER),
    Operation(
        method="GET",
        path="/api/blocks",
        handler=conversations.blocked,
        who=USER,
        query=PageQuery,
        answer=Page[Blocked],
    ),
    Operation(method="POST", path="/api/presence", handler=presence.report, who=USER, body=presence.Report),
    Operation(
        method="PUT",
        path="/api/presence/visibility",
        handler=presence.set_visibility,
        who=USER,
        body=presence.Visibility,
    ),
    Operation(
        method="GET", path="/api/presence", handler=presence.show, who=USER, query=presence.Who, answer=Presences
    ),
    Operation(
        method="POST",
        path="/api/attachments",
        handler=attachments.upload,
        who=USER,
        answer=Attachment,
        status=201,
        uploads=True,
    ),
    Operation(
        method="GET",
        path="/api/attachments/{id}",
        handler=attachments.download,
        who=USER,
        query=attachments.Size,
        media_type="application/octet-stream",
    ),
)
