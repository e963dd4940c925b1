"""CredentialCache: cached sessions and API keys, invalidated by commits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.accounts import account_access, api_keys, sessions, users
from services.accounts.callers import Caller
from services.accounts.credential_cache import MAX_INVALIDATIONS, CredentialCache
from services.accounts.schemas import Me
from services.accounts.sessions import IDLE_MS, USE_PRECISION_MS
from services.database.database import Database
from services.database.units import Batch

NOW = 1_700_000_000_000


class Clock:
    """A clock in milliseconds that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


class CacheHarness:
    """A database whose commits invalidate a credential cache, as in the hub; counts the reads."""

    def __init__(self, store: Path, max_cached: int = 100) -> None:
        self.clock = Clock()
        self.reads = 0
        self.database = Database(store, on_commit=self.invalidate)
        self.cache = CredentialCache(self.database, clock=self.clock, max_cached=max_cached)
        self.on_read: Callable[[], None] = lambda: None
        read = self.database.read

        async def counting_read(query: Callable[..., Any], **arguments: Any) -> Any:
            self.reads += 1
            result = await read(query, **arguments)
            self.on_read()
            return result

        self.database.read = counting_read  # type: ignore[method-assign,assignment]  # counts the calls

    def invalidate(self, batch: Batch) -> None:
        for event in batch.events:
            self.cache.invalidate(event.type, msgspec.json.decode(event.data))

    async def sign_up(self, email: str) -> tuple[Me, str]:
        user = await self.database.write(
            users.create, email=email, password_hash="h1", name="Ada", role="client", now=NOW
        )
        return user, await self.sign_in(user)

    async def sign_in(self, user: Me) -> str:
        return await self.database.write(
            sessions.create, user_id=user.id, expected_hash="h1", user_agent=None, address=None, now=NOW
        )

    async def create_key(self, name: str, *scopes: str) -> str:
        key = f"gw_{name}"
        await self.database.write(api_keys.create, name=name, scopes=scopes, hash=api_keys.hash_key(key), now=NOW)
        return key


@pytest.fixture
async def harness(store: Path) -> AsyncIterator[CacheHarness]:
    harness = CacheHarness(store)
    await harness.database.start()
    yield harness
    await harness.database.stop()


async def test_released_user_keeps_the_session_and_is_reloaded(harness: CacheHarness) -> None:
    (ada, ada_session), (bob, bob_session) = (
        await harness.sign_up("ada@example.org"),
        await harness.sign_up("bob@example.org"),
    )
    for session_id in (ada_session, bob_session):
        assert await harness.cache.by_session(session_id) is not None
    version, reads = harness.cache.version, harness.reads
    harness.cache.forget(ada.id)
    caller = await harness.cache.by_session(bob_session)
    assert caller is not None
    assert (caller.user_id, harness.reads) == (bob.id, reads)
    caller = await harness.cache.by_session(ada_session)
    assert caller is not None
    assert (caller.user_id, harness.reads, harness.cache.version) == (ada.id, reads + 1, version)


async def test_session_is_read_once_and_then_cached(harness: CacheHarness) -> None:
    user, session_id = await harness.sign_up("ada@example.org")
    for _ in range(3):
        caller = await harness.cache.by_session(session_id)
        assert caller is not None
        assert (caller.kind, caller.user_id, caller.session_id, caller.key) == (
            "user",
            user.id,
            session_id,
            f"user:{user.id}",
        )
    assert harness.reads == 1


async def test_concurrent_sessions_are_loaded_by_one_query(harness: CacheHarness) -> None:
    signed_in = [await harness.sign_up(f"u{n}@example.org") for n in range(20)]
    callers = await asyncio.gather(*(harness.cache.by_session(session_id) for _, session_id in signed_in))
    assert [caller and caller.user_id for caller in callers] == [user.id for user, _ in signed_in]
    assert harness.reads == 1


async def test_revoked_session_has_no_caller_once_the_revocation_returns(harness: CacheHarness) -> None:
    user, session_id = await harness.sign_up("ada@example.org")
    other_session = await harness.sign_in(user)
    assert await harness.cache.by_session(session_id)
    assert await harness.cache.by_session(other_session)
    await harness.database.write(sessions.revoke, session_id=session_id, user_id=user.id, now=NOW)
    assert await harness.cache.by_session(session_id) is None
    assert await harness.cache.by_session(other_session)


async def test_disabled_user_and_changed_name_take_effect_at_once(harness: CacheHarness) -> None:
    user, session_id = await harness.sign_up("ada@example.org")
    assert await harness.cache.by_session(session_id)
    await harness.database.write(users.update_profile, user_id=user.id, name="Ada L", now=NOW)
    caller = await harness.cache.by_session(session_id)
    assert caller is not None
    assert caller.user is not None
    assert caller.user.name == "Ada L"
    await harness.database.write(account_access.disable, email="ada@example.org", now=NOW)
    assert await harness.cache.by_session(session_id) is None
    assert await harness.cache.by_user(user.id) is None


async def test_revoked_key_has_no_caller_at_once(harness: CacheHarness) -> None:
    key, other_key = await harness.create_key("billing", "notify"), await harness.create_key("crm", "users")
    caller = await harness.cache.by_api_key(key)
    assert caller == Caller("service", scopes=frozenset({"notify"}), service="billing")
    assert await harness.cache.by_api_key(key + "x") is None
    await harness.database.write(api_keys.revoke, name="billing", now=NOW)
    assert await harness.cache.by_api_key(key) is None
    assert await harness.cache.by_api_key(other_key)


async def test_session_revoked_during_its_read_is_not_cached(harness: CacheHarness) -> None:
    user, session_id = await harness.sign_up("ada@example.org")
    # The reader has its snapshot; the revocation arrives before the result is cached.
    harness.on_read = lambda: harness.cache.invalidate(
        "session_revoked", {"sessionId": session_id, "userId": user.id, "reason": "logout"}
    )
    assert await harness.cache.by_session(session_id), "the snapshot is older than the revocation"
    harness.on_read = lambda: None
    assert await harness.cache.by_session(session_id)
    assert harness.reads == 2, "the result was not cached"


async def test_changed_since_reports_a_revocation_after_authentication(harness: CacheHarness) -> None:
    user, session_id = await harness.sign_up("ada@example.org")
    _, bob_session = await harness.sign_up("bob@example.org")
    version = harness.cache.version
    ada, bob = await harness.cache.by_session(session_id), await harness.cache.by_session(bob_session)
    assert ada is not None
    assert bob is not None
    await harness.database.write(sessions.revoke, session_id=session_id, user_id=user.id, now=NOW)
    assert harness.cache.changed_since(version, ada)
    assert not harness.cache.changed_since(version, bob)
    assert not harness.cache.changed_since(harness.cache.version, ada)
    for _ in range(MAX_INVALIDATIONS):
        harness.cache.invalidate("key_revoked", {"name": "other"})
    assert harness.cache.changed_since(version, bob), "the version is older than the remembered invalidations"


async def test_idle_session_has_no_caller(harness: CacheHarness) -> None:
    _, session_id = await harness.sign_up("ada@example.org")
    harness.clock.now = NOW + IDLE_MS
    assert await harness.cache.by_session(session_id), "this use counts"
    harness.clock.now += IDLE_MS
    assert await harness.cache.by_session(session_id)
    harness.clock.now += IDLE_MS + 1
    assert await harness.cache.by_session(session_id) is None


async def test_session_uses_are_saved_once_an_hour_in_one_write(harness: CacheHarness) -> None:
    _, first = await harness.sign_up("ada@example.org")
    _, second = await harness.sign_up("bob@example.org")
    harness.clock.now = NOW + USE_PRECISION_MS - 1
    for session_id in (first, second):
        assert await harness.cache.by_session(session_id)
    await harness.cache.flush()
    records = await harness.database.read(sessions.load_many, ids=[first, second])
    assert {record.used_at for record in records.values()} == {NOW}
    harness.clock.now = NOW + USE_PRECISION_MS
    for session_id in (first, second, first):
        assert await harness.cache.by_session(session_id)
    await harness.cache.flush()
    records = await harness.database.read(sessions.load_many, ids=[first, second])
    assert {record.used_at for record in records.values()} == {NOW + USE_PRECISION_MS}


async def test_cache_is_bounded_and_drops_the_least_recently_used(store: Path) -> None:
    harness = CacheHarness(store, max_cached=2)
    await harness.database.start()
    session_ids = [(await harness.sign_up(f"u{n}@example.org"))[1] for n in range(3)]
    for session_id in (session_ids[0], session_ids[1], session_ids[0], session_ids[2], session_ids[0]):
        assert await harness.cache.by_session(session_id)
    assert harness.reads == 3
    assert await harness.cache.by_session(session_ids[1])
    assert harness.reads == 4
    await harness.database.stop()
