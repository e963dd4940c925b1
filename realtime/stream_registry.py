"""The registry: every open stream, found by its user, and counted by its address."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from realtime.multimap import Many, add, discard, values
from realtime.stream import Stream


@dataclass(frozen=True, slots=True)
class RegistrySnapshot:
    """Who is here: how many streams listen to each channel, and the streams themselves."""

    channels: dict[str, int]
    streams: tuple[Stream, ...]


class StreamRegistry:
    """Indexes only; `remove` undoes all that `add` did."""

    __slots__ = ("_addresses", "_sessions", "_users")

    def __init__(self) -> None:
        self._sessions: dict[Stream, None] = {}
        self._users: dict[str, Stream | Many[Stream]] = {}
        self._addresses: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def users_online(self) -> int:
        """Users with at least one open stream."""
        return len(self._users)

    def __iter__(self) -> Iterator[Stream]:
        """The open streams, as they are now: closing some while going over them is fine."""
        return iter(tuple(self._sessions))

    def add(self, session: Stream) -> None:
        """Take in a stream that is not here yet."""
        self._sessions[session] = None
        add(self._users, session.user_id, session)
        self._addresses[session.address] += 1

    def remove(self, session: Stream) -> None:
        """Forget a stream that is here."""
        del self._sessions[session]
        discard(self._users, session.user_id, session)
        self._addresses[session.address] -= 1
        if not self._addresses[session.address]:
            del self._addresses[session.address]

    def for_user(self, user_id: str) -> tuple[Stream, ...]:
        """The open streams of a user."""
        return tuple(values(self._users, user_id))

    def for_session(self, session_id: str, user_id: str | None) -> tuple[Stream, ...]:
        """The open streams that end with a login of this user, or with an API key: then all have to be looked at."""
        among = self._sessions if user_id is None else values(self._users, user_id)
        return tuple(session for session in among if session.session_id == session_id)

    def count_for_address(self, address: str) -> int:
        """How many streams are open from there."""
        return self._addresses.get(address, 0)

    def snapshot(self) -> RegistrySnapshot:
        """Counted now: nobody asks often."""
        listeners = Counter(channel for session in self._sessions for channel in session.channels)
        return RegistrySnapshot(dict(listeners), tuple(self._sessions))
