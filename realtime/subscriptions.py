"""The audience: which live streams hear what, grouped so that those who hear the same share one chunk."""

from collections import Counter

from realtime.multimap import Several, put, take_out
from realtime.stream import Session


class Audience:
    """Live streams only; dicts with None serve as sets that keep their order."""

    __slots__ = ("_hearers", "ahead", "groups", "own")

    def __init__(self) -> None:
        # By private channel, and by the tuple of shared channels.
        self.own: dict[str, Session | Several[Session]] = {}
        self.groups: dict[tuple[str, ...], tuple[tuple[str, ...], dict[Session, None]]] = {}
        # Those that have read further than what has been published here: committed, but still on its way to `publish`.
        self.ahead: set[Session] = set()
        # Of shared channels.
        self._hearers: Counter[str] = Counter()

    def hears(self, channel: str) -> bool:
        """Whether anybody listens to it."""
        return channel in self._hearers or channel in self.own

    def add(self, session: Session) -> None:
        """From now on it is given what is published."""
        # From here on it has the tuple that all of its group have.
        session.shared, group = self.groups.setdefault(session.shared, (session.shared, {}))
        group[session] = None
        if session.own_channel is not None:
            put(self.own, session.own_channel, session)
        self._hearers.update(session.shared)

    def remove(self, session: Session) -> None:
        """Undo `add`."""
        _, group = self.groups[session.shared]
        del group[session]
        if not group:
            del self.groups[session.shared]
        if session.own_channel is not None:
            take_out(self.own, session.own_channel, session)
        self.ahead.discard(session)
        for channel in session.shared:
            self._hearers[channel] -= 1
            if not self._hearers[channel]:
                del self._hearers[channel]
