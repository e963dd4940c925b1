"""Tells people who may know that somebody has come, gone idle or left: in small lots, never as it happens."""

from collections.abc import Callable, Sequence

import msgspec
import structlog

from realtime.event import Event
from realtime.manager import RealtimeManager
from realtime.presence import Status
from services.database.database import Database
from services.errors import DomainError
from services.event_log import channels
from services.presence import visibility
from services.presence.schemas import Presence
from services.presence.visibility import DEFAULT_SETTINGS, Watchers
from services.scheduling.background import BackgroundTask
from services.times import to_rfc3339_or_none

# A change is told about this soon; whatever happened in between is told as it is then.
INTERVAL_SECONDS = 0.5
# Users whose change one turn tells, and events in all: were everybody to know everybody and to come at once, these
# are what reaches the streams in a second, not a million.
MAX_USERS_PER_RUN = 50
MAX_EVENTS_PER_RUN = 1_000


class PresenceBroadcaster:
    """Runs beside the streams. `clock` gives wall time in ms, `monotonic` the seconds that presence is kept in."""

    def __init__(
        self,
        manager: RealtimeManager,
        database: Database,
        *,
        clock: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        self._manager, self._database = manager, database
        self._clock, self._monotonic = clock, monotonic
        self._background = BackgroundTask(
            "presence", interval_seconds=INTERVAL_SECONDS, run_once=self.run_once, on_error=self._log_error
        )
        # Changed, and not told yet: status and when they were last seen (ms).
        self._waiting: dict[str, tuple[Status, int]] = {}
        self._log = structlog.get_logger("presence")

    async def start(self) -> None:
        """From here on, tell; the database must run."""
        self._background.start()

    async def stop(self) -> None:
        """Stop telling, and note who was here until now; the database must still run."""
        if not await self._background.stop():
            return
        here = self._manager.presence.online_users()
        for start in range(0, len(here), MAX_USERS_PER_RUN * 10):
            await self._note(here[start : start + MAX_USERS_PER_RUN * 10])

    async def run_once(self) -> int:
        """Tell what has changed, as much of it as a turn may; how many events that were."""
        room = MAX_USERS_PER_RUN - len(self._waiting)
        for user_id, status, seen in self._manager.presence.take_changes(self._monotonic(), room):
            # Whoever has changed again in the meantime is told as they are now.
            self._waiting[user_id] = (status, self._wall(seen))
        if not self._waiting:
            return 0
        watched = await self._database.read(visibility.load_watchers, ids=list(self._waiting))
        events: list[Event] = []
        gone: dict[str, int] = {}
        for user_id in watched.ids:
            if len(events) >= MAX_EVENTS_PER_RUN:
                break
            status, seen = self._waiting.pop(user_id)
            events += self._events(user_id, status, seen, watched)
            if status == "offline":
                gone[user_id] = seen
        self._manager.publish(events)
        if gone:
            await self._database.write(visibility.save_last_seen, last_seen=gone, now=self._clock())
        return len(events)

    def get_presence(self, user_id: str, settings: visibility.PresenceSettings) -> Presence:
        """How somebody is now, to one who may see them."""
        seen = self._manager.presence.last_input_at(user_id)
        if settings.invisible or seen is None:
            return _shown(user_id, "offline", settings.last_seen_at)
        return _shown(user_id, self._manager.presence.status(user_id, self._monotonic()), self._wall(seen))

    async def publish_now(self, user_id: str) -> None:
        """Tell how somebody is because they have just hidden, or ceased to."""
        watched = await self._database.read(visibility.load_watchers, ids=[user_id])
        event = self.get_presence(user_id, watched.settings.get(user_id, DEFAULT_SETTINGS))
        self._manager.publish(self._to(watched.watchers.get(user_id, ()), event))

    def publish_offline_to_each_other(self, one: str, other: str) -> None:
        """Two do not see each other any more: whatever each last heard of the other is over."""
        for seen, sees in ((one, other), (other, one)):
            self._manager.publish(self._to([sees], _shown(seen, "offline", None)))

    def _log_error(self, error: Exception) -> None:
        # The next run publishes the changes that remain.
        self._log.warning("presence_not_published", error=repr(error))

    async def _note(self, user_ids: Sequence[str]) -> None:
        seen = {each: at for each in user_ids if (at := self._manager.presence.last_input_at(each)) is not None}
        try:
            told = {each: self._wall(at) for each, at in seen.items()}
            await self._database.write(visibility.save_last_seen, last_seen=told, now=self._clock())
        except DomainError as error:
            self._log.warning("presence_not_noted", code=error.code)

    def _events(self, user_id: str, status: Status, seen: int, watched: Watchers) -> list[Event]:
        """None of somebody who hides: their coming and going is what is hidden."""
        if watched.settings.get(user_id, DEFAULT_SETTINGS).invisible:
            return []
        return self._to(watched.watchers.get(user_id, ()), _shown(user_id, status, seen))

    def _to(self, user_ids: Sequence[str], presence: Presence) -> list[Event]:
        online = [each for each in user_ids if self._manager.is_online(each)][:MAX_EVENTS_PER_RUN]
        data = msgspec.json.encode(presence)
        return [Event.ephemeral(channels.user_channel(each), "presence", data) for each in online]

    def _wall(self, seen: float) -> int:
        return self._clock() - round((self._monotonic() - seen) * 1_000)


def _shown(user_id: str, status: Status, seen: int | None) -> Presence:
    return Presence(user_id=user_id, status=status, last_seen_at=to_rfc3339_or_none(seen))
