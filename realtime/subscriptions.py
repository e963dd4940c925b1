"""The audience: which live streams hear what, grouped so that those who hear the same share one chunk."""

from collections import Counter

from realtime.multimap import Many, add, discard
from realtime.stream import Stream


class SubscriptionIndex:
    """Live streams only; dicts with None serve as sets that keep their order."""

    __slots__ = ("_hearers", "ahead_of_publisher", "by_shared_channels", "by_user_channel")

    def __init__(self) -> None:
        # By private channel, and by the tuple of shared channels.
        self.by_user_channel: dict[str, Stream | Many[Stream]] = {}
        self.by_shared_channels: dict[tuple[str, ...], tuple[tuple[str, ...], dict[Stream, None]]] = {}
        # Those that have read further than what has been published here: committed, but still on its way to `publish`.
        self.ahead_of_publisher: set[Stream] = set()
        # Of shared channels.
        self._hearers: Counter[str] = Counter()

    def has_subscribers(self, channel: str) -> bool:
        """Whether anybody listens to it."""
        return channel in self._hearers or channel in self.by_user_channel

    def add(self, session: Stream) -> None:
        """From now on it is given what is published."""
        # From here on it has the tuple that all of its group have.
        session.shared, group = self.by_shared_channels.setdefault(session.shared, (session.shared, {}))
        group[session] = None
        if session.own_channel is not None:
            add(self.by_user_channel, session.own_channel, session)
        self._hearers.update(session.shared)

    def remove(self, session: Stream) -> None:
        """Undo `add`."""
        _, group = self.by_shared_channels[session.shared]
        del group[session]
        if not group:
            del self.by_shared_channels[session.shared]
        if session.own_channel is not None:
            discard(self.by_user_channel, session.own_channel, session)
        self.ahead_of_publisher.discard(session)
        for channel in session.shared:
            self._hearers[channel] -= 1
            if not self._hearers[channel]:
                del self._hearers[channel]
