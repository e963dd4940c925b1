"""Every URL, who may call it, what goes in and out; `market`, `talk` and `ways` hold those of their rooms."""

from collections.abc import Sequence
from typing import Any

from api.http.bodies import PageQuery
from api.operations import openapi
from api.operations.operation import Operation
from api.operations.policy import ADMIN, ANYBODY, USER, service
from api.routes import (
    announcements,
    auth,
    broadcast,
    demo,
    health,
    inbox,
    notifications,
    realtime,
    stream,
    table_market,
    table_talk,
    table_ways,
    tickets,
    users,
)
from services.accounts.schemas import Me, SessionList, SignInResult, Ticket
from services.event_log.channels import ROLES
from services.notifications import listing
from services.notifications.broadcasts import BroadcastAccepted
from services.notifications.change_rules import Verb
from services.notifications.change_steps import ChangeResult
from services.notifications.removal import Retracted
from services.notifications.schemas import Announcement, Notification
from services.notifications.sending import SendResult
from services.pagination import Page

_CHANGES: Sequence[tuple[Verb, str]] = (
    ("read", "Mark notifications as read."),
    ("unread", "Mark notifications as unread."),
    ("seen", "Mark notifications as seen."),
    ("archive", "Put notifications into the archive."),
    ("unarchive", "Take notifications out of the archive."),
)

_OPERATIONS: Sequence[Operation] = (
    # Realtime
    Operation(
        method="GET",
        path="/api/realtime/connect",
        handler=stream.connect,
        policy=USER,
        query=stream.Connect,
        media_type="text/event-stream",
    ),
    Operation(
        method="GET",
        path="/api/realtime/status",
        handler=realtime.status,
        policy=ANYBODY,
        response=realtime.Status,
    ),
    Operation(
        method="POST",
        path="/api/realtime/tickets",
        handler=tickets.take,
        policy=service("tickets", roles=frozenset(ROLES)),
        body=tickets.TicketFor,
        body_optional=True,
        response=Ticket,
    ),
    Operation(
        method="POST",
        path="/api/realtime/notifications/send",
        handler=notifications.send,
        policy=service("notify", roles=frozenset({"admin"})),
        body=notifications.SendNotification,
        response=SendResult,
        status=201,
    ),
    Operation(
        method="POST",
        path="/api/realtime/notifications/send/batch",
        handler=notifications.send_batch,
        policy=service("notify", roles=frozenset({"admin"})),
        body=notifications.Batch,
        response=list[SendResult],
        status=201,
        body_bytes=notifications.BATCH_BYTES,
    ),
    Operation(
        method="POST",
        path="/api/realtime/notifications/retract",
        handler=notifications.retract,
        policy=service("notify", roles=frozenset({"admin"})),
        body=notifications.Retract,
        response=Retracted,
    ),
    Operation(
        method="POST",
        path="/api/realtime/broadcast",
        handler=broadcast.send,
        policy=service("broadcast", "jobs", roles=frozenset({"admin"})),
        body=broadcast.Broadcast,
        response=BroadcastAccepted,
        status=202,
    ),
    Operation(
        method="POST",
        path="/api/announcements",
        handler=announcements.post,
        policy=ADMIN,
        body=announcements.NewAnnouncement,
        response=Announcement,
        status=201,
    ),
    Operation(
        method="GET",
        path="/api/announcements",
        handler=announcements.page,
        policy=USER,
        query=PageQuery,
        response=Page[Announcement],
    ),
    Operation(
        method="POST",
        path="/api/notifications/{id}/actions/{actionId}",
        handler=inbox.do_action,
        policy=USER,
        response=Notification,
    ),
    *(
        Operation(
            method="POST",
            path=f"/api/realtime/notifications/{verb}",
            handler=inbox.change(verb, summary),
            policy=USER,
            body=inbox.InboxSelection,
            response=ChangeResult,
        )
        for verb, summary in _CHANGES
    ),
    Operation(
        method="POST",
        path="/api/realtime/notifications/undo",
        handler=inbox.undo,
        policy=USER,
        body=inbox.Undo,
        response=ChangeResult,
    ),
    Operation(method="GET", path="/api/demo/users", handler=demo.users, policy=ANYBODY, response=demo.DemoUsers),
    Operation(
        method="GET",
        path="/api/notifications",
        handler=inbox.page,
        policy=USER,
        query=inbox.InboxPage,
        response=listing.InboxPage,
    ),
    # Who is asking
    Operation(
        method="POST",
        path="/api/auth/signup",
        handler=auth.sign_up,
        policy=ANYBODY,
        body=auth.SignUp,
        response=SignInResult,
        status=201,
    ),
    Operation(
        method="POST",
        path="/api/auth/login",
        handler=auth.log_in,
        policy=ANYBODY,
        body=auth.LogIn,
        response=SignInResult,
    ),
    Operation(method="POST", path="/api/auth/logout", handler=auth.log_out, policy=USER),
    Operation(method="GET", path="/api/auth/me", handler=auth.me, policy=USER, response=Me),
    Operation(
        method="PATCH", path="/api/auth/me", handler=auth.patch_me, policy=USER, body=auth.MyChanges, response=Me
    ),
    Operation(
        method="POST", path="/api/auth/password", handler=auth.change_password, policy=USER, body=auth.NewPassword
    ),
    Operation(
        method="GET",
        path="/api/auth/sessions",
        handler=auth.sessions,
        policy=USER,
        query=PageQuery,
        response=SessionList,
    ),
    Operation(method="DELETE", path="/api/auth/sessions/{id}", handler=auth.end_session, policy=USER),
    Operation(
        method="PUT",
        path="/api/users/by-external-id/{externalId}",
        handler=users.put_by_external_id,
        policy=service("users"),
        body=users.ExternalUser,
        response=Me,
        path_suffix=True,
    ),
    # Conversations
    *table_talk.OPERATIONS,
    # The ways out
    *table_ways.OPERATIONS,
    # The marketplace
    *table_market.OPERATIONS,
    # Operations
    Operation(method="GET", path="/api/health", handler=health.health, policy=ANYBODY, response=health.Health),
    Operation(method="GET", path="/api/ready", handler=health.ready, policy=ANYBODY, response=health.Health),
    Operation(
        method="GET", path="/metrics", handler=health.metrics, policy=ANYBODY, anonymous=True, media_type="text/plain"
    ),
)

OPERATIONS: Sequence[Operation] = (
    *_OPERATIONS,
    Operation(
        method="GET",
        path="/openapi.json",
        handler=openapi.handler(_OPERATIONS),
        policy=ANYBODY,
        response=dict[str, Any],
    ),
)
