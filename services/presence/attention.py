"""UserAttention: whether a user is looking at the app right now."""

from collections.abc import Callable
from typing import Final

from realtime.manager import RealtimeManager
from services.presence.acknowledgements import Acknowledgements

# A user is active for this time after the last input; an open page is not enough.
ACTIVE_SECONDS: Final = 60.0


class UserAttention:
    """Combines input and acknowledgements of users. `monotonic` gives the seconds of the presence tracker."""

    def __init__(
        self, manager: RealtimeManager, acknowledgements: Acknowledgements, monotonic: Callable[[], float]
    ) -> None:
        self._manager, self._acknowledgements, self._monotonic = manager, acknowledgements, monotonic

    def is_active(self, user_id: str) -> bool:
        """Return whether the user produced input within `ACTIVE_SECONDS` and has a stream or had one recently."""
        last_input_at = self._manager.presence.last_input_at(user_id)
        return last_input_at is not None and self._monotonic() - last_input_at < ACTIVE_SECONDS

    def acknowledged_position(self, user_id: str) -> int:
        """Return the last log position that a browser of the user acknowledged."""
        return self._acknowledgements.acknowledged_position(user_id)
