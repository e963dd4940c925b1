"""Acknowledgements: cursors reported by browsers, saved as delivery receipts."""

from collections.abc import Callable, Iterable

import structlog

from realtime.cursor import Cursor
from services.database.database import Database
from services.messages import receipts
from services.scheduling.background import BackgroundTask

INTERVAL_SECONDS = 0.5
MAX_USERS_PER_RUN = 100
# Users with unsaved acknowledgements. Further ones are ignored, because browsers repeat them.
MAX_WAITING_USERS = 100_000


class Acknowledgements:
    """Collects acknowledgements in memory and saves them in batches; browsers repeat lost ones.

    `clock` gives wall time in ms.
    """

    def __init__(self, database: Database, epoch: str, clock: Callable[[], int]) -> None:
        self._database, self._epoch, self._clock = database, epoch, clock
        self._unsaved: dict[str, int] = {}
        # The last acknowledged position by user id, least recently acknowledged first.
        self._positions: dict[str, int] = {}
        self._background = BackgroundTask(
            "acknowledgements", interval_seconds=INTERVAL_SECONDS, run_once=self.run_once, on_error=self._log_error
        )
        self._log = structlog.get_logger("acknowledgements")

    def acknowledge(self, user_id: str, cursor: Cursor, head: int) -> None:
        """Record that a browser of the user has stored all events up to `cursor`.

        A cursor of another epoch or after `head` is ignored.
        """
        if cursor.epoch != self._epoch or cursor.position > head or len(self._unsaved) >= MAX_WAITING_USERS:
            return
        self._positions[user_id] = max(cursor.position, self._positions.pop(user_id, 0))
        if len(self._positions) > MAX_WAITING_USERS:
            del self._positions[next(iter(self._positions))]
        self._unsaved[user_id] = max(cursor.position, self._unsaved.get(user_id, 0))

    def acknowledged_position(self, user_id: str) -> int:
        """Return the last position that a browser of this user acknowledged; 0 without one."""
        return self._positions.get(user_id, 0)

    def forget(self, user_ids: Iterable[str]) -> None:
        """Release the acknowledged positions of idle users; unsaved ones are still saved."""
        for user_id in user_ids:
            self._positions.pop(user_id, None)

    async def start(self) -> None:
        """Start to save acknowledgements; the database must be running."""
        self._background.start()

    async def stop(self) -> None:
        """Stop without saving the rest; browsers acknowledge again when they reconnect."""
        await self._background.stop()

    async def run_once(self) -> None:
        """Save the acknowledgements of at most `MAX_USERS_PER_RUN` users. Raises DomainError."""
        positions = {user_id: self._unsaved.pop(user_id) for user_id in list(self._unsaved)[:MAX_USERS_PER_RUN]}
        if not positions:
            return
        user_ids = await self._database.read(receipts.find_undelivered, positions=positions)
        if user_ids:
            undelivered = {user_id: positions[user_id] for user_id in user_ids}
            await self._database.write(receipts.mark_delivered, positions=undelivered, now=self._clock())

    def _log_error(self, error: Exception) -> None:
        self._log.warning("acknowledgements_not_saved", error=repr(error))
