"""PresenceTracker: online, idle or offline, derived from input and connections."""

from dataclasses import dataclass
from math import ceil
from typing import Final, Literal

Status = Literal["online", "idle", "offline"]

# A connected user without input for this time is idle. A user without a stream for this time is offline; a page
# reload or a rotated stream reconnects sooner.
IDLE_SECONDS: Final = 300.0
OFFLINE_SECONDS: Final = 60.0


@dataclass(slots=True)
class _User:
    """`input_at`: the last input, or the first stream. `disconnected_at`: since when there is no stream."""

    input_at: float
    disconnected_at: float | None
    published: Status
    # The second of the next check. Earlier entries of `_due` for this user are ignored. 0: no check is scheduled.
    check_at: int


class PresenceTracker:
    """Presence by user id; `now` is in monotonic seconds. Offline users are removed from memory.

    A change is not published at once. The user waits in a queue, at most once, and `take_changes` returns the status
    of that moment. A user who reconnects a hundred times is published once, and an unchanged status is not published.
    """

    __slots__ = ("_due", "_pending", "_users")

    def __init__(self) -> None:
        self._users: dict[str, _User] = {}
        # Users to check, by second. A heap with one tuple and one float per user takes 90 bytes more.
        self._due: dict[int, list[str]] = {}
        self._pending: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._users)

    def connected(self, user_id: str, now: float) -> None:
        """Record that a user has opened a stream. It counts as input only if the user was offline."""
        user = self._users.get(user_id)
        if user is None:
            self._users[user_id] = user = _User(now, None, "offline", 0)
            self._pending[user_id] = None
        elif self._status(user, now) == "offline":
            user.input_at = now
        user.disconnected_at = None
        self._schedule_check(user_id, user, now)

    def disconnected(self, user_id: str, now: float) -> None:
        """Record that the last stream of a user has ended."""
        user = self._users.get(user_id)
        if user is not None:
            user.disconnected_at = now
            self._schedule_check(user_id, user, now)

    def input_received(self, user_id: str, now: float) -> None:
        """Record input of a user; ignored for a user who is not tracked."""
        user = self._users.get(user_id)
        if user is not None:
            previous = self._status(user, now)
            user.input_at = now
            if previous != "online":
                self._pending[user_id] = None
                self._schedule_check(user_id, user, now)

    def status(self, user_id: str, now: float) -> Status:
        """Return the current status of a user."""
        user = self._users.get(user_id)
        return "offline" if user is None else self._status(user, now)

    def last_input_at(self, user_id: str) -> float | None:
        """Return the time of the last input in monotonic seconds; None for a user who is not tracked."""
        user = self._users.get(user_id)
        return None if user is None else user.input_at

    def online_users(self) -> list[str]:
        """Return the ids of all users who are online or idle."""
        return list(self._users)

    def take_changes(self, now: float, limit: int) -> list[tuple[str, Status, float]]:
        """Return user id, status and last input of at most `limit` changed users, and mark them as published.

        The users that have waited longest come first.
        """
        for second in sorted(second for second in self._due if second <= now):
            for user_id in self._due.pop(second):
                user = self._users.get(user_id)
                if user is not None and user.check_at == second:
                    self._pending[user_id] = None
                    self._schedule_check(user_id, user, now)
        changes: list[tuple[str, Status, float]] = []
        while self._pending and len(changes) < limit:
            user_id = next(iter(self._pending))
            del self._pending[user_id]
            user = self._users[user_id]
            status = self._status(user, now)
            if status != user.published:
                user.published = status
                changes.append((user_id, status, user.input_at))
            if status == "offline":
                del self._users[user_id]
        return changes

    def _status(self, user: _User, now: float) -> Status:
        if user.disconnected_at is not None and now >= user.disconnected_at + OFFLINE_SECONDS:
            return "offline"
        return "online" if now < user.input_at + IDLE_SECONDS else "idle"

    def _schedule_check(self, user_id: str, user: _User, now: float) -> None:
        """Schedule a check for the next change that happens without input or connections."""
        changes_at = (
            [user.input_at + IDLE_SECONDS] if user.disconnected_at is None else [user.disconnected_at + OFFLINE_SECONDS]
        )
        if user.disconnected_at is not None and user.input_at + IDLE_SECONDS > now:
            changes_at.append(user.input_at + IDLE_SECONDS)
        next_at = min(changes_at)
        if next_at <= now:
            # The user is idle already: only input or a disconnect changes that.
            user.check_at = 0
        elif user.check_at != ceil(next_at):
            user.check_at = ceil(next_at)
            self._due.setdefault(user.check_at, []).append(user_id)
