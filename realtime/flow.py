"""The flow of live events: published in order, queued for one turn of the loop, written once to each listener."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from realtime.audience import Audience
from realtime.backlog import Backlog
from realtime.event import Event
from realtime.options import RealtimeOptions
from realtime.queues import Queues, Waiting
from realtime.session import Session

# A turn's queues take 3.3 KB each; a batch for more users than this is written in parts.
_MAX_QUEUES: Final = 1_000
# Queues stay bounded when the limit per stream is off.
_QUEUE_SIZE: Final = 1_000


class Flow:
    """Publishing and fan-out. Everything is synchronous, on the loop: no task, lock or await per stream and event."""

    def __init__(self, options: RealtimeOptions, backlog: Backlog, on_behind: Callable[[Session], None]) -> None:
        """`on_behind` is told of a stream that was live and whose sink is too full."""
        self.backlog = backlog
        self.audience = Audience()
        self.queues = Queues(options.queue_events or _QUEUE_SIZE)
        # The last position published, and the last one written to those who are live.
        self.head = 0
        self.flushed = 0
        # Events written to streams, and events not written to one because it was too slow (it reads them again).
        self.delivered = 0
        self.dropped = 0
        self._options = options
        self._on_behind = on_behind
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduled = False

    def run_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """The loop all this happens on: kept, since asking for it is a system call on Python 3.11."""
        self._loop = loop

    def seed(self, events: Sequence[Event], floor: int, head: int) -> None:
        """Start at `head` with the newest events of the log, all those past `floor`.

        Raises RuntimeError when something was published before: it would be forgotten.
        """
        if self.head:
            raise RuntimeError("seed it once, before anything is published")
        self.backlog.seed(events, floor)
        self.head = self.flushed = head

    def publish(self, events: Sequence[Event]) -> None:
        """Take events that are on disk (or ephemeral), in order of position.

        Raises ValueError, and does nothing, when they are not in order; RuntimeError before the start.
        """
        if self._loop is None:
            raise RuntimeError("start it before publishing")
        self._check_order(events)
        for event in events:
            if self.audience.hears(event.channel):
                self._put(event)
            if event.position is not None:
                self.backlog.append(event)
                self.head = event.position
        if not self._scheduled and len(self.queues):
            self._scheduled = True
            self._loop.call_soon(self._turn_over)

    def forget(self, positions: Sequence[int]) -> None:
        """Take events back from the ring and from what waits."""
        self.backlog.forget(positions)
        self.queues.forget(frozenset(positions))

    def flush(self) -> None:
        """Write what waits; afterwards every live stream stands at `head`."""
        if len(self.queues):
            self._fan_out(self.queues.drain())
        self.flushed = self.head
        ahead = self.audience.ahead
        for session in tuple(ahead):
            if session.position <= self.head:
                ahead.discard(session)

    def join(self, session: Session) -> None:
        """Make a stream live. In the same step as the flush and the read that brought it to the head."""
        session.state = "live"
        session.waiting = 0
        self.audience.add(session)
        if session.position > self.head:
            self.audience.ahead.add(session)

    def leave(self, session: Session) -> None:
        """Stop giving it live events, and note where it stands. It must be live."""
        session.position = self.stands_at(session)
        session.state = "behind"
        self.audience.remove(session)

    def stands_at(self, session: Session) -> int:
        """The position up to which a stream has been given everything."""
        return max(session.position, self.flushed) if session.state == "live" else session.position

    def _put(self, event: Event) -> None:
        if len(self.queues) >= _MAX_QUEUES or not self.queues.put(event):
            # What is published so far is written at once: nothing is ever dropped here.
            self.flush()
            self.queues.put(event)

    def _turn_over(self) -> None:
        self._scheduled = False
        self.flush()

    def _check_order(self, events: Sequence[Event]) -> None:
        last = self.head
        for event in events:
            if event.position is not None:
                if event.position <= last:
                    raise ValueError(f"position {event.position} published after {last}")
                last = event.position

    def _fan_out(self, waiting: dict[str, list[Waiting]]) -> None:
        apart = self._apart(waiting)
        for shared, listeners in tuple(self.audience.groups.items()):
            items = _merged(waiting, shared)
            if items:
                # The same object for all of them. Giving may remove a listener, hence the copy.
                chunk = _joined(items)
                for session in tuple(listeners):
                    if session not in apart:
                        self._give(session, chunk, len(items))
        for session in apart:
            items = [
                item
                for item in _merged(waiting, session.channels)
                if item.event.position is None or item.event.position > session.position
            ]
            if items:
                self._give(session, _joined(items), len(items))

    def _apart(self, waiting: dict[str, list[Waiting]]) -> dict[Session, None]:
        """The streams that need a chunk of their own: private events, or some of the events read before."""
        apart = dict.fromkeys(self.audience.ahead)
        for channel in waiting:
            apart.update(self.audience.own.get(channel, {}))
        return apart

    def _give(self, session: Session, chunk: bytes, events: int) -> None:
        if session.offer(chunk, events, self._options):
            self.delivered += events
        else:
            self.dropped += events
            self.leave(session)
            self._on_behind(session)


def _merged(waiting: dict[str, list[Waiting]], channels: Sequence[str]) -> list[Waiting]:
    parts = [waiting[channel] for channel in channels if channel in waiting]
    if len(parts) == 1:
        return parts[0]
    # Turns are unique, so events are never compared.
    return sorted(item for part in parts for item in part)


def _joined(items: list[Waiting]) -> bytes:
    return b"".join([item.event.frame for item in items])
