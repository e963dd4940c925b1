"""What happens on the loop after each COMMIT: listeners are told, and the hub's own caches hear of it."""

import msgspec
import structlog

from api.http.authentication import Authenticator
from realtime.event import ByeReason
from realtime.manager import RealtimeManager
from services.database.units import Batch
from services.event_log import channels


class CommitPublisher:
    """The `on_commit` of the database; runs before those who waited for the write go on."""

    def __init__(self, manager: RealtimeManager, identities: Authenticator) -> None:
        self._manager = manager
        self._identities = identities
        self._log = structlog.get_logger("commits")

    def __call__(self, batch: Batch) -> None:
        """Take back, then tell in order of position; what the hub tells itself takes effect in its place."""
        if batch.forgotten:
            self._manager.forget(batch.forgotten)
        begin = 0
        for at, event in enumerate(batch.events, start=1):
            if event.channel == channels.CONTROL:
                # A stream that ends here gets nothing of what was committed after its end.
                self._manager.publish(batch.events[begin:at])
                self._control(event.type, msgspec.json.decode(event.data))
                begin = at
        self._manager.publish(batch.events[begin:])

    def _control(self, type: str, data: dict[str, str]) -> None:
        """A login, a user or a key has ended or changed: forget who they were, and end their streams."""
        self._identities.apply(type, data)
        if type == "session_revoked":
            reason: ByeReason = "logout" if data["reason"] == "logout" else "revoked"
            self._manager.end_session_streams(data["sessionId"], reason, user_id=data["userId"])
        elif type == "user_revoked":
            self._manager.end_user_streams(data["userId"], "revoked")
        elif type == "key_revoked":
            self._manager.end_session_streams(f"key:{data['name']}", "revoked", user_id=None)
        elif type == "user_changed" and data.get("streams") == "rotate":
            # They come back at once, and hear what their new role may hear.
            self._manager.end_user_streams(data["userId"], "rotate")
