"""PasswordHasher: Argon2id hashes, rehashing and bounded waiting."""

import asyncio

import pytest

from services.accounts.password_hashing import MAX_THREADS, PasswordHasher
from services.errors import Overloaded, RateLimited


@pytest.fixture
def hasher() -> PasswordHasher:
    return PasswordHasher(1)


async def test_password_is_hashed_with_argon2id_and_verified(hasher: PasswordHasher) -> None:
    password_hash = await hasher.hash("correct horse")
    assert password_hash.startswith("$argon2id$v=19$m=1024,t=3,p=1$")
    assert password_hash != await hasher.hash("correct horse")
    assert await hasher.verify(password_hash, "correct horse")
    assert not await hasher.verify(password_hash, "correct horse ")


async def test_verify_fails_without_a_hash_even_for_the_dummy_password(hasher: PasswordHasher) -> None:
    assert not await hasher.verify(None, "nobody")
    assert not await hasher.verify("no hash at all", "nobody")


async def test_password_is_normalized_before_hashing(hasher: PasswordHasher) -> None:
    password_hash = await hasher.hash("caf\u00e9 au lait")
    assert await hasher.verify(password_hash, "cafe\u0301 au lait")


async def test_hash_of_another_cost_needs_a_rehash_but_still_verifies(hasher: PasswordHasher) -> None:
    password_hash = await hasher.hash("correct horse")
    costlier_hasher = PasswordHasher(2)
    assert await costlier_hasher.verify(password_hash, "correct horse")
    assert costlier_hasher.needs_rehash(password_hash)
    assert not hasher.needs_rehash(password_hash)


async def test_hash_is_rejected_when_too_many_calls_wait() -> None:
    hasher = PasswordHasher(1, max_waiting=3)
    results = await asyncio.gather(*(hasher.hash("x") for _ in range(MAX_THREADS + 3 + 2)), return_exceptions=True)
    assert [type(result) for result in results].count(Overloaded) == 2
    assert await hasher.hash("x"), "all threads are free again"


async def test_rejection_by_on_start_frees_the_thread() -> None:
    hasher = PasswordHasher(1, max_waiting=0)

    def reject() -> None:
        raise RateLimited("tries", count=1, window=1, remaining=0, retry_after=1)

    for _ in range(MAX_THREADS + 1):
        with pytest.raises(RateLimited):
            await hasher.verify(None, "x", on_start=reject)
    assert await hasher.hash("x")
