"""Passwords: Argon2id in few threads, bounded waiting, and nothing told by the time it takes."""

import asyncio

import pytest

from services.accounts.password_hashing import THREADS, PasswordHasher
from services.errors import Overloaded, RateLimited


@pytest.fixture
def passwords() -> PasswordHasher:
    return PasswordHasher(1)


async def test_a_password_is_kept_as_argon2id_and_recognised(passwords: PasswordHasher) -> None:
    kept = await passwords.hash("correct horse")
    assert kept.startswith("$argon2id$v=19$m=1024,t=3,p=1$")
    assert kept != await passwords.hash("correct horse")
    assert await passwords.verify(kept, "correct horse")
    assert not await passwords.verify(kept, "correct horse ")


async def test_nobody_has_no_password_not_even_the_one_that_is_compared(passwords: PasswordHasher) -> None:
    assert not await passwords.verify(None, "nobody")
    assert not await passwords.verify("no hash at all", "nobody")


async def test_a_password_is_the_same_however_its_accents_were_typed(passwords: PasswordHasher) -> None:
    kept = await passwords.hash("caf\u00e9 au lait")
    assert await passwords.verify(kept, "cafe\u0301 au lait")


async def test_another_cost_makes_a_hash_stale_but_still_good(passwords: PasswordHasher) -> None:
    kept = await passwords.hash("correct horse")
    dearer = PasswordHasher(2)
    assert await dearer.verify(kept, "correct horse")
    assert dearer.needs_rehash(kept)
    assert not passwords.needs_rehash(kept)


async def test_who_comes_when_too_many_wait_is_told_so() -> None:
    passwords = PasswordHasher(1, waiting=3)
    outcomes = await asyncio.gather(*(passwords.hash("x") for _ in range(THREADS + 3 + 2)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(Overloaded) == 2
    assert await passwords.hash("x"), "all places are free again"


async def test_a_refusal_at_ones_turn_frees_the_place() -> None:
    passwords = PasswordHasher(1, waiting=0)

    def refuse() -> None:
        raise RateLimited("tries", count=1, window=1, remaining=0, retry_after=1)

    for _ in range(THREADS + 1):
        with pytest.raises(RateLimited):
            await passwords.verify(None, "x", before=refuse)
    assert await passwords.hash("x")
