"""The URLs of the ways out: preferences, why something went out, push."""

from collections.abc import Sequence

from api.operations.operation import Operation
from api.operations.policy import ANYBODY, USER
from api.routes import email_links, preferences, push
from services.delivery.push_subscriptions import SubscriptionSaved
from services.delivery.queue import TestResult
from services.delivery.report import DeliveryReport
from services.notifications.preferences import Preferences

OPERATIONS: Sequence[Operation] = (
    Operation(
        method="GET", path="/api/notifications/preferences", handler=preferences.show, policy=USER, response=Preferences
    ),
    Operation(
        method="PUT",
        path="/api/notifications/preferences",
        handler=preferences.put,
        policy=USER,
        body=preferences.PreferencesUpdate,
        response=Preferences,
    ),
    Operation(
        method="GET",
        path="/api/notifications/{id}/delivery",
        handler=preferences.delivery_report,
        policy=USER,
        response=DeliveryReport,
    ),
    Operation(method="GET", path="/api/push/key", handler=push.key, policy=USER, response=push.Key),
    Operation(
        method="POST",
        path="/api/push/subscriptions",
        handler=push.subscribe,
        policy=USER,
        body=push.Subscription,
        response=SubscriptionSaved,
        status=201,
    ),
    Operation(
        method="DELETE",
        path="/api/push/subscriptions",
        handler=push.unsubscribe,
        policy=USER,
        body=push.Which,
    ),
    Operation(method="POST", path="/api/push/test", handler=push.test, policy=USER, response=TestResult, status=202),
    # The links in e-mails
    Operation(
        method="POST", path="/api/auth/email/confirmation", handler=email_links.ask_to_confirm, policy=USER, status=202
    ),
    Operation(
        method="POST",
        path="/api/auth/password/forgot",
        handler=email_links.forgot,
        policy=ANYBODY,
        body=email_links.Forgotten,
        status=202,
    ),
    Operation(
        method="POST",
        path="/api/auth/password/reset",
        handler=email_links.reset,
        policy=ANYBODY,
        body=email_links.Reset,
    ),
    *(
        Operation(
            method=method,
            path=f"/api/mail/{name}",
            handler=handler,
            policy=ANYBODY,
            query=email_links.Link,
            media_type="text/html",
        )
        for name, page, act in (
            ("confirm", email_links.confirm_page, email_links.confirm),
            ("unsubscribe", email_links.unsubscribe_page, email_links.unsubscribe),
            ("reset", email_links.reset_page, email_links.reset_by_form),
        )
        for method, handler in (("GET", page), ("POST", act))
    ),
)
