"""What happens on the loop after each COMMIT: listeners are told, and the hub's own caches hear of it."""

import msgspec
import structlog

from api.identity import Identities
from realtime.manager import RealtimeManager
from services import channels
from services.writer import Batch


class Commits:
    """The `on_commit` of the database; runs before those who waited for the write go on."""

    def __init__(self, manager: RealtimeManager, identities: Identities) -> None:
        self._manager = manager
        self._identities = identities
        self._log = structlog.get_logger("commits")

    def __call__(self, batch: Batch) -> None:
        """Take back, then tell, in order of position; then apply what the hub tells itself."""
        if batch.forgotten:
            self._manager.forget(batch.forgotten)
        self._manager.publish(batch.events)
        for event in batch.events:
            if event.channel == channels.CONTROL:
                self._control(event.type, msgspec.json.decode(event.data))

    def _control(self, type: str, data: dict[str, str]) -> None:
        """A log-in, a user or a key has ended: forget who they were, and end their streams."""
        self._identities.apply(type, data)
        if type == "login_ended":
            self._manager.end_login(data["loginId"], "logout" if data["reason"] == "logout" else "revoked")
        elif type == "user_ended":
            self._manager.end_user(data["userId"], "revoked")
