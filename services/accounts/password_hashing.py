"""Passwords: hashed with Argon2id (RFC 9106) in a small thread pool, so that no log-in stops the loop."""

import unicodedata
from collections.abc import Callable
from typing import TypeVar

import argon2
from anyio import CapacityLimiter, to_thread
from argon2.exceptions import InvalidHashError, VerificationError

from services.errors import Overloaded

T = TypeVar("T")

# Hashing is all CPU and memory: more at once would only take both from everybody else.
THREADS = 2
# Some ten seconds of work at the usual cost; whoever comes after that is told to come back.
WAITING = 128
# RFC 9106, section 4, second recommended option, with one lane: two threads are all that two cores can use.
PASSES = 3


class PasswordHasher:
    """Makes and checks password hashes, each of which takes `memory_mib` MiB."""

    def __init__(self, memory_mib: int, *, waiting: int = WAITING) -> None:
        self._hasher = argon2.PasswordHasher(time_cost=PASSES, memory_cost=memory_mib * 1_024, parallelism=1)
        self._threads = CapacityLimiter(THREADS)
        self._most = THREADS + waiting
        self._inside = 0
        # What is verified where there is no account, so that the time taken tells nothing.
        self._nobody = self._hasher.hash(b"nobody")

    async def hash(self, password: str) -> str:
        """A hash to keep. Raises Overloaded when too many wait."""
        return await self._run(lambda: self._hasher.hash(_octets(password)))

    async def verify(self, kept: str | None, password: str, *, before: Callable[[], None] = lambda: None) -> bool:
        """Whether this is the password; takes as long where there is none (`kept` is None) to compare with.

        `before` is called on the loop when this one's turn has come, and may raise. Raises Overloaded when too
        many wait.
        """
        same = await self._run(lambda: self._same(kept or self._nobody, password), before)
        return same and kept is not None

    def needs_rehash(self, kept: str) -> bool:
        """Whether the hash was made at another cost than today's."""
        return self._hasher.check_needs_rehash(kept)

    def _same(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, _octets(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T], before: Callable[[], None] = lambda: None) -> T:
        if self._inside >= self._most:
            raise Overloaded("Too many are signing in; try again in a moment.")
        self._inside += 1
        try:
            async with self._threads:
                before()
                # A limiter of its own for the thread: this one is held already.
                return await to_thread.run_sync(work, limiter=CapacityLimiter(1))
        finally:
            self._inside -= 1


def _octets(password: str) -> bytes:
    """UTF-8 of the NFKC form (NIST SP 800-63B), so that a password typed on another keyboard is the same."""
    return unicodedata.normalize("NFKC", password).encode()
