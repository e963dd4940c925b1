"""What is known of who is reading now, so that nobody is disturbed with what is before their eyes."""

from collections.abc import Callable
from typing import Final

from realtime.manager import RealtimeManager
from services.presence.acknowledgements import Acknowledgements

# Whoever touched something this lately is looking; an open page alone proves nothing.
LOOKING_SECONDS: Final = 60.0


class UserAttention:
    """`monotonic` gives the seconds that presence is kept in."""

    def __init__(self, manager: RealtimeManager, deliveries: Acknowledgements, monotonic: Callable[[], float]) -> None:
        self._manager, self._deliveries, self._monotonic = manager, deliveries, monotonic

    def is_active(self, user_id: str) -> bool:
        """Whether they have touched something within the last minute, and were not without a stream for longer."""
        seen = self._manager.presence.last_input_at(user_id)
        return seen is not None and self._monotonic() - seen < LOOKING_SECONDS

    def acknowledged_position(self, user_id: str) -> int:
        """The position up to which their browsers have stored everything."""
        return self._deliveries.acknowledged_position(user_id)
