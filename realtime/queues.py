"""The queues: per channel, what was published in this turn of the loop and waits to be written to its listeners."""

import asyncio
from collections.abc import Container
from typing import NamedTuple

from realtime.event import Event


class QueuedEvent(NamedTuple):
    """An event and its place among all that was published, ephemeral events included."""

    sequence: int
    event: Event


class ChannelQueues:
    """One bounded queue per channel (a user's or a shared one), made when something waits and gone when drained."""

    __slots__ = ("_queues", "_size", "sequence")

    def __init__(self, size: int) -> None:
        self._size = size
        self._queues: dict[str, asyncio.Queue[QueuedEvent]] = {}
        # The place of the last one that was queued.
        self.sequence = 0

    def __len__(self) -> int:
        return len(self._queues)

    def total_queued(self) -> int:
        """How many events wait."""
        return sum(queue.qsize() for queue in self._queues.values())

    def put(self, event: Event) -> bool:
        """Queue an event behind all others; False when its channel's queue is full, and nothing is done."""
        queue = self._queues.get(event.channel)
        if queue is None:
            queue = self._queues[event.channel] = asyncio.Queue(self._size)
        if queue.full():
            return False
        self.sequence += 1
        queue.put_nowait(QueuedEvent(self.sequence, event))
        return True

    def drain(self) -> dict[str, list[QueuedEvent]]:
        """Everything that waits, by channel, in order; the queues are gone."""
        queues, self._queues = self._queues, {}
        return {channel: _emptied(queue) for channel, queue in queues.items()}

    def forget(self, positions: Container[int]) -> None:
        """Take these events out of what waits."""
        for channel, items in self.drain().items():
            kept = [item for item in items if item.event.position is None or item.event.position not in positions]
            if kept:
                queue = self._queues[channel] = asyncio.Queue(self._size)
                for item in kept:
                    queue.put_nowait(item)


def _emptied(queue: asyncio.Queue[QueuedEvent]) -> list[QueuedEvent]:
    return [queue.get_nowait() for _ in range(queue.qsize())]
