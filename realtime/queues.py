"""ChannelQueues: bounded asyncio queues of events published in this loop iteration."""

import asyncio
from collections.abc import Container
from typing import NamedTuple

from realtime.event import Event


class QueuedEvent(NamedTuple):
    """An event and its sequence number among all published events, including ephemeral ones."""

    sequence: int
    event: Event


class ChannelQueues:
    """One bounded queue per channel. A queue is created when an event waits and removed when it is drained."""

    __slots__ = ("_max_events", "_queues", "sequence")

    def __init__(self, max_events: int) -> None:
        """`max_events` is the size of each queue."""
        self._max_events = max_events
        self._queues: dict[str, asyncio.Queue[QueuedEvent]] = {}
        # The sequence number of the last queued event.
        self.sequence = 0

    def __len__(self) -> int:
        return len(self._queues)

    def total_queued(self) -> int:
        """Return the number of queued events."""
        return sum(queue.qsize() for queue in self._queues.values())

    def put(self, event: Event) -> bool:
        """Queue an event after all others. Return False and do nothing when the queue of its channel is full."""
        queue = self._queues.get(event.channel)
        if queue is None:
            queue = self._queues[event.channel] = asyncio.Queue(self._max_events)
        if queue.full():
            return False
        self.sequence += 1
        queue.put_nowait(QueuedEvent(self.sequence, event))
        return True

    def drain(self) -> dict[str, list[QueuedEvent]]:
        """Return all queued events by channel, in order, and remove all queues."""
        queues, self._queues = self._queues, {}
        return {channel: _take_all(queue) for channel, queue in queues.items()}

    def forget(self, positions: Container[int]) -> None:
        """Remove the events at these positions from the queues."""
        for channel, items in self.drain().items():
            remaining = [item for item in items if item.event.position is None or item.event.position not in positions]
            if remaining:
                queue = self._queues[channel] = asyncio.Queue(self._max_events)
                for item in remaining:
                    queue.put_nowait(item)


def _take_all(queue: asyncio.Queue[QueuedEvent]) -> list[QueuedEvent]:
    return [queue.get_nowait() for _ in range(queue.qsize())]
