"""IdleUsers: users without a stream, released from memory after the idle time."""

from typing import Final

# The receiver releases everything that it holds about each user in one step and blocks the loop meanwhile.
MAX_EXPIRED_PER_CALL: Final = 1_000


class IdleUsers:
    """Users without a stream and the time since when. `now` is in monotonic seconds."""

    __slots__ = ("_seconds", "_since")

    def __init__(self, seconds: float) -> None:
        """`seconds` is the idle time; 0 disables the release, and nothing is stored."""
        self._seconds = seconds
        # Ordered by time, the earliest first: a user who connects is removed and is appended again later.
        self._since: dict[str, float] = {}

    def disconnected(self, user_id: str, now: float) -> None:
        """Record that the last stream of a user has ended."""
        if self._seconds > 0:
            self._since[user_id] = now

    def connected(self, user_id: str) -> None:
        """Record that a user has opened a stream."""
        self._since.pop(user_id, None)

    def take_expired(self, now: float) -> list[str]:
        """Return and remove users whose idle time has passed, at most MAX_EXPIRED_PER_CALL."""
        expired: list[str] = []
        for user_id, since in self._since.items():
            if since + self._seconds > now or len(expired) >= MAX_EXPIRED_PER_CALL:
                break
            expired.append(user_id)
        for user_id in expired:
            del self._since[user_id]
        return expired
