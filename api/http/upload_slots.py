"""How many files may be coming in at once: from one user, and from all."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from services.errors import Overloaded

# At once, by one user and by all: each holds a file open, and a part of it in memory.
OF_ONE_USER: Final = 3
OF_ALL: Final = 64


class UploadSlots:
    """How many files are coming in, and whose."""

    def __init__(self) -> None:
        self._of_user: dict[str, int] = {}

    @asynccontextmanager
    async def acquire(self, user_id: str) -> AsyncIterator[None]:
        """A place for one. Raises Overloaded."""
        mine = self._of_user.get(user_id, 0)
        if mine >= OF_ONE_USER or sum(self._of_user.values()) >= OF_ALL:
            raise Overloaded("Too many files are coming in; try again in a moment.")
        self._of_user[user_id] = mine + 1
        try:
            yield
        finally:
            self._of_user[user_id] -= 1
            if not self._of_user[user_id]:
                del self._of_user[user_id]
