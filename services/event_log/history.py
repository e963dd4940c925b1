"""The log as the realtime ring sees it: pages for readers who come back, and what the ring is filled with at start."""

from collections.abc import Sequence

from realtime.event import Event
from realtime.ports import EventPage, MissedCounts
from services.database import outbox
from services.database.database import Database


class History:
    """Implements `realtime.ports.History` on the store; each call is one snapshot, held no longer than the call."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_after(self, channels: Sequence[str], position: int, limit: int) -> EventPage:
        """The next events of `channels` past `position`, in order, at most `limit` (1 or more)."""
        return await self._database.read(outbox.read_after, channels=channels, position=position, limit=limit)

    async def count_missed(
        self, channels: Sequence[str], own_channel: str, position: int, *, own_limit: int, shared_limit: int
    ) -> MissedCounts:
        """Count what lies past `position`, in `own_channel` and in the other `channels` together."""
        return await self._database.read(
            outbox.count_missed,
            channels=channels,
            own=own_channel,
            position=position,
            own_limit=own_limit,
            shared_limit=shared_limit,
        )

    async def load_recent(self, limit: int) -> tuple[list[Event], int, int]:
        """What `RealtimeManager.seed` takes: the newest events of all channels, the floor before them, the head."""
        return await self._database.read(outbox.read_recent, limit=limit)

    async def epoch(self) -> str:
        """The epoch that positions belong to; it changes when a store is restored."""
        return (await self._database.read(outbox.head))[1]
