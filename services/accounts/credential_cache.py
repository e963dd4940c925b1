"""CredentialCache: callers by session or API key, invalidated by the commits that change them."""

from collections import deque
from collections.abc import Callable, Mapping

import msgspec

from realtime.multimap import Many, add, discard, values
from services.accounts import api_keys, sessions, users
from services.accounts.callers import Caller, User
from services.database.batch_loader import BatchLoader
from services.database.database import Database
from services.errors import DomainError

# Cached sessions and API keys; each takes about half a KB.
MAX_CACHED = 20_000
# Invalidations remembered one by one. A caller with an older version must be authenticated again.
MAX_INVALIDATIONS = 1_000
# Session uses saved in one unit of work.
MAX_USES_PER_WRITE = 500


class _Entry(msgspec.Struct, gc=False):
    caller: Caller
    used_at: int


class CredentialCache:
    """Finds callers by session or API key; concurrent lookups that miss the cache share one query.

    `invalidate` must be called on the event loop with every event of the control channel, before the units of work of
    that commit return. `clock` gives wall time in ms.
    """

    def __init__(self, database: Database, *, clock: Callable[[], int], max_cached: int = MAX_CACHED) -> None:
        self._database = database
        self._clock = clock
        self._max_cached = max_cached
        self._sessions: BatchLoader[sessions.SessionRecord] = BatchLoader(database, sessions.load_many)
        self._api_keys: BatchLoader[api_keys.KeyRecord] = BatchLoader(database, api_keys.load_many)
        self._users: BatchLoader[User] = BatchLoader(database, users.load_many)
        # By session id or key hash, least recently used first. The streams of a session share the string of its id.
        self._entries: dict[str, _Entry] = {}
        # The keys of `_entries` by user id or `key:<name>`, so that invalidation needs no scan.
        self._entries_by_owner: dict[str, str | Many[str]] = {}
        self._unsaved_uses: set[str] = set()
        self._version = 0
        self._invalidations: deque[str] = deque(maxlen=MAX_INVALIDATIONS)

    @property
    def version(self) -> int:
        """The number of invalidations so far."""
        return self._version

    def changed_since(self, version: int, caller: Caller) -> bool:
        """Return whether the caller's session, key or user was invalidated after `version`.

        It is also true when `version` is older than the remembered invalidations.
        """
        missed = self._version - version
        if not missed:
            return False
        if missed > len(self._invalidations):
            return True
        keys = {caller.session_key, f"user:{caller.user_id}"}
        return any(self._invalidations[-offset] in keys for offset in range(1, missed + 1))

    async def by_session(self, session_id: str) -> Caller | None:
        """Return the user of a session; None when it was revoked or is idle, or when the user is disabled."""
        entry = self._get_entry(session_id)
        if entry is None:
            version, record = self._version, await self._sessions.load(session_id)
            if record is None:
                return None
            entry = _Entry(Caller("user", user=record.user, session_id=session_id), record.used_at)
            self._add_entry(session_id, entry, record.user.id, version)
        return self._record_use(session_id, entry)

    async def by_api_key(self, text: str) -> Caller | None:
        """Return the service of an API key; None when it is unknown or revoked."""
        digest = api_keys.hash_key(text).hex()
        entry = self._get_entry(digest)
        if entry is None:
            version, record = self._version, await self._api_keys.load(digest)
            if record is None:
                return None
            entry = _Entry(Caller("service", scopes=record.scopes, service=record.name), 0)
            self._add_entry(digest, entry, f"key:{record.name}", version)
        return entry.caller

    async def by_user(self, user_id: str) -> User | None:
        """Return a user; None when there is none or it is disabled."""
        return await self._users.load(user_id)

    def invalidate(self, type: str, data: Mapping[str, str]) -> None:
        """Apply an event of the control channel: a session, user or key was revoked, or a user changed."""
        if type == "session_revoked":
            self._remove_entry(data["sessionId"])
            self._record_invalidation(data["sessionId"])
        elif type in ("user_revoked", "user_changed"):
            self._remove_entries_of(data["userId"])
            self._record_invalidation(f"user:{data['userId']}")
        elif type == "key_revoked":
            self._remove_entries_of(f"key:{data['name']}")
            self._record_invalidation(f"key:{data['name']}")

    def forget(self, user_id: str) -> None:
        """Remove a user's sessions from the cache; the sessions remain valid."""
        self._remove_entries_of(user_id)

    async def flush(self) -> None:
        """Save the recorded uses of sessions; to be called regularly and once at the end. Raises DomainError."""
        while self._unsaved_uses:
            ids = list(self._unsaved_uses)[:MAX_USES_PER_WRITE]
            self._unsaved_uses.difference_update(ids)
            try:
                await self._database.write(sessions.record_use, ids=ids, now=self._clock())
            except DomainError:
                self._unsaved_uses.update(ids)
                raise

    def _record_use(self, session_id: str, entry: _Entry) -> Caller | None:
        unused_ms = self._clock() - entry.used_at
        if unused_ms > sessions.IDLE_MS:
            return None
        if unused_ms >= sessions.USE_PRECISION_MS:
            entry.used_at = self._clock()
            self._unsaved_uses.add(session_id)
        return entry.caller

    def _get_entry(self, name: str) -> _Entry | None:
        entry = self._entries.pop(name, None)
        if entry is not None:
            self._entries[name] = entry
        return entry

    def _add_entry(self, name: str, entry: _Entry, owner: str, version: int) -> None:
        """Cache an entry unless it was invalidated after `version`: the reader's snapshot may be older."""
        if self.changed_since(version, entry.caller):
            return
        if name not in self._entries:
            add(self._entries_by_owner, owner, name)
        self._entries[name] = entry
        while len(self._entries) > self._max_cached:
            self._remove_entry(next(iter(self._entries)))

    def _record_invalidation(self, key: str) -> None:
        self._version += 1
        self._invalidations.append(key)

    def _remove_entries_of(self, owner: str) -> None:
        for name in tuple(values(self._entries_by_owner, owner)):
            self._remove_entry(name)

    def _remove_entry(self, name: str) -> None:
        entry = self._entries.pop(name, None)
        if entry is None:
            return
        user_id, service = entry.caller.user_id, entry.caller.service
        discard(self._entries_by_owner, f"key:{service}" if user_id is None else user_id, name)
