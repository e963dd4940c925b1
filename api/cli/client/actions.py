"""How a command has an act done: by the hub that serves, or on the store itself while nobody does."""

import asyncio
import time
from typing import Final, TypeVar

import msgspec

from api.config.settings import Settings
from api.control.actions import ActionContext, Arguments, NoArguments, execute
from api.control.socket import NoHubRunning, send_request
from services.database.database import Database
from services.errors import DomainError, Overloaded
from services.store.lock import DataDirLock, DataDirLocked
from services.store.preparation import prepare

T = TypeVar("T")

# A hub that is just starting (and migrating) holds the lock before it answers, one that stops does so afterwards.
PATIENCE_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 0.05
_NONE: Final = NoArguments()


def execute_action(settings: Settings, act: str, arguments: Arguments = _NONE, *, answer: type[T]) -> T:
    """Do one act of `api.control.actions.ACTS`, wherever the store is open.

    Raises DomainError, CannotOpen, and Locked when whoever has the store does not answer in time.
    """
    settings.database_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with DataDirLock(settings.database_file.parent):
                return _execute_locally(settings, act, arguments, answer)
        except DataDirLocked as locked:
            try:
                return ask_hub(settings, act, arguments, answer=answer)
            except NoHubRunning:
                if time.monotonic() >= until:
                    raise locked from None
            except Overloaded:
                # It has written nothing.
                if time.monotonic() >= until:
                    raise
        time.sleep(_LOOK_SECONDS)


def ask_hub(settings: Settings, act: str, arguments: Arguments = _NONE, *, answer: type[T]) -> T:
    """Have the running hub do it. Raises NobodyAnswers when there is none, Unanswered, DomainError when it refuses."""
    said = send_request(settings.database_file.parent, act, msgspec.json.encode(arguments))
    if said.code == Overloaded.code:
        raise Overloaded(said.message)
    if said.code:
        raise DomainError(said.message)
    return msgspec.json.decode(said.result, type=answer)


def _execute_locally(settings: Settings, act: str, arguments: Arguments, answer: type[T]) -> T:
    """Under the lock: open the store, do it, close."""
    prepare(settings.database_file)
    return msgspec.json.decode(asyncio.run(_perform(settings, act, arguments)), type=answer)


async def _perform(settings: Settings, act: str, arguments: Arguments) -> bytes:
    database = Database(settings.database_file)
    await database.start()
    try:
        return await execute(ActionContext(database, now_ms), act, msgspec.json.encode(arguments))
    finally:
        await database.stop()


def now_ms() -> int:
    """Wall time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
