"""The flow of live events: published in order, queued for one turn of the loop, written once to each listener."""

import asyncio
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from realtime.backlog import Backlog
from realtime.event import Event
from realtime.multimap import values
from realtime.options import RealtimeOptions
from realtime.queues import ChannelQueues, QueuedEvent
from realtime.stream import Stream
from realtime.subscriptions import SubscriptionIndex

# A turn's queues take 3.3 KB each; a batch for more users than this is written in parts.
_MAX_QUEUES: Final = 1_000
# What may wait in a queue for the end of a turn, or of the round before.
_QUEUE_SIZE: Final = 1_000


@dataclass(slots=True)
class WriteGroup:
    """The same events for some streams; those before `next` have been given them."""

    items: list[QueuedEvent]
    streams: Sequence[Stream]
    # The same object for all of them.
    chunk: bytes = field(init=False)
    written: int = 0

    def __post_init__(self) -> None:
        self.chunk = b"".join([item.event.frame for item in self.items])

    def without(self, positions: Container[int]) -> "WriteGroup | None":
        """What is left of it without these events, None when that is nothing; itself if they are not in it."""
        kept = [item for item in self.items if item.event.position is None or item.event.position not in positions]
        if len(kept) == len(self.items):
            return self
        return WriteGroup(kept, self.streams[self.written :]) if kept else None


class FanOut:
    """Publishing and fan-out. Everything is synchronous, on the loop: no task, lock or await per stream and event.

    What was queued in a turn is written in one round, in slices; what is published meanwhile waits for the next round.
    """

    def __init__(self, options: RealtimeOptions, backlog: Backlog, on_suspended: Callable[[Stream], None]) -> None:
        """`on_behind` is told of a stream that was live and whose sink is too full."""
        self.backlog = backlog
        self.subscriptions = SubscriptionIndex()
        self.queues = ChannelQueues(_QUEUE_SIZE)
        # The last position published.
        self.head = 0
        # Events written to streams, and events not written to one because it was too slow (it reads them again).
        self.delivered = 0
        self.dropped = 0
        self._options = options
        self._on_behind = on_suspended
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduled = False
        # The round under way: what is left of it, its number, and the positions before it and after it.
        self._lots: deque[WriteGroup] = deque()
        self._round = 0
        self._before = self._after = 0

    def bind_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """The loop all this happens on: kept, since asking for it is a system call on Python 3.11."""
        self._loop = loop

    def seed(self, events: Sequence[Event], floor: int, head: int) -> None:
        """Start at `head` with the newest events of the log, all those past `floor`.

        Raises RuntimeError when something was published before: it would be forgotten.
        """
        if self.head:
            raise RuntimeError("seed it once, before anything is published")
        self.backlog.seed(events, floor)
        self.head = self._before = self._after = head

    def publish(self, events: Sequence[Event]) -> None:
        """Take events that are on disk (or ephemeral), in order of position.

        Raises ValueError, and does nothing, when they are not in order; RuntimeError before the start.
        """
        if self._loop is None:
            raise RuntimeError("start it before publishing")
        self._check_order(events)
        if not self._lots and not len(self.queues):
            self._after = self.head
        for event in events:
            if self.subscriptions.has_subscribers(event.channel):
                self._put(event)
            if event.position is not None:
                self.backlog.append(event)
                self.head = event.position
        self._schedule()

    def forget(self, positions: Sequence[int]) -> None:
        """Take events back from the ring and from what waits."""
        taken_back = frozenset(positions)
        self.backlog.forget(positions)
        self.queues.forget(taken_back)
        self._lots = deque(kept for lot in self._lots if (kept := lot.without(taken_back)) is not None)

    def flush(self) -> None:
        """Write all that waits, now; afterwards every live stream stands at `head`."""
        self._write(self._pending_writes())
        self._begin_round()
        self._write(self._pending_writes())

    def go_live(self, session: Stream) -> None:
        """Make a stream live that has read up to `head`. In the same step as the read that brought it there."""
        session.state = "live"
        session.unflushed_events = 0
        # What waits already is before its time.
        session.joined_at = self.queues.sequence
        self.subscriptions.add(session)
        if session.position > self.head or len(self.queues):
            self.subscriptions.ahead_of_publisher.add(session)

    def suspend(self, session: Stream) -> None:
        """Stop giving it live events, and note where it stands. It must be live."""
        session.position = self.delivered_position(session)
        session.state = "behind"
        self.subscriptions.remove(session)

    def delivered_position(self, session: Stream) -> int:
        """The position up to which a stream has been given everything; never more."""
        if session.state != "live":
            return session.position
        if not self._lots:
            # A round without listeners is none: what nobody here hears has been given to all.
            return max(session.position, self._after if len(self.queues) else self.head)
        return max(session.position, self._after if session.last_round == self._round else self._before)

    def _put(self, event: Event) -> None:
        if len(self.queues) >= _MAX_QUEUES or not self.queues.put(event):
            # What is published so far is written at once: nothing is ever dropped here.
            self.flush()
            self.queues.put(event)

    def _check_order(self, events: Sequence[Event]) -> None:
        last = self.head
        for event in events:
            if event.position is not None:
                if event.position <= last:
                    raise ValueError(f"position {event.position} published after {last}")
                last = event.position

    # Rounds

    def _schedule(self) -> None:
        if not self._scheduled and (self._lots or len(self.queues)) and self._loop is not None:
            self._scheduled = True
            self._loop.call_soon(self._run_slice)

    def _run_slice(self) -> None:
        self._scheduled = False
        if not self._lots:
            self._begin_round()
        self._write(self._options.writes_per_slice)
        self._schedule()

    def _pending_writes(self) -> int:
        return sum(len(lot.streams) - lot.written for lot in self._lots)

    def _begin_round(self) -> None:
        """The one before is over. Everything that waits becomes lots, for those who listen now."""
        self._before, self._after = self._after, self.head
        if len(self.queues):
            self._round += 1
            self._lots.extend(self._split_into_groups(self.queues.drain()))
        ahead = self.subscriptions.ahead_of_publisher
        for session in tuple(ahead):
            if session.position <= self.head:
                ahead.discard(session)

    def _write(self, room: int) -> None:
        """The next so many writes of the round. Giving may take listeners away: lots are copies."""
        while room > 0 and self._lots:
            lot = self._lots[0]
            part = lot.streams[lot.written : lot.written + room]
            lot.written += len(part)
            room -= len(part)
            self._write_group(lot, part)
            if self._lots and self._lots[0] is lot and lot.written >= len(lot.streams):
                self._lots.popleft()

    def _write_group(self, lot: WriteGroup, listeners: Sequence[Stream]) -> None:
        chunk, events, options, this = lot.chunk, len(lot.items), self._options, self._round
        given = 0
        for session in listeners:
            # Whoever has left meanwhile will read it.
            if session.state != "live":
                continue
            if session.try_write_live(chunk, events, options):
                session.last_round = this
                given += 1
            else:
                self.dropped += events
                self.suspend(session)
                self._on_behind(session)
        self.delivered += events * given

    def _split_into_groups(self, waiting: dict[str, list[QueuedEvent]]) -> Iterator[WriteGroup]:
        apart = self._individual_streams(waiting)
        for shared, listeners in self.subscriptions.by_shared_channels.values():
            items = _merged(waiting, shared)
            if items:
                together = [each for each in listeners if each not in apart] if apart else tuple(listeners)
                yield WriteGroup(items, together)
        for session in apart:
            items = [
                item
                for item in _merged(waiting, session.channels)
                if item.sequence > session.joined_at
                and (item.event.position is None or item.event.position > session.position)
            ]
            if items:
                yield WriteGroup(items, (session,))

    def _individual_streams(self, waiting: dict[str, list[QueuedEvent]]) -> dict[Stream, None]:
        """The streams that need a chunk of their own: private events, or some of the events read before."""
        apart = dict.fromkeys(self.subscriptions.ahead_of_publisher)
        for channel in waiting:
            apart.update(dict.fromkeys(values(self.subscriptions.by_user_channel, channel)))
        return apart


def _merged(waiting: dict[str, list[QueuedEvent]], channels: Sequence[str]) -> list[QueuedEvent]:
    parts = [waiting[channel] for channel in channels if channel in waiting]
    if len(parts) == 1:
        return parts[0]
    # Turns are unique, so events are never compared.
    return sorted(item for part in parts for item in part)
