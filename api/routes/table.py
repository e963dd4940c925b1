"""Every URL, who may call it, what goes in and out; `market`, `talk` and `ways` hold those of their rooms."""

from collections.abc import Sequence
from typing import Any

from api.http.bodies import PageQuery
from api.operations import openapi
from api.operations.operation import Operation
from api.operations.policy import ADMIN, ANYBODY, USER, service
from api.routes import announcements, auth, broadcast, demo, health, inbox, notifications, realtime, tickets, users
from api.routes import stream as connect
from api.routes import table_market as market
from api.routes import table_talk as talk
from api.routes import table_ways as ways
from services.accounts.schemas import Logins, Self, SignIn, Ticket
from services.event_log.channels import ROLES
from services.notifications import listing as inboxes
from services.notifications.broadcasts import Accepted
from services.notifications.change_rules import Verb
from services.notifications.change_steps import Changes
from services.notifications.removal import Retracted
from services.notifications.schemas import Announcement, Notification
from services.notifications.sending import Sent
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
        handler=connect.connect,
        who=USER,
        query=connect.Connect,
        media_type="text/event-stream",
    ),
    Operation(
        method="GET",
        path="/api/realtime/status",
        handler=realtime.status,
        who=ANYBODY,
        answer=realtime.Status,
    ),
    Operation(
        method="POST",
        path="/api/realtime/tickets",
        handler=tickets.take,
        who=service("tickets", roles=frozenset(ROLES)),
        body=tickets.TicketFor,
        body_optional=True,
        answer=Ticket,
    ),
    Operation(
        method="POST",
        path="/api/realtime/notifications/send",
        handler=notifications.send,
        who=service("notify", roles=frozenset({"admin"})),
        body=notifications.Send,
        answer=Sent,
        status=201,
    ),
    Operation(
        method="POST",
        path="/api/realtime/notifications/send/batch",
        handler=notifications.send_batch,
        who=service("notify", roles=frozenset({"admin"})),
        body=notifications.Batch,
        answer=list[Sent],
        status=201,
        body_bytes=notifications.BATCH_BYTES,
    ),
    Operation(
        method="POST",
        path="/api/realtime/notifications/retract",
        handler=notifications.retract,
        who=service("notify", roles=frozenset({"admin"})),
        body=notifications.Retract,
        answer=Retracted,
    ),
    Operation(
        method="POST",
        path="/api/realtime/broadcast",
        handler=broadcast.send,
        who=service("broadcast", "jobs", roles=frozenset({"admin"})),
        body=broadcast.Broadcast,
        answer=Accepted,
        status=202,
    ),
    Operation(
        method="POST",
        path="/api/announcements",
        handler=announcements.post,
        who=ADMIN,
        body=announcements.NewAnnouncement,
        answer=Announcement,
        status=201,
    ),
    Operation(
        method="GET",
        path="/api/announcements",
        handler=announcements.page,
        who=USER,
        query=PageQuery,
        answer=Page[Announcement],
    ),
    Operation(
        method="POST",
        path="/api/notifications/{id}/actions/{actionId}",
        handler=inbox.do_action,
        who=USER,
        answer=Notification,
    ),
    *(
        Operation(
            method="POST",
            path=f"/api/realtime/notifications/{verb}",
            handler=inbox.change(verb, summary),
            who=USER,
            body=inbox.Which,
            answer=Changes,
        )
        for verb, summary in _CHANGES
    ),
    Operation(
        method="POST",
        path="/api/realtime/notifications/undo",
        handler=inbox.undo,
        who=USER,
        body=inbox.Undo,
        answer=Changes,
    ),
    Operation(method="GET", path="/api/demo/users", handler=demo.users, who=ANYBODY, answer=demo.DemoUsers),
    Operation(
        method="GET",
        path="/api/notifications",
        handler=inbox.page,
        who=USER,
        query=inbox.InboxPage,
        answer=inboxes.Page,
    ),
    # Who is asking
    Operation(
        method="POST",
        path="/api/auth/signup",
        handler=auth.sign_up,
        who=ANYBODY,
        body=auth.SignUp,
        answer=SignIn,
        status=201,
    ),
    Operation(method="POST", path="/api/auth/login", handler=auth.log_in, who=ANYBODY, body=auth.LogIn, answer=SignIn),
    Operation(method="POST", path="/api/auth/logout", handler=auth.log_out, who=USER),
    Operation(method="GET", path="/api/auth/me", handler=auth.me, who=USER, answer=Self),
    Operation(method="PATCH", path="/api/auth/me", handler=auth.patch_me, who=USER, body=auth.MyChanges, answer=Self),
    Operation(method="POST", path="/api/auth/password", handler=auth.change_password, who=USER, body=auth.NewPassword),
    Operation(
        method="GET",
        path="/api/auth/sessions",
        handler=auth.sessions,
        who=USER,
        query=PageQuery,
        answer=Logins,
    ),
    Operation(method="DELETE", path="/api/auth/sessions/{id}", handler=auth.end_session, who=USER),
    Operation(
        method="PUT",
        path="/api/users/by-external-id/{externalId}",
        handler=users.put_by_external_id,
        who=service("users"),
        body=users.ExternalUser,
        answer=Self,
        slashes=True,
    ),
    # Conversations
    *talk.OPERATIONS,
    # The ways out
    *ways.OPERATIONS,
    # The marketplace
    *market.OPERATIONS,
    # Operations
    Operation(method="GET", path="/api/health", handler=health.health, who=ANYBODY, answer=health.Health),
    Operation(method="GET", path="/api/ready", handler=health.ready, who=ANYBODY, answer=health.Health),
    Operation(
        method="GET", path="/metrics", handler=health.metrics, who=ANYBODY, anonymous=True, media_type="text/plain"
    ),
)

OPERATIONS: Sequence[Operation] = (
    *_OPERATIONS,
    Operation(
        method="GET", path="/openapi.json", handler=openapi.handler(_OPERATIONS), who=ANYBODY, answer=dict[str, Any]
    ),
)
