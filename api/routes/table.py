"""Every URL of the API on one screen; `api/web/pages.py` has those of the pages."""

from collections.abc import Sequence
from typing import Any, Final

from api.http.bodies import EmptyBody, PageQuery
from api.operations import openapi
from api.operations.operation import Operation, delete, get, patch, post, put
from api.operations.policy import ADMIN, ANYBODY, CLIENT, FREELANCER, USER, service
from api.routes import (
    announcements,
    attachments,
    auth,
    bids,
    comments,
    conversations,
    demo,
    email_links,
    health,
    inbox,
    jobs,
    messages,
    notifications,
    preferences,
    presence,
    push,
    realtime,
    statistics,
    stream,
    users,
    wallet,
)
from api.routes.announcements import NewAnnouncement
from api.routes.attachments import DownloadQuery
from api.routes.auth import LogIn, PasswordChange, ProfileUpdate, SignUp
from api.routes.bids import NewBid, OwnBids
from api.routes.comments import NewComment
from api.routes.conversations import ConversationUpdate, NewGroup, NewMembers
from api.routes.demo import DemoUsers
from api.routes.email_links import LinkQuery, PasswordReset, PasswordResetRequest
from api.routes.health import Health
from api.routes.inbox import InboxQuery, InboxSelection, UndoRequest
from api.routes.jobs import JobChanges, JobList, JobSearch, NewJob, StatusChange
from api.routes.messages import HistoryQuery, MessageEdit, NewMessage, ReadPosition
from api.routes.notifications import MAX_BATCH_BYTES, Batch, Retract, SendNotification
from api.routes.preferences import PreferencesUpdate
from api.routes.presence import ActivityReport, PresenceQuery, TypingUpdate, VisibilityUpdate
from api.routes.push import PushKey, Subscription, SubscriptionEndpoint
from api.routes.realtime import Broadcast, Status, TicketRequest
from api.routes.stream import Connect
from api.routes.users import ExternalUser
from api.routes.wallet import Deposit, Withdrawal
from services.accounts.schemas import Me, Profile, SessionList, SignInResult, Ticket
from services.delivery.push_subscriptions import SubscriptionSaved
from services.delivery.queue import TestResult
from services.delivery.report import DeliveryReport
from services.event_log.channels import ROLES
from services.jobs.hiring import Hired
from services.jobs.listing import Suggestions
from services.jobs.schemas import Bid, Comment, Job
from services.jobs.statistics import Statistics
from services.messages.schemas import (
    Attachment,
    BlockedUser,
    Conversation,
    Conversations,
    Message,
    Messages,
    ReadReceipt,
)
from services.notifications.broadcasts import BroadcastAccepted
from services.notifications.change_steps import ChangeResult
from services.notifications.listing import InboxPage
from services.notifications.preferences import Preferences
from services.notifications.removal import Retracted
from services.notifications.schemas import Announcement, Notification
from services.notifications.sending import SendResult
from services.pagination import Page
from services.payments.schemas import Wallet, WalletEntry
from services.presence.schemas import PresenceList

TICKETS: Final = service("tickets", roles=frozenset(ROLES))
NOTIFY: Final = service("notify", roles=frozenset({"admin"}))
BROADCAST: Final = service("broadcast", "jobs", roles=frozenset({"admin"}))
USERS: Final = service("users")
DEPOSIT: Final = service("deposit")
HTML: Final = "text/html"
BINARY: Final = "application/octet-stream"

_OPERATIONS: Final[Sequence[Operation]] = (
    # Streams
    get("/api/realtime/connect", stream.connect, USER, query=Connect, media_type="text/event-stream"),
    get("/api/realtime/status", realtime.get_status, ANYBODY, response=Status),
    post(
        "/api/realtime/tickets", realtime.issue_ticket, TICKETS, body=TicketRequest, body_optional=True, response=Ticket
    ),
    post(
        "/api/realtime/broadcast", realtime.broadcast, BROADCAST, body=Broadcast, response=BroadcastAccepted, status=202
    ),
    # Notifications
    post(
        "/api/realtime/notifications/send",
        notifications.send,
        NOTIFY,
        body=SendNotification,
        response=SendResult,
        status=201,
    ),
    post(
        "/api/realtime/notifications/send/batch",
        notifications.send_batch,
        NOTIFY,
        body=Batch,
        response=list[SendResult],
        status=201,
        max_body_bytes=MAX_BATCH_BYTES,
    ),
    post("/api/realtime/notifications/retract", notifications.retract, NOTIFY, body=Retract, response=Retracted),
    post("/api/realtime/notifications/read", inbox.mark_read, USER, body=InboxSelection, response=ChangeResult),
    post("/api/realtime/notifications/unread", inbox.mark_unread, USER, body=InboxSelection, response=ChangeResult),
    post("/api/realtime/notifications/seen", inbox.mark_seen, USER, body=InboxSelection, response=ChangeResult),
    post("/api/realtime/notifications/archive", inbox.archive, USER, body=InboxSelection, response=ChangeResult),
    post("/api/realtime/notifications/unarchive", inbox.unarchive, USER, body=InboxSelection, response=ChangeResult),
    post("/api/realtime/notifications/undo", inbox.undo, USER, body=UndoRequest, response=ChangeResult),
    get("/api/notifications", inbox.list_notifications, USER, query=InboxQuery, response=InboxPage),
    get("/api/notifications/preferences", preferences.get_preferences, USER, response=Preferences),
    put(
        "/api/notifications/preferences",
        preferences.save_preferences,
        USER,
        body=PreferencesUpdate,
        response=Preferences,
    ),
    get("/api/notifications/{id}/delivery", preferences.delivery_report, USER, response=DeliveryReport),
    post("/api/notifications/{id}/actions/{actionId}", inbox.record_action, USER, response=Notification),
    post("/api/announcements", announcements.create, ADMIN, body=NewAnnouncement, response=Announcement, status=201),
    get("/api/announcements", announcements.list_announcements, USER, query=PageQuery, response=Page[Announcement]),
    # Push and e-mail
    get("/api/push/key", push.get_key, USER, response=PushKey),
    post("/api/push/subscriptions", push.subscribe, USER, body=Subscription, response=SubscriptionSaved, status=201),
    delete("/api/push/subscriptions", push.unsubscribe, USER, body=SubscriptionEndpoint),
    post("/api/push/test", push.send_test, USER, response=TestResult, status=202),
    get("/api/mail/confirm", email_links.show_confirmation_form, ANYBODY, query=LinkQuery, media_type=HTML),
    post("/api/mail/confirm", email_links.confirm, ANYBODY, query=LinkQuery, media_type=HTML),
    get("/api/mail/unsubscribe", email_links.show_unsubscribe_form, ANYBODY, query=LinkQuery, media_type=HTML),
    post("/api/mail/unsubscribe", email_links.unsubscribe, ANYBODY, query=LinkQuery, media_type=HTML),
    get("/api/mail/reset", email_links.show_reset_form, ANYBODY, query=LinkQuery, media_type=HTML),
    post("/api/mail/reset", email_links.reset_password_by_form, ANYBODY, query=LinkQuery, media_type=HTML),
    # Accounts
    post("/api/auth/signup", auth.sign_up, ANYBODY, body=SignUp, response=SignInResult, status=201),
    post("/api/auth/login", auth.log_in, ANYBODY, body=LogIn, response=SignInResult),
    post("/api/auth/logout", auth.log_out, USER),
    get("/api/auth/me", auth.get_me, USER, response=Me),
    patch("/api/auth/me", auth.update_me, USER, body=ProfileUpdate, response=Me),
    post("/api/auth/password", auth.change_password, USER, body=PasswordChange),
    post(
        "/api/auth/password/forgot", email_links.request_password_reset, ANYBODY, body=PasswordResetRequest, status=202
    ),
    post("/api/auth/password/reset", email_links.reset_password, ANYBODY, body=PasswordReset),
    post("/api/auth/email/confirmation", email_links.request_confirmation, USER, status=202),
    get("/api/auth/sessions", auth.list_sessions, USER, query=PageQuery, response=SessionList),
    delete("/api/auth/sessions/{id}", auth.revoke_session, USER),
    get("/api/users/{id}", users.get_profile, ANYBODY, response=Profile),
    put(
        "/api/users/by-external-id/{externalId}",
        users.upsert_external,
        USERS,
        body=ExternalUser,
        response=Me,
        path_suffix=True,
    ),
    get("/api/demo/users", demo.list_users, ANYBODY, response=DemoUsers),
    # Messages
    post(
        "/api/realtime/messages/send",
        messages.send,
        USER,
        body=NewMessage,
        response=Message,
        status=201,
        other_statuses=(200,),
        counts_as_send=True,
    ),
    post("/api/realtime/messages/read", messages.mark_read, USER, body=ReadPosition, response=ReadReceipt),
    post("/api/realtime/messages/typing", presence.set_typing, USER, body=TypingUpdate, status=202),
    get("/api/conversations", conversations.list_conversations, USER, query=PageQuery, response=Conversations),
    post("/api/conversations", conversations.create, USER, body=NewGroup, response=Conversation, status=201),
    get("/api/conversations/{id}", conversations.get, USER, response=Conversation),
    patch("/api/conversations/{id}", conversations.update, USER, body=ConversationUpdate, response=Conversation),
    get("/api/conversations/{id}/messages", messages.list_messages, USER, query=HistoryQuery, response=Messages),
    post("/api/conversations/{id}/members", conversations.add_members, USER, body=NewMembers, response=Conversation),
    delete("/api/conversations/{id}/members/{userId}", conversations.remove_member, USER),
    patch("/api/messages/{id}", messages.edit, USER, body=MessageEdit, response=Message),
    delete("/api/messages/{id}", messages.delete, USER),
    post("/api/attachments", attachments.upload, USER, response=Attachment, status=201, uploads=True),
    get("/api/attachments/{id}", attachments.download, USER, query=DownloadQuery, media_type=BINARY),
    get("/api/blocks", conversations.list_blocks, USER, query=PageQuery, response=Page[BlockedUser]),
    put("/api/blocks/{userId}", conversations.block, USER),
    delete("/api/blocks/{userId}", conversations.unblock, USER),
    # Presence
    get("/api/presence", presence.get_presence, USER, query=PresenceQuery, response=PresenceList),
    post("/api/presence", presence.report_activity, USER, body=ActivityReport),
    put("/api/presence/visibility", presence.set_visibility, USER, body=VisibilityUpdate),
    # Marketplace
    get("/api/jobs", jobs.list_jobs, ANYBODY, query=JobList, response=Page[Job]),
    post("/api/jobs", jobs.create, CLIENT, body=NewJob, response=Job, status=201, counts_as_send=True),
    get("/api/jobs/suggest", jobs.suggest, ANYBODY, query=JobSearch, response=Suggestions),
    get("/api/jobs/{id}", jobs.get_job, ANYBODY, response=Job),
    patch("/api/jobs/{id}", jobs.edit, USER, body=JobChanges, response=Job),
    delete("/api/jobs/{id}", jobs.delete, USER),
    patch("/api/jobs/{id}/status", jobs.change_status, USER, body=StatusChange, response=Job),
    get("/api/jobs/{id}/bids", bids.list_for_job, USER, query=PageQuery, response=Page[Bid]),
    post("/api/jobs/{id}/bids", bids.create, FREELANCER, body=NewBid, response=Bid, status=201, counts_as_send=True),
    get("/api/jobs/{id}/comments", comments.list_comments, ANYBODY, query=PageQuery, response=Page[Comment]),
    post(
        "/api/jobs/{id}/comments",
        comments.create,
        USER,
        body=NewComment,
        response=Comment,
        status=201,
        counts_as_send=True,
    ),
    get("/api/bids", bids.list_own, FREELANCER, query=OwnBids, response=Page[Bid]),
    delete("/api/bids/{id}", bids.withdraw, FREELANCER),
    patch("/api/bids/{bidId}/hire", bids.hire, USER, body=EmptyBody, body_optional=True, response=Hired),
    get("/api/stats", statistics.get_statistics, ANYBODY, response=Statistics),
    # Payments
    get("/api/wallet", wallet.get_wallet, USER, response=Wallet),
    get("/api/wallet/entries", wallet.list_entries, USER, query=PageQuery, response=Page[WalletEntry]),
    post("/api/wallet/deposits", wallet.deposit, DEPOSIT, body=Deposit, response=WalletEntry, status=201),
    post("/api/wallet/withdrawals", wallet.withdraw, USER, body=Withdrawal, response=WalletEntry, status=201),
    # The process
    get("/api/health", health.get_health, ANYBODY, response=Health),
    get("/api/ready", health.get_readiness, ANYBODY, response=Health),
    get("/metrics", health.get_metrics, ANYBODY, anonymous=True, media_type="text/plain"),
)

OPERATIONS: Final[Sequence[Operation]] = (
    *_OPERATIONS,
    get("/openapi.json", openapi.handler(_OPERATIONS), ANYBODY, response=dict[str, Any]),
)
