"""Executes an administrative action on the hub or the store."""

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

# A starting hub holds the lock before it accepts requests; a stopping hub holds it after its last one.
MAX_WAIT_SECONDS: Final = 20.0
_RETRY_SECONDS: Final = 0.05
_NO_ARGUMENTS: Final = NoArguments()


def execute_action(settings: Settings, action: str, arguments: Arguments = _NO_ARGUMENTS, *, result: type[T]) -> T:
    """Execute an action of `api.control.actions.ACTIONS` and return its result, decoded as `result`.

    The running hub executes it; without a hub, this process opens the store. Raises DomainError, CannotOpenStore and,
    after MAX_WAIT_SECONDS without a response from the process that holds the lock, DataDirLocked.
    """
    settings.database_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    deadline = time.monotonic() + MAX_WAIT_SECONDS
    while True:
        try:
            with DataDirLock(settings.database_file.parent):
                return _execute_locally(settings, action, arguments, result)
        except DataDirLocked as locked:
            try:
                return execute_on_hub(settings, action, arguments, result=result)
            except NoHubRunning:
                if time.monotonic() >= deadline:
                    raise locked from None
            except Overloaded:
                # An overloaded hub has written nothing, so the action can be repeated.
                if time.monotonic() >= deadline:
                    raise
        time.sleep(_RETRY_SECONDS)


def execute_on_hub(settings: Settings, action: str, arguments: Arguments = _NO_ARGUMENTS, *, result: type[T]) -> T:
    """Execute an action on the running hub and return its result, decoded as `result`.

    Raises NoHubRunning, NoResponse, Overloaded, and DomainError if the action fails.
    """
    response = send_request(settings.database_file.parent, action, msgspec.json.encode(arguments))
    if response.code == Overloaded.code:
        raise Overloaded(response.message)
    if response.code:
        raise DomainError(response.message)
    return msgspec.json.decode(response.result, type=result)


def _execute_locally(settings: Settings, action: str, arguments: Arguments, result: type[T]) -> T:
    """Open the store, execute the action and close the store. The caller holds the lock of the data directory."""
    prepare(settings.database_file)
    return msgspec.json.decode(asyncio.run(_execute_on_store(settings, action, arguments)), type=result)


async def _execute_on_store(settings: Settings, action: str, arguments: Arguments) -> bytes:
    database = Database(settings.database_file)
    await database.start()
    try:
        return await execute(ActionContext(database, now_ms), action, msgspec.json.encode(arguments))
    finally:
        await database.stop()


def now_ms() -> int:
    """Return wall time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
