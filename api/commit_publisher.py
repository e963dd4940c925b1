"""CommitPublisher: publishes committed events and invalidates caches."""

import msgspec

from api.http.authentication import Authenticator
from realtime.event import ByeReason
from realtime.manager import RealtimeManager
from services.database.units import Batch
from services.event_log import channels


class CommitPublisher:
    """The `on_commit` callback of the database; runs before the callers of the write continue."""

    def __init__(self, manager: RealtimeManager, authenticator: Authenticator) -> None:
        self._manager = manager
        self._authenticator = authenticator

    def __call__(self, batch: Batch) -> None:
        """Forget retracted events, then publish in order of position. Control events are applied at their position."""
        if batch.forgotten:
            self._manager.forget(batch.forgotten)
        begin = 0
        for end, event in enumerate(batch.events, start=1):
            if event.channel == channels.CONTROL:
                # A stream that ends here must not receive events that were committed after the revocation.
                self._manager.publish(batch.events[begin:end])
                self._apply_control_event(event.type, msgspec.json.decode(event.data))
                begin = end
        self._manager.publish(batch.events[begin:])

    def _apply_control_event(self, type: str, data: dict[str, str]) -> None:
        """Invalidate the cached credentials of a session, user or API key, and end its streams."""
        self._authenticator.invalidate(type, data)
        if type == "session_revoked":
            reason: ByeReason = "logout" if data["reason"] == "logout" else "revoked"
            self._manager.end_session_streams(data["sessionId"], reason, user_id=data["userId"])
        elif type == "user_revoked":
            self._manager.end_user_streams(data["userId"], "revoked")
        elif type == "key_revoked":
            self._manager.end_session_streams(f"key:{data['name']}", "revoked", user_id=None)
        elif type == "user_changed" and data.get("streams") == "rotate":
            # The clients reconnect at once and receive the channels of the new role.
            self._manager.end_user_streams(data["userId"], "rotate")
