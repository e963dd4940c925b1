"""The URLs of the ways out: preferences, why something went out, push."""

from collections.abc import Sequence

from api.operations.operation import Operation
from api.operations.policy import ANYBODY, USER
from api.routes import email_links as mail
from api.routes import preferences, push
from services.delivery.push_subscriptions import Subscribed
from services.delivery.queue import Tested
from services.delivery.report import Delivery
from services.notifications.preferences import Preferences

OPERATIONS: Sequence[Operation] = (
    Operation(
        method="GET", path="/api/notifications/preferences", handler=preferences.show, who=USER, answer=Preferences
    ),
    Operation(
        method="PUT",
        path="/api/notifications/preferences",
        handler=preferences.put,
        who=USER,
        body=preferences.Wishes,
        answer=Preferences,
    ),
    Operation(
        method="GET", path="/api/notifications/{id}/delivery", handler=preferences.why, who=USER, answer=Delivery
    ),
    Operation(method="GET", path="/api/push/key", handler=push.key, who=USER, answer=push.Key),
    Operation(
        method="POST",
        path="/api/push/subscriptions",
        handler=push.subscribe,
        who=USER,
        body=push.Subscription,
        answer=Subscribed,
        status=201,
    ),
    Operation(
        method="DELETE",
        path="/api/push/subscriptions",
        handler=push.unsubscribe,
        who=USER,
        body=push.Which,
    ),
    Operation(method="POST", path="/api/push/test", handler=push.test, who=USER, answer=Tested, status=202),
    # The links in e-mails
    Operation(method="POST", path="/api/auth/email/confirmation", handler=mail.ask_to_confirm, who=USER, status=202),
    Operation(
        method="POST",
        path="/api/auth/password/forgot",
        handler=mail.forgot,
        who=ANYBODY,
        body=mail.Forgotten,
        status=202,
    ),
    Operation(method="POST", path="/api/auth/password/reset", handler=mail.reset, who=ANYBODY, body=mail.Reset),
    *(
        Operation(
            method=method,
            path=f"/api/mail/{name}",
            handler=handler,
            who=ANYBODY,
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
