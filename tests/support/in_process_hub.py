"""A hub in the process of the test: the real application with a real store, without sockets."""

import logging
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import structlog
import uvicorn
from uvicorn.lifespan.on import LifespanOn

from api.app import App, build
from api.config.settings import Settings
from api.control.actions import ActionContext, Arguments, NewKey, NewUser, execute
from api.server.logs import StdlibBridge
from services.accounts import api_keys
from services.store.preparation import fix_store_currency, prepare
from tests.support.callers import Staff
from tests.support.hub import PASSWORD, HubClients
from tests.support.server import FAST_SETTINGS


class InProcessHub(HubClients):
    """A hub on the event loop of the test. Its clients call the application, which must end each response.

    `stack_traces` are those that the hub logged.
    """

    def __init__(self, app: App, stack_traces: list[str]) -> None:
        super().__init__(httpx2.ASGITransport(app))
        self.app = app
        self.stack_traces = stack_traces

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash."""
        return self.app.hub.settings.origin

    @property
    def data_dir(self) -> Path:
        """The data directory of the hub."""
        return self.app.hub.settings.data_dir

    async def api_key(self, *scopes: str) -> str:
        """Create an API key with these scopes, as `hub keys create` does."""
        key = api_keys.PREFIX + secrets.token_urlsafe(32)
        await self._execute("keys.create", NewKey(f"test-{key[-8:]}", list(scopes), api_keys.hash_key(key)))
        return key

    async def create_staff(self) -> Staff:
        """Create an admin and a service with all scopes."""
        hub, email = self.app.hub, f"admin-{secrets.token_hex(4)}@example.org"
        password_hash = await hub.passwords.hash(PASSWORD)
        await self._execute(
            "users.create", NewUser(email, "Admin", "admin", password_hash, hub.settings.opening_balance)
        )
        return Staff(email, await self.api_key(*api_keys.SCOPES))

    def check_log(self) -> None:
        """Fail if the hub logged a stack trace."""
        assert not self.stack_traces, "the hub logged a stack trace:\n" + "\n".join(self.stack_traces)

    async def _execute(self, name: str, arguments: Arguments) -> None:
        hub = self.app.hub
        await execute(ActionContext(hub.database, hub.clock, hub), name, msgspec.json.encode(arguments))


@asynccontextmanager
async def run_in_process(
    data_dir: Path, store: Path, settings: Mapping[str, str] | None = None
) -> AsyncIterator[InProcessHub]:
    """Run a hub on a copy of the migrated `store` until the context ends."""
    all_settings = Settings.read(FAST_SETTINGS | {"HUB_DATA_DIR": str(data_dir)} | dict(settings or {}))
    _prepare_data_dir(all_settings, store)
    with _collected_stack_traces() as stack_traces:
        app = build(all_settings)
        lifespan = LifespanOn(uvicorn.Config(app, lifespan="on", log_config=None))
        await lifespan.startup()
        assert not lifespan.should_exit, stack_traces
        hub = InProcessHub(app, stack_traces)
        try:
            yield hub
        finally:
            await hub.close()
            await lifespan.shutdown()
        hub.check_log()


def _prepare_data_dir(settings: Settings, store: Path) -> None:
    settings.data_dir.mkdir(mode=0o700)
    shutil.copy(store, settings.data_dir)
    prepare(settings.database_file)
    fix_store_currency(settings.database_file, settings.currency)


@contextmanager
def _collected_stack_traces() -> Iterator[list[str]]:
    """Yield a list to which each logged stack trace is added; the log is written nowhere else."""
    stack_traces: list[str] = []

    def collect(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        if "exception" in event:
            stack_traces.append(event["exception"])
        raise structlog.DropEvent

    bridge = StdlibBridge()
    structlog.configure(
        processors=[structlog.processors.format_exc_info, collect],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
    logging.getLogger().addHandler(bridge)
    try:
        yield stack_traces
    finally:
        logging.getLogger().removeHandler(bridge)
        structlog.reset_defaults()
