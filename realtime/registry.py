"""The registry: every open stream, found by its id, user, login and address."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from realtime.session import Session


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Who is here: how many streams listen to each channel, and the streams themselves."""

    channels: dict[str, int]
    sessions: tuple[Session, ...]


@dataclass(slots=True)
class User:
    """What is kept of a user: the open streams, and since when there is none (monotonic seconds)."""

    sessions: dict[Session, None] = field(default_factory=dict)
    left_at: float | None = None


class Registry:
    """Indexes only; `remove` undoes all that `add` did."""

    __slots__ = ("_addresses", "_logins", "_sessions", "_users", "users_online")

    def __init__(self) -> None:
        self.users_online = 0
        self._sessions: dict[str, Session] = {}
        self._users: dict[str, User] = {}
        self._logins: dict[str, dict[Session, None]] = {}
        self._addresses: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        """The open streams, as they are now: closing some while going over them is fine."""
        return iter(tuple(self._sessions.values()))

    def add(self, session: Session) -> None:
        """Raises ValueError when the id is taken."""
        if session.id in self._sessions:
            raise ValueError("there is a stream with this id")
        self._sessions[session.id] = session
        user = self._users.setdefault(session.user_id, User())
        self.users_online += not user.sessions
        user.sessions[session] = None
        user.left_at = None
        if session.login is not None:
            self._logins.setdefault(session.login, {})[session] = None
        self._addresses[session.address] += 1

    def remove(self, session: Session, now: float) -> None:
        """Forget a stream that is here."""
        del self._sessions[session.id]
        user = self._users[session.user_id]
        del user.sessions[session]
        if not user.sessions:
            user.left_at = now
            self.users_online -= 1
        if session.login is not None:
            of_login = self._logins[session.login]
            del of_login[session]
            if not of_login:
                del self._logins[session.login]
        self._addresses[session.address] -= 1
        if not self._addresses[session.address]:
            del self._addresses[session.address]

    def of_user(self, user_id: str) -> tuple[Session, ...]:
        """The open streams of a user."""
        user = self._users.get(user_id)
        return tuple(user.sessions) if user else ()

    def of_login(self, login: str) -> tuple[Session, ...]:
        """The open streams of a signed-in login."""
        return tuple(self._logins.get(login, ()))

    def at_address(self, address: str) -> int:
        """How many streams are open from there."""
        return self._addresses.get(address, 0)

    def knows(self, user_id: str) -> bool:
        """Whether anything is kept of this user."""
        return user_id in self._users

    def snapshot(self) -> Snapshot:
        """Counted now: nobody asks often."""
        listeners = Counter(channel for session in self._sessions.values() for channel in session.channels)
        return Snapshot(dict(listeners), tuple(self._sessions.values()))

    def sweep(self, before: float) -> None:
        """Forget the users whose last stream ended before that time."""
        idle = [name for name, user in self._users.items() if user.left_at is not None and user.left_at <= before]
        for name in idle:
            del self._users[name]
