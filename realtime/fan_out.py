"""FanOut: publishes events in position order and writes them once to each stream."""

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

# A queue takes 3.3 KB, so a batch for more users than this is written in parts.
_MAX_QUEUES: Final = 1_000
# How many events of one channel may wait for the next round.
_MAX_QUEUED_EVENTS: Final = 1_000


@dataclass(slots=True)
class WriteGroup:
    """The same events for a list of streams; the first `written` streams have received them."""

    items: list[QueuedEvent]
    streams: Sequence[Stream]
    # The same object for all streams.
    chunk: bytes = field(init=False)
    written: int = 0

    def __post_init__(self) -> None:
        self.chunk = b"".join([item.event.frame for item in self.items])

    def without(self, positions: Container[int]) -> "WriteGroup | None":
        """Return the rest of the group without these events: itself if it has none of them, None if nothing is left."""
        remaining = [item for item in self.items if item.event.position is None or item.event.position not in positions]
        if len(remaining) == len(self.items):
            return self
        return WriteGroup(remaining, self.streams[self.written :]) if remaining else None


class FanOut:
    """Publishing and writing. Everything is synchronous on the loop: no task, lock or await per stream and event.

    Events queued in one loop iteration are written in one round, in slices. Events published during a round wait for
    the next round.
    """

    def __init__(self, options: RealtimeOptions, backlog: Backlog, on_suspended: Callable[[Stream], None]) -> None:
        """`on_suspended` is called for a live stream that was suspended because its sink buffers too much."""
        self.backlog = backlog
        self.subscriptions = SubscriptionIndex()
        self.queues = ChannelQueues(_MAX_QUEUED_EVENTS)
        # The last published position.
        self.head = 0
        # Events written to streams, and events not written to a slow stream, which reads them again later.
        self.delivered = 0
        self.dropped = 0
        self._options = options
        self._on_suspended = on_suspended
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduled = False
        # The current round: its unfinished groups, its number, and the positions before and after it.
        self._groups: deque[WriteGroup] = deque()
        self._round = 0
        self._position_before = self._position_after = 0

    def bind_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the event loop. It is stored because get_running_loop() is a system call on Python 3.11."""
        self._loop = loop

    def seed(self, events: Sequence[Event], floor: int, head: int) -> None:
        """Start at position `head` with the newest events of the log: all events after `floor`.

        Raises RuntimeError after the first publish, because published events would be lost.
        """
        if self.head:
            raise RuntimeError("seed must be called once, before anything is published")
        self.backlog.seed(events, floor)
        self.head = self._position_before = self._position_after = head

    def publish(self, events: Sequence[Event]) -> None:
        """Publish durable or ephemeral events in order of position. Durable events must be on disk.

        Raises ValueError and does nothing when they are not in order. Raises RuntimeError before the start.
        """
        if self._loop is None:
            raise RuntimeError("start must be called before events are published")
        self._check_order(events)
        if not self._groups and not len(self.queues):
            self._position_after = self.head
        for event in events:
            if self.subscriptions.has_subscribers(event.channel):
                self._enqueue(event)
            if event.position is not None:
                self.backlog.append(event)
                self.head = event.position
        self._schedule()

    def forget(self, positions: Sequence[int]) -> None:
        """Remove events from the backlog, the queues and the current round."""
        forgotten = frozenset(positions)
        self.backlog.forget(positions)
        self.queues.forget(forgotten)
        self._groups = deque(rest for group in self._groups if (rest := group.without(forgotten)) is not None)

    def flush(self) -> None:
        """Write everything that is queued now; afterwards every live stream has received all events up to `head`."""
        self._write(self._pending_writes())
        self._begin_round()
        self._write(self._pending_writes())

    def go_live(self, stream: Stream) -> None:
        """Make a stream live that has read up to `head`. Must be in the same step as the read that reached it."""
        stream.state = "live"
        stream.unflushed_events = 0
        # Events that are already queued were published before the stream joined.
        stream.joined_at = self.queues.sequence
        self.subscriptions.add(stream)
        if stream.position > self.head or len(self.queues):
            self.subscriptions.ahead_of_publisher.add(stream)

    def suspend(self, stream: Stream) -> None:
        """Stop writing live events to a live stream, and store its position."""
        stream.position = self.delivered_position(stream)
        stream.state = "catching_up"
        self.subscriptions.remove(stream)

    def delivered_position(self, stream: Stream) -> int:
        """Return the position up to which the stream has received every event."""
        if stream.state != "live":
            return stream.position
        if not self._groups:
            # No round is running. Without queued events, no live stream waits for anything up to the head.
            return max(stream.position, self._position_after if len(self.queues) else self.head)
        return max(stream.position, self._position_after if stream.last_round == self._round else self._position_before)

    def _enqueue(self, event: Event) -> None:
        if len(self.queues) >= _MAX_QUEUES or not self.queues.put(event):
            # Make room by writing now, so that no event is dropped.
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
        if not self._scheduled and (self._groups or len(self.queues)) and self._loop is not None:
            self._scheduled = True
            self._loop.call_soon(self._run_slice)

    def _run_slice(self) -> None:
        self._scheduled = False
        if not self._groups:
            self._begin_round()
        self._write(self._options.writes_per_slice)
        self._schedule()

    def _pending_writes(self) -> int:
        return sum(len(group.streams) - group.written for group in self._groups)

    def _begin_round(self) -> None:
        """Turn all queued events into groups for the streams that are live now. The previous round must be complete."""
        self._position_before, self._position_after = self._position_after, self.head
        if len(self.queues):
            self._round += 1
            self._groups.extend(self._split_into_groups(self.queues.drain()))
        ahead = self.subscriptions.ahead_of_publisher
        for stream in tuple(ahead):
            if stream.position <= self.head:
                ahead.discard(stream)

    def _write(self, max_writes: int) -> None:
        """Do at most `max_writes` writes of the round. Groups hold copies, because a write may remove subscribers."""
        while max_writes > 0 and self._groups:
            group = self._groups[0]
            part = group.streams[group.written : group.written + max_writes]
            group.written += len(part)
            max_writes -= len(part)
            self._write_group(group, part)
            if self._groups and self._groups[0] is group and group.written >= len(group.streams):
                self._groups.popleft()

    def _write_group(self, group: WriteGroup, streams: Sequence[Stream]) -> None:
        chunk, events, options, current_round = group.chunk, len(group.items), self._options, self._round
        written = 0
        for stream in streams:
            # A stream that was suspended meanwhile reads the events from the backlog or the log.
            if stream.state != "live":
                continue
            if stream.try_write_live(chunk, events, options):
                stream.last_round = current_round
                written += 1
            else:
                self.dropped += events
                self.suspend(stream)
                self._on_suspended(stream)
        self.delivered += events * written

    def _split_into_groups(self, queued: dict[str, list[QueuedEvent]]) -> Iterator[WriteGroup]:
        individual = self._individual_streams(queued)
        for shared, streams in self.subscriptions.by_shared_channels.values():
            items = _merge(queued, shared)
            if items:
                together = [each for each in streams if each not in individual] if individual else tuple(streams)
                yield WriteGroup(items, together)
        for stream in individual:
            items = [
                item
                for item in _merge(queued, stream.channels)
                if item.sequence > stream.joined_at
                and (item.event.position is None or item.event.position > stream.position)
            ]
            if items:
                yield WriteGroup(items, (stream,))

    def _individual_streams(self, queued: dict[str, list[QueuedEvent]]) -> dict[Stream, None]:
        """Return the streams that need their own chunk: they have private events, or have read some events before."""
        individual = dict.fromkeys(self.subscriptions.ahead_of_publisher)
        for channel in queued:
            individual.update(dict.fromkeys(values(self.subscriptions.by_user_channel, channel)))
        return individual


def _merge(queued: dict[str, list[QueuedEvent]], channels: Sequence[str]) -> list[QueuedEvent]:
    """Return the queued events of these channels in order of publication."""
    parts = [queued[channel] for channel in channels if channel in queued]
    if len(parts) == 1:
        return parts[0]
    # Sequence numbers are unique, so the sort never compares events.
    return sorted(item for part in parts for item in part)
