"""The URLs of the ways out: preferences, why something went out, push."""

from collections.abc import Sequence

from api import preferences
from api.operation import Operation
from api.policy import USER
from services.delivery import Delivery
from services.preferences import Preferences

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
)
