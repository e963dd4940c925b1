"""The demo's users: kept with their passwords in the data folder, shown on the sign-in page in development only."""

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
    """A user to sign in as with one click."""

    name: str
    role: Role
    email: str
    password: str


class DemoUsers(Schema, frozen=True):
    """All of them; none where there is no demo."""

    items: list[DemoUser]


async def users(call: Call[None, None]) -> DemoUsers:
    """List the demo's users and their passwords; in development only."""
    settings = call.hub.settings
    if settings.production:
        raise NotFound
    return DemoUsers(items=await anyio.to_thread.run_sync(read, settings.data_dir))


def read(folder: Path) -> list[DemoUser]:
    """What `write` has kept; nothing where there is nothing that can be read."""
    with suppress(FileNotFoundError, msgspec.DecodeError):
        return msgspec.json.decode((folder / FILE_NAME).read_bytes(), type=DemoUsers).items
    return []


def write(folder: Path, people: list[DemoUser]) -> None:
    """Keep them, readable for the owner alone; whole or not at all. Raises OSError."""
    draft = folder / f".{FILE_NAME}.{secrets.token_hex(4)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(msgspec.json.encode(DemoUsers(items=people)))
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, folder / FILE_NAME)
