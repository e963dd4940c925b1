"""StreamRegistry: every open stream, indexed by user and counted by address."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from realtime.multimap import Many, add, discard, values
from realtime.stream import Stream


@dataclass(frozen=True, slots=True)
class RegistrySnapshot:
    """The number of streams per channel, and all open streams."""

    channels: dict[str, int]
    streams: tuple[Stream, ...]


class StreamRegistry:
    """Indexes of the open streams; `remove` undoes everything that `add` did."""

    __slots__ = ("_addresses", "_streams", "_users")

    def __init__(self) -> None:
        self._streams: dict[Stream, None] = {}
        self._users: dict[str, Stream | Many[Stream]] = {}
        self._addresses: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def users_online(self) -> int:
        """The number of users with at least one open stream."""
        return len(self._users)

    def __iter__(self) -> Iterator[Stream]:
        """Iterate over a copy of the open streams; streams may be closed meanwhile."""
        return iter(tuple(self._streams))

    def add(self, stream: Stream) -> None:
        """Add a stream that is not registered yet."""
        self._streams[stream] = None
        add(self._users, stream.user_id, stream)
        self._addresses[stream.address] += 1

    def remove(self, stream: Stream) -> None:
        """Remove a registered stream."""
        del self._streams[stream]
        discard(self._users, stream.user_id, stream)
        self._addresses[stream.address] -= 1
        if not self._addresses[stream.address]:
            del self._addresses[stream.address]

    def for_user(self, user_id: str) -> tuple[Stream, ...]:
        """Return the open streams of a user."""
        return tuple(values(self._users, user_id))

    def for_session(self, session_id: str, user_id: str | None) -> tuple[Stream, ...]:
        """Return the open streams of a user's session. Without a user (an API key), all streams are searched."""
        candidates = self._streams if user_id is None else values(self._users, user_id)
        return tuple(stream for stream in candidates if stream.session_id == session_id)

    def count_for_address(self, address: str) -> int:
        """Return the number of open streams from an address."""
        return self._addresses.get(address, 0)

    def snapshot(self) -> RegistrySnapshot:
        """Return the current streams. The counts are computed on each call, because calls are rare."""
        counts = Counter(channel for stream in self._streams for channel in stream.channels)
        return RegistrySnapshot(dict(counts), tuple(self._streams))
