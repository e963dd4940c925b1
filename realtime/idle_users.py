"""Absent: the users whose last stream has ended, until they have been gone for long enough to be forgotten."""

from typing import Final

# Given at once: whoever forgets them goes over all that it knows of each, and everybody else waits meanwhile.
MAX_EXPIRED_PER_CALL: Final = 1_000


class IdleUsers:
    """`now` in monotonic seconds."""

    __slots__ = ("_seconds", "_since")

    def __init__(self, seconds: float) -> None:
        """0 seconds: nobody is ever forgotten, and nothing is kept."""
        self._seconds = seconds
        # Longest gone first: whoever comes back goes out, and comes in again at the end.
        self._since: dict[str, float] = {}

    def disconnected(self, user_id: str, now: float) -> None:
        """Their last stream has ended."""
        if self._seconds > 0:
            self._since[user_id] = now

    def connected(self, user_id: str) -> None:
        """A stream of theirs has opened."""
        self._since.pop(user_id, None)

    def take_expired(self, now: float) -> list[str]:
        """Who has been gone for long enough, each once; the rest of many with the next call."""
        found: list[str] = []
        for user_id, since in self._since.items():
            if since + self._seconds > now or len(found) >= MAX_EXPIRED_PER_CALL:
                break
            found.append(user_id)
        for user_id in found:
            del self._since[user_id]
        return found
