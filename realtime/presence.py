"""Presence: who is online, idle or offline, from input and connections; pure, the clock is passed in."""

from dataclasses import dataclass
from math import ceil
from typing import Final, Literal

Status = Literal["online", "idle", "offline"]

# Without input for so long, somebody who is connected is idle; without a stream for so long, they are gone. A reload
# and a rotated stream are back before that.
IDLE_SECONDS: Final = 300.0
OFFLINE_SECONDS: Final = 60.0


@dataclass(slots=True)
class _User:
    """`input_at`: the last input (or the first stream); `left_at`: since when there is no stream."""

    input_at: float
    left_at: float | None
    told: Status
    # The second in which this user is next looked at: of the seconds that name them, the one that counts. 0: none.
    check_at: int


class PresenceTracker:
    """Everything by user id, `now` in seconds of a clock that does not go back. Who is offline leaves memory.

    A change is not told as it happens: it waits in a line for `changes`, at most once a user, and is told as it is
    then. So whoever comes and goes a hundred times is told once, and whoever is as they were last told is not.
    """

    __slots__ = ("_due", "_line", "_users")

    def __init__(self) -> None:
        self._users: dict[str, _User] = {}
        # Whom to look at in which second; a tuple and a float for each in a heap were 90 bytes more.
        self._due: dict[int, list[str]] = {}
        self._line: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._users)

    def connected(self, user_id: str, now: float) -> None:
        """A stream of theirs has opened. Coming from offline counts as input, coming back does not."""
        user = self._users.get(user_id)
        if user is None:
            self._users[user_id] = user = _User(now, None, "offline", 0)
            self._line[user_id] = None
        elif self._status(user, now) == "offline":
            user.input_at = now
        user.left_at = None
        self._look(user_id, user, now)

    def disconnected(self, user_id: str, now: float) -> None:
        """Their last stream has ended."""
        user = self._users.get(user_id)
        if user is not None:
            user.left_at = now
            self._look(user_id, user, now)

    def input_received(self, user_id: str, now: float) -> None:
        """They touched something. Of who has no stream nothing is known, and nothing is kept."""
        user = self._users.get(user_id)
        if user is not None:
            was = self._status(user, now)
            user.input_at = now
            if was != "online":
                self._line[user_id] = None
                self._look(user_id, user, now)

    def status(self, user_id: str, now: float) -> Status:
        """How they are now."""
        user = self._users.get(user_id)
        return "offline" if user is None else self._status(user, now)

    def last_input_at(self, user_id: str) -> float | None:
        """When they last touched something; None if they have been gone for longer than a moment."""
        user = self._users.get(user_id)
        return None if user is None else user.input_at

    def online_users(self) -> list[str]:
        """Everybody who is not offline."""
        return list(self._users)

    def take_changes(self, now: float, limit: int) -> list[tuple[str, Status, float]]:
        """At most `limit` users who are not as they were last told, longest waiting first: id, status, last input."""
        for second in sorted(second for second in self._due if second <= now):
            for user_id in self._due.pop(second):
                user = self._users.get(user_id)
                if user is not None and user.check_at == second:
                    self._line[user_id] = None
                    self._look(user_id, user, now)
        found: list[tuple[str, Status, float]] = []
        while self._line and len(found) < limit:
            user_id = next(iter(self._line))
            del self._line[user_id]
            user = self._users[user_id]
            status = self._status(user, now)
            if status != user.told:
                user.told = status
                found.append((user_id, status, user.input_at))
            if status == "offline":
                del self._users[user_id]
        return found

    def _status(self, user: _User, now: float) -> Status:
        if user.left_at is not None and now >= user.left_at + OFFLINE_SECONDS:
            return "offline"
        return "online" if now < user.input_at + IDLE_SECONDS else "idle"

    def _look(self, user_id: str, user: _User, now: float) -> None:
        """See to it that the next change by time alone is noticed."""
        turns = [user.input_at + IDLE_SECONDS] if user.left_at is None else [user.left_at + OFFLINE_SECONDS]
        if user.left_at is not None and user.input_at + IDLE_SECONDS > now:
            turns.append(user.input_at + IDLE_SECONDS)
        at = min(turns)
        if at <= now:
            # Idle already: only input or leaving will change that.
            user.check_at = 0
        elif user.check_at != ceil(at):
            user.check_at = ceil(at)
            self._due.setdefault(user.check_at, []).append(user_id)
