"""The URLs of the ways out: preferences, why something went out, push."""

from collections.abc import Sequence

from api.operations.operation import Operation
from api.operations.policy import ANYBODY, USER
from api.routes import email_links as mail
from api.routes import preferences, push
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
    Operation(method="POST", path="/api/auth/email/confirmation", handler=mail.ask_to_confirm, policy=USER, status=202),
    Operation(
        method="POST",
        path="/api/auth/password/forgot",
        handler=mail.forgot,
        policy=ANYBODY,
        body=mail.Forgotten,
        status=202,
    ),
    Operation(method="POST", path="/api/auth/password/reset", handler=mail.reset, policy=ANYBODY, body=mail.Reset),
    *(
        Operation(
            method=method,
            path=f"/api/mail/{name}",
            handler=handler,
            policy=ANYBODY,
            query=mail.Link,
            media_type="text/html",
        )
        for name, page, act in (
            ("confirm", mail.confirm_page, mail.confirm),
            ("unsubscribe", mail.unsubscribe_page, mail.unsubscribe),
            ("reset", mail.reset_page, mail.reset_by_form),
        )
        for method, handler in (("GET", page), ("POST", act))
    ),
)
