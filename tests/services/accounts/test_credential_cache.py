"""Who is behind a login or a key: kept at hand, and gone the moment a commit says so."""

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
from services.accounts.sessions import IDLE_MS, TOUCH_MS
from services.database.database import Database
from services.database.sqlite.writer import Batch

NOW = 1_700_000_000_000


class Clock:
    """Milliseconds that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


class House:
    """A running store with credentials that hear its commits, as the composer ties them; counts the reads."""

    def __init__(self, store: Path, kept: int = 100) -> None:
        self.clock = Clock()
        self.reads = 0
        self.database = Database(store, on_commit=self.hear)
        self.credentials = CredentialCache(self.database, clock=self.clock, kept=kept)
        self.on_read: Callable[[], None] = lambda: None
        read = self.database.read

        async def counted(query: Callable[..., Any], **arguments: Any) -> Any:
            self.reads += 1
            found = await read(query, **arguments)
            self.on_read()
            return found

        self.database.read = counted  # type: ignore[method-assign,assignment]  # to count, not to fake

    def hear(self, batch: Batch) -> None:
        for event in batch.events:
            self.credentials.invalidate(event.type, msgspec.json.decode(event.data))

    async def sign_up(self, email: str) -> tuple[Me, str]:
        user = await self.database.write(
            users.create, email=email, password_hash="h1", name="Ada", role="client", now=NOW
        )
        return user, await self.sign_in(user)

    async def sign_in(self, user: Me) -> str:
        return await self.database.write(
            sessions.create, user_id=user.id, seen_hash="h1", user_agent=None, address=None, now=NOW
        )

    async def key(self, name: str, *scopes: str) -> str:
        text = f"gw_{name}"
        await self.database.write(api_keys.create, name=name, scopes=scopes, hash=api_keys.hash_of(text), now=NOW)
        return text


@pytest.fixture
async def house(store: Path) -> AsyncIterator[House]:
    house = House(store)
    await house.database.start()
    yield house
    await house.database.stop()


async def test_who_is_forgotten_has_ended_nothing_and_is_looked_up_again(house: House) -> None:
    (ada, login), (bob, other) = await house.sign_up("ada@example.org"), await house.sign_up("bob@example.org")
    for each in (login, other):
        assert await house.credentials.by_session(each) is not None
    mark, before = house.credentials.version, house.reads
    house.credentials.forget(ada.id)
    found = await house.credentials.by_session(other)
    assert found is not None
    assert (found.user_id, house.reads) == (bob.id, before)
    found = await house.credentials.by_session(login)
    assert found is not None
    assert (found.user_id, house.reads, house.credentials.version) == (ada.id, before + 1, mark)


async def test_a_login_is_read_once_and_then_at_hand(house: House) -> None:
    user, login = await house.sign_up("ada@example.org")
    for _ in range(3):
        caller = await house.credentials.by_session(login)
        assert caller is not None
        assert (caller.kind, caller.user_id, caller.login, caller.key) == ("user", user.id, login, f"user:{user.id}")
    assert house.reads == 1


async def test_a_storm_of_logins_is_one_query(house: House) -> None:
    signed_in = [await house.sign_up(f"u{n}@example.org") for n in range(20)]
    callers = await asyncio.gather(*(house.credentials.by_session(login) for _, login in signed_in))
    assert [caller and caller.user_id for caller in callers] == [user.id for user, _ in signed_in]
    assert house.reads == 1


async def test_an_ended_login_is_nobody_before_its_end_is_answered(house: House) -> None:
    user, login = await house.sign_up("ada@example.org")
    other = await house.sign_in(user)
    assert await house.credentials.by_session(login)
    assert await house.credentials.by_session(other)
    await house.database.write(sessions.revoke, login_id=login, user_id=user.id, now=NOW)
    assert await house.credentials.by_session(login) is None
    assert await house.credentials.by_session(other)


async def test_a_disabled_user_and_a_changed_name_are_seen_at_once(house: House) -> None:
    user, login = await house.sign_up("ada@example.org")
    assert await house.credentials.by_session(login)
    await house.database.write(users.update_profile, user_id=user.id, name="Ada L", now=NOW)
    caller = await house.credentials.by_session(login)
    assert caller is not None
    assert caller.user is not None
    assert caller.user.name == "Ada L"
    await house.database.write(account_access.disable, email="ada@example.org", now=NOW)
    assert await house.credentials.by_session(login) is None
    assert await house.credentials.by_user(user.id) is None


async def test_a_revoked_key_is_nobody_at_once(house: House) -> None:
    text, other = await house.key("billing", "notify"), await house.key("crm", "users")
    caller = await house.credentials.by_api_key(text)
    assert caller == Caller("service", scopes=frozenset({"notify"}), service="billing")
    assert await house.credentials.by_api_key(text + "x") is None
    await house.database.write(api_keys.revoke, name="billing", now=NOW)
    assert await house.credentials.by_api_key(text) is None
    assert await house.credentials.by_api_key(other)


async def test_what_ended_while_it_was_read_is_not_kept(house: House) -> None:
    user, login = await house.sign_up("ada@example.org")
    # The read has its snapshot; now the end is heard, before the answer is kept.
    house.on_read = lambda: house.credentials.invalidate(
        "login_ended", {"loginId": login, "userId": user.id, "reason": "logout"}
    )
    assert await house.credentials.by_session(login), "it was read before the end"
    house.on_read = lambda: None
    assert await house.credentials.by_session(login)
    assert house.reads == 2, "so it was asked again"


async def test_who_was_identified_before_an_end_is_known_to_have_ended(house: House) -> None:
    user, login = await house.sign_up("ada@example.org")
    _, bobs_login = await house.sign_up("bob@example.org")
    mark = house.credentials.version
    ada, bobs = await house.credentials.by_session(login), await house.credentials.by_session(bobs_login)
    assert ada is not None
    assert bobs is not None
    await house.database.write(sessions.revoke, login_id=login, user_id=user.id, now=NOW)
    assert house.credentials.changed_since(mark, ada)
    assert not house.credentials.changed_since(mark, bobs)
    assert not house.credentials.changed_since(house.credentials.version, ada)
    for _ in range(MAX_INVALIDATIONS):
        house.credentials.invalidate("key_revoked", {"name": "other"})
    assert house.credentials.changed_since(mark, bobs), "too long ago to tell"


async def test_an_idle_login_is_nobody(house: House) -> None:
    _, login = await house.sign_up("ada@example.org")
    house.clock.now = NOW + IDLE_MS
    assert await house.credentials.by_session(login), "and this use counts"
    house.clock.now += IDLE_MS
    assert await house.credentials.by_session(login)
    house.clock.now += IDLE_MS + 1
    assert await house.credentials.by_session(login) is None


async def test_a_use_is_written_once_an_hour_and_all_of_them_together(house: House) -> None:
    _, first = await house.sign_up("ada@example.org")
    _, second = await house.sign_up("bob@example.org")
    house.clock.now = NOW + TOUCH_MS - 1
    for login in (first, second):
        assert await house.credentials.by_session(login)
    await house.credentials.flush()
    found = await house.database.read(sessions.load_many, ids=[first, second])
    assert {login.used_at for login in found.values()} == {NOW}
    house.clock.now = NOW + TOUCH_MS
    for login in (first, second, first):
        assert await house.credentials.by_session(login)
    await house.credentials.flush()
    found = await house.database.read(sessions.load_many, ids=[first, second])
    assert {login.used_at for login in found.values()} == {NOW + TOUCH_MS}


async def test_what_is_at_hand_is_bounded_and_the_least_used_goes(store: Path) -> None:
    house = House(store, kept=2)
    await house.database.start()
    made = [(await house.sign_up(f"u{n}@example.org"))[1] for n in range(3)]
    for login in (made[0], made[1], made[0], made[2], made[0]):
        assert await house.credentials.by_session(login)
    assert house.reads == 3
    assert await house.credentials.by_session(made[1])
    assert house.reads == 4
    await house.database.stop()
