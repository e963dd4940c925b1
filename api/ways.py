"""The URLs of the ways out: preferences, why something went out, push."""

from collections.abc import Sequence

from api import preferences, push
from api.operation import Operation
from api.policy import USER
from services.delivery import Delivery
from services.preferences import Preferences
from services.pushes import Tested
from services.subscriptions import Subscribed

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
)
