"""Gathers what browsers say they have stored, so that a storm of reports costs one look-up a moment."""

from collections.abc import Callable, Iterable

import structlog

from realtime.cursor import Cursor
from services.database.database import Database
from services.messages import receipts
from services.scheduling.background import BackgroundTask

INTERVAL_SECONDS = 0.5
# Users whose reports one turn looks up, and that wait at most; who comes beyond that reports again anyway.
MAX_USERS_PER_RUN = 100
MAX_WAITING_USERS = 100_000


class Acknowledgements:
    """A report is a hint that a browser repeats, so it is kept in memory until its turn. `clock` gives wall ms."""

    def __init__(self, database: Database, epoch: str, clock: Callable[[], int]) -> None:
        self._database, self._epoch, self._clock = database, epoch, clock
        self._waiting: dict[str, int] = {}
        # The newest report of each; who reported first, and not since, is forgotten first.
        self._stored: dict[str, int] = {}
        self._background = BackgroundTask(
            "acknowledgements", interval_seconds=INTERVAL_SECONDS, run_once=self.run_once, on_error=self._log_error
        )
        self._log = structlog.get_logger("acknowledgements")

    def acknowledge(self, user_id: str, cursor: Cursor, head: int) -> None:
        """A browser of this user has stored everything up to `cursor`; one that cannot be is no report."""
        if cursor.epoch != self._epoch or cursor.position > head or len(self._waiting) >= MAX_WAITING_USERS:
            return
        self._stored[user_id] = max(cursor.position, self._stored.pop(user_id, 0))
        if len(self._stored) > MAX_WAITING_USERS:
            del self._stored[next(iter(self._stored))]
        self._waiting[user_id] = max(cursor.position, self._waiting.get(user_id, 0))

    def acknowledged_position(self, user_id: str) -> int:
        """The position up to which a browser of this user has said to have everything; 0 if none has."""
        return self._stored.get(user_id, 0)

    def forget(self, user_ids: Iterable[str]) -> None:
        """These users have been gone for long: what was reported by them, and is written down, is not needed."""
        for user_id in user_ids:
            self._stored.pop(user_id, None)

    async def start(self) -> None:
        """From here on, write reports down; the database must run."""
        self._background.start()

    async def stop(self) -> None:
        """Stop; what waits is reported again by who comes back."""
        await self._background.stop()

    async def run_once(self) -> None:
        """Write down some of the reports. Raises DomainError."""
        reports = {each: self._waiting.pop(each) for each in list(self._waiting)[:MAX_USERS_PER_RUN]}
        if not reports:
            return
        behind = await self._database.read(receipts.find_undelivered, positions=reports)
        if behind:
            some = {each: reports[each] for each in behind}
            await self._database.write(receipts.mark_delivered, positions=some, now=self._clock())

    def _log_error(self, error: Exception) -> None:
        self._log.warning("acknowledgements_not_saved", error=repr(error))
