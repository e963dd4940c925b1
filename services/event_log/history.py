"""History: implements the realtime port that reads the event log."""

from collections.abc import Sequence

from realtime.event import Event
from realtime.ports import EventPage, MissedCounts
from services.database import outbox
from services.database.database import Database


class History:
    """Implements `realtime.ports.History` on the database; each call reads one snapshot and then releases it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_after(self, channels: Sequence[str], position: int, limit: int) -> EventPage:
        """Return the next events of `channels` after `position`, in order, at most `limit` (1 or more)."""
        return await self._database.read(outbox.read_after, channels=channels, position=position, limit=limit)

    async def count_missed(
        self, channels: Sequence[str], own_channel: str, position: int, *, own_limit: int, shared_limit: int
    ) -> MissedCounts:
        """Count the events after `position`: in `own_channel`, and in the other `channels` together."""
        return await self._database.read(
            outbox.count_missed,
            channels=channels,
            own=own_channel,
            position=position,
            own_limit=own_limit,
            shared_limit=shared_limit,
        )

    async def load_recent(self, limit: int) -> tuple[list[Event], int, int]:
        """Return the arguments of `RealtimeManager.seed`: the newest events of all channels, the floor, the head."""
        return await self._database.read(outbox.read_recent, limit=limit)

    async def epoch(self) -> str:
        """Return the epoch of the positions; restoring a store changes it."""
        return (await self._database.read(outbox.head))[1]
