"""Argon2id password hashing in a bounded thread pool."""

import unicodedata
from collections.abc import Callable
from typing import TypeVar

import argon2
from anyio import CapacityLimiter, to_thread
from argon2.exceptions import InvalidHashError, VerificationError

from services.errors import Overloaded

T = TypeVar("T")

# Hashing needs only CPU and memory; more threads would slow down all other work.
MAX_THREADS = 2
# About ten seconds of work at the default memory cost; further calls are rejected.
MAX_WAITING = 128
# Passes of RFC 9106, section 4, second recommended option. One lane, because the threads already use all cores.
TIME_COST = 3


class PasswordHasher:
    """Creates and verifies password hashes; each one takes `memory_mib` MiB of memory."""

    def __init__(self, memory_mib: int, *, max_waiting: int = MAX_WAITING) -> None:
        self._hasher = argon2.PasswordHasher(time_cost=TIME_COST, memory_cost=memory_mib * 1_024, parallelism=1)
        self._threads = CapacityLimiter(MAX_THREADS)
        self._max_calls = MAX_THREADS + max_waiting
        self._calls = 0
        # Verified when there is no account, so that the duration does not reveal whether one exists.
        self._dummy_hash = self._hasher.hash(b"nobody")

    async def hash(self, password: str) -> str:
        """Return the hash of a password. Raises Overloaded when too many calls wait."""
        return await self._run(lambda: self._hasher.hash(_to_bytes(password)))

    async def verify(
        self, password_hash: str | None, password: str, *, on_start: Callable[[], None] = lambda: None
    ) -> bool:
        """Return whether the password has this hash; without a hash it takes equally long and returns False.

        `on_start` runs on the event loop when a thread is free, and may raise. Raises Overloaded when too many calls
        wait.
        """
        matches = await self._run(lambda: self._matches(password_hash or self._dummy_hash, password), on_start)
        return matches and password_hash is not None

    def needs_rehash(self, password_hash: str) -> bool:
        """Return whether the hash was created with another cost than the current one."""
        return self._hasher.check_needs_rehash(password_hash)

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, _to_bytes(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T], on_start: Callable[[], None] = lambda: None) -> T:
        if self._calls >= self._max_calls:
            raise Overloaded("Too many users are signing in. Try again in a moment.")
        self._calls += 1
        try:
            async with self._threads:
                on_start()
                # The thread needs another limiter, because this task already holds a token of `self._threads`.
                return await to_thread.run_sync(work, limiter=CapacityLimiter(1))
        finally:
            self._calls -= 1


def _to_bytes(password: str) -> bytes:
    """Return the UTF-8 bytes of the NFKC form (NIST SP 800-63B): keyboards encode the same characters differently."""
    return unicodedata.normalize("NFKC", password).encode()
