"""Limits concurrent uploads per user and in total."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from services.errors import Overloaded

# Concurrent uploads. Each one keeps a file open and part of it in memory.
MAX_PER_USER: Final = 3
MAX_TOTAL: Final = 64


class UploadSlots:
    """Counts the running uploads of each user."""

    def __init__(self) -> None:
        self._by_user: dict[str, int] = {}

    @asynccontextmanager
    async def acquire(self, user_id: str) -> AsyncIterator[None]:
        """Hold a slot for one upload of this user. Raises Overloaded when none is free."""
        running = self._by_user.get(user_id, 0)
        if running >= MAX_PER_USER or sum(self._by_user.values()) >= MAX_TOTAL:
            raise Overloaded("Too many uploads are running. Try again in a moment.")
        self._by_user[user_id] = running + 1
        try:
            yield
        finally:
            self._by_user[user_id] -= 1
            if not self._by_user[user_id]:
                del self._by_user[user_id]
