"""What is behind a login or an API key, kept at hand and dropped by the very commits that change it."""

from collections import deque
from collections.abc import Callable, Mapping

import msgspec

from realtime.multimap import Many, add, discard, values
from services.accounts import api_keys, sessions, users
from services.accounts.callers import Caller, User
from services.database.batch_loader import BatchLoader
from services.database.database import Database
from services.errors import DomainError

# Logins and keys kept at hand: about half a KB each.
MAX_CACHED = 20_000
# Ends that can still be told apart from one another; whoever is further behind asks again.
MAX_INVALIDATIONS = 1_000
# Touches written at once.
TOUCHES = 500


class _Held(msgspec.Struct, gc=False):
    caller: Caller
    used_at: int


class CredentialCache:
    """Finds callers by login or key, with one query a turn of the loop for those who are not at hand.

    `apply` must be called with every event of the control channel, on the loop, before those who waited for that
    commit go on. `clock` gives wall time in ms.
    """

    def __init__(self, database: Database, *, clock: Callable[[], int], kept: int = MAX_CACHED) -> None:
        self._database = database
        self._clock = clock
        self._kept = kept
        self._logins: BatchLoader[sessions.SessionRecord] = BatchLoader(database, sessions.load_many)
        self._keys: BatchLoader[api_keys.Key] = BatchLoader(database, api_keys.load_many)
        self._users: BatchLoader[User] = BatchLoader(database, users.load_many)
        # By the id of a login or the hash of a key, the least used first; the id is the one string, shared with the
        # stream of that login.
        self._held: dict[str, _Held] = {}
        # What `_held` knows of a user (by id) or a service (`key:<name>`), so that it can be dropped without a search.
        self._owned: dict[str, str | Many[str]] = {}
        self._touched: set[str] = set()
        self._mark = 0
        self._ends: deque[str] = deque(maxlen=MAX_INVALIDATIONS)

    @property
    def version(self) -> int:
        """How many ends and changes have been heard of."""
        return self._mark

    def changed_since(self, mark: int, caller: Caller) -> bool:
        """Whether what this caller rests on ended or changed after `mark`; True too when that is too long ago."""
        missed = self._mark - mark
        if not missed:
            return False
        if missed > len(self._ends):
            return True
        rests_on = {caller.session_key, f"user:{caller.user_id}"}
        return any(self._ends[-back] in rests_on for back in range(1, missed + 1))

    async def by_session(self, login_id: str) -> Caller | None:
        """The user behind a login; None when it has ended, was idle too long or its user is disabled."""
        held = self._at_hand(login_id)
        if held is None:
            mark, found = self._mark, await self._logins.load(login_id)
            if found is None:
                return None
            held = _Held(Caller("user", user=found.user, login=login_id), found.used_at)
            self._hold(login_id, held, found.user.id, mark)
        return self._used(login_id, held)

    async def by_api_key(self, text: str) -> Caller | None:
        """The service behind an API key; None when there is none or it was revoked."""
        digest = api_keys.hash_of(text).hex()
        held = self._at_hand(digest)
        if held is None:
            mark, found = self._mark, await self._keys.load(digest)
            if found is None:
                return None
            held = _Held(Caller("service", scopes=found.scopes, service=found.name), 0)
            self._hold(digest, held, f"key:{found.name}", mark)
        return held.caller

    async def by_user(self, user_id: str) -> User | None:
        """A user who is there and not disabled."""
        return await self._users.load(user_id)

    def invalidate(self, type: str, data: Mapping[str, str]) -> None:
        """Hear that a login, a user or a key ended, or that a user changed."""
        if type == "login_ended":
            self._drop(data["loginId"])
            self._ended(data["loginId"])
        elif type in ("user_ended", "user_changed"):
            self._drop_owned(data["userId"])
            self._ended(f"user:{data['userId']}")
        elif type == "key_revoked":
            self._drop_owned(f"key:{data['name']}")
            self._ended(f"key:{data['name']}")

    def forget(self, user_id: str) -> None:
        """Keep a user's logins at hand no longer; nothing has ended."""
        self._drop_owned(user_id)

    async def flush(self) -> None:
        """Write down which logins were used; call it now and then, and once at the end. Raises DomainError."""
        while self._touched:
            ids = list(self._touched)[:TOUCHES]
            self._touched.difference_update(ids)
            try:
                await self._database.write(sessions.record_use, ids=ids, now=self._clock())
            except DomainError:
                self._touched.update(ids)
                raise

    def _used(self, login_id: str, held: _Held) -> Caller | None:
        unused = self._clock() - held.used_at
        if unused > sessions.IDLE_MS:
            return None
        if unused >= sessions.TOUCH_MS:
            held.used_at = self._clock()
            self._touched.add(login_id)
        return held.caller

    def _at_hand(self, name: str) -> _Held | None:
        held = self._held.pop(name, None)
        if held is not None:
            self._held[name] = held
        return held

    def _hold(self, name: str, held: _Held, owner: str, mark: int) -> None:
        """Keep it at hand, unless it ended while it was being read: that snapshot may be older."""
        if self.changed_since(mark, held.caller):
            return
        if name not in self._held:
            add(self._owned, owner, name)
        self._held[name] = held
        while len(self._held) > self._kept:
            self._drop(next(iter(self._held)))

    def _ended(self, what: str) -> None:
        self._mark += 1
        self._ends.append(what)

    def _drop_owned(self, owner: str) -> None:
        for name in tuple(values(self._owned, owner)):
            self._drop(name)

    def _drop(self, name: str) -> None:
        held = self._held.pop(name, None)
        if held is None:
            return
        user_id, service = held.caller.user_id, held.caller.service
        discard(self._owned, f"key:{service}" if user_id is None else user_id, name)
