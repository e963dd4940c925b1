"""Demo users, in development only.

`hub demo` stores them with their passwords in the data directory; the sign-in page lists them.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio.to_thread
import msgspec

from api.operations.call import Call
from services.errors import NotFound
from services.schemas import Role, Schema

FILE_NAME: Final = "demo-users.json"


class DemoUser(Schema, frozen=True):
    """A user that the sign-in page offers."""

    name: str
    role: Role
    email: str
    password: str


class DemoUsers(Schema, frozen=True):
    """All demo users; empty if the store has no demo."""

    items: list[DemoUser]


async def list_users(call: Call[None, None]) -> DemoUsers:
    """List the demo users and their passwords, in development only."""
    settings = call.hub.settings
    if settings.production:
        raise NotFound
    return DemoUsers(items=await anyio.to_thread.run_sync(load_users, settings.data_dir))


def load_users(folder: Path) -> list[DemoUser]:
    """Return the users that `save_users` has stored; empty if there is no readable file."""
    with suppress(FileNotFoundError, msgspec.DecodeError):
        return msgspec.json.decode((folder / FILE_NAME).read_bytes(), type=DemoUsers).items
    return []


def save_users(folder: Path, users: list[DemoUser]) -> None:
    """Replace the file atomically; only its owner can read it. Raises OSError."""
    temporary = folder / f".{FILE_NAME}.{secrets.token_hex(4)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(msgspec.json.encode(DemoUsers(items=users)))
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, folder / FILE_NAME)
