"""PresenceBroadcaster: publishes presence changes in bounded batches."""

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

# Changes of a user within this time are published as one.
INTERVAL_SECONDS = 0.5
# Users and events published in one run. They bound the output when many users with many watchers connect at once.
MAX_USERS_PER_RUN = 50
MAX_EVENTS_PER_RUN = 1_000


class PresenceBroadcaster:
    """Publishes presence changes to watchers.

    `clock` gives wall time in ms, `monotonic` the seconds of the presence tracker.
    """

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
        # Unpublished changes by user id: status and last-seen time (ms).
        self._unpublished: dict[str, tuple[Status, int]] = {}
        self._log = structlog.get_logger("presence")

    async def start(self) -> None:
        """Start to publish; the database must be running."""
        self._background.start()

    async def stop(self) -> None:
        """Stop and save the last-seen time of all online users; the database must still be running."""
        if not await self._background.stop():
            return
        online = self._manager.presence.online_users()
        for start in range(0, len(online), MAX_USERS_PER_RUN * 10):
            await self._save_last_seen(online[start : start + MAX_USERS_PER_RUN * 10])

    async def run_once(self) -> int:
        """Publish the changes of at most `MAX_USERS_PER_RUN` users and return the number of events."""
        limit = MAX_USERS_PER_RUN - len(self._unpublished)
        for user_id, status, input_at in self._manager.presence.take_changes(self._monotonic(), limit):
            # A later change replaces an unpublished one.
            self._unpublished[user_id] = (status, self._to_wall_time(input_at))
        if not self._unpublished:
            return 0
        watchers = await self._database.read(visibility.load_watchers, ids=list(self._unpublished))
        events: list[Event] = []
        offline: dict[str, int] = {}
        for user_id in watchers.ids:
            if len(events) >= MAX_EVENTS_PER_RUN:
                break
            status, last_seen = self._unpublished.pop(user_id)
            events += self._create_events(user_id, status, last_seen, watchers)
            if status == "offline":
                offline[user_id] = last_seen
        self._manager.publish(events)
        if offline:
            await self._database.write(visibility.save_last_seen, last_seen=offline, now=self._clock())
        return len(events)

    def get_presence(self, user_id: str, settings: visibility.PresenceSettings) -> Presence:
        """Return the current presence of a user for a caller who may see it."""
        input_at = self._manager.presence.last_input_at(user_id)
        if settings.invisible or input_at is None:
            return _to_presence(user_id, "offline", settings.last_seen_at)
        status = self._manager.presence.status(user_id, self._monotonic())
        return _to_presence(user_id, status, self._to_wall_time(input_at))

    async def publish_now(self, user_id: str) -> None:
        """Publish the presence of a user who has just changed the visibility."""
        watchers = await self._database.read(visibility.load_watchers, ids=[user_id])
        presence = self.get_presence(user_id, watchers.settings.get(user_id, DEFAULT_SETTINGS))
        self._manager.publish(self._events_for(watchers.by_user.get(user_id, ()), presence))

    def publish_offline_to_each_other(self, user_id: str, other_id: str) -> None:
        """Publish each user as offline to the other, because a block now separates them."""
        for subject_id, watcher_id in ((user_id, other_id), (other_id, user_id)):
            presence = _to_presence(subject_id, "offline", None)
            self._manager.publish(self._events_for([watcher_id], presence))

    def _log_error(self, error: Exception) -> None:
        # The next run publishes the changes that remain.
        self._log.warning("presence_not_published", error=repr(error))

    async def _save_last_seen(self, user_ids: Sequence[str]) -> None:
        last_input_at = self._manager.presence.last_input_at
        inputs = {user_id: at for user_id in user_ids if (at := last_input_at(user_id)) is not None}
        try:
            last_seen = {user_id: self._to_wall_time(at) for user_id, at in inputs.items()}
            await self._database.write(visibility.save_last_seen, last_seen=last_seen, now=self._clock())
        except DomainError as error:
            self._log.warning("last_seen_not_saved", code=error.code)

    def _create_events(self, user_id: str, status: Status, last_seen: int, watchers: Watchers) -> list[Event]:
        """Return the events for all watchers; none for an invisible user."""
        if watchers.settings.get(user_id, DEFAULT_SETTINGS).invisible:
            return []
        return self._events_for(watchers.by_user.get(user_id, ()), _to_presence(user_id, status, last_seen))

    def _events_for(self, user_ids: Sequence[str], presence: Presence) -> list[Event]:
        online = [user_id for user_id in user_ids if self._manager.is_online(user_id)][:MAX_EVENTS_PER_RUN]
        data = msgspec.json.encode(presence)
        return [Event.ephemeral(channels.user_channel(user_id), "presence", data) for user_id in online]

    def _to_wall_time(self, monotonic_time: float) -> int:
        return self._clock() - round((self._monotonic() - monotonic_time) * 1_000)


def _to_presence(user_id: str, status: Status, last_seen: int | None) -> Presence:
    return Presence(user_id=user_id, status=status, last_seen_at=to_rfc3339_or_none(last_seen))
