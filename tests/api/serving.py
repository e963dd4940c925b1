"""A hub served on the test's own loop, for what can only be counted, or broken, in its process."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import pytest
import structlog
import uvicorn
from sqlalchemy import Connection

from api.app import App, build
from api.config.settings import Settings
from api.http.protocol import BoundedProtocol
from services.accounts import sessions, users
from services.store.migrate import upgrade

# So many may wait to be accepted.
BACKLOG = 100


@pytest.fixture
def quiet() -> Iterator[None]:
    """No lines below a warning, as `HUB_LOG_LEVEL` says it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    yield
    structlog.reset_defaults()


def build_app(data_dir: Path, transport: str) -> App:
    """A hub with an empty store."""
    data_dir.mkdir()
    environ = {"HUB_DATA_DIR": str(data_dir), "HUB_STREAM_TRANSPORT": transport, "HUB_MAX_STREAMS_PER_ADDRESS": "0"}
    settings = Settings.read(environ)
    upgrade(settings.database_file)
    return build(settings)


@asynccontextmanager
async def serve_app(data_dir: Path, transport: str) -> AsyncIterator[tuple[App, int]]:
    """The hub on this very loop, and its port."""
    app = build_app(data_dir, transport)
    server = uvicorn.Server(
        uvicorn.Config(app, http=BoundedProtocol, ws="none", lifespan="on", log_config=None, access_log=False)
    )
    # The signals are the tests' own.
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]  # as a context, it is none
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
        running = asyncio.create_task(server.serve([listener]))
        while not server.started:
            assert not running.done()
            await asyncio.sleep(0.01)
        try:
            yield app, listener.getsockname()[1]
        finally:
            app.hub.manager.shutdown()
            server.should_exit = True
            await running


def create_sessions(tx: Connection, *, count: int, now: int) -> list[str]:
    """So many users, each with a login, whose ids these are."""
    made = [users.create(tx, email=None, password_hash="x", name="U", role="client", now=now) for _ in range(count)]
    return [
        sessions.create(tx, user_id=user.id, expected_hash="x", user_agent=None, address=None, now=now) for user in made
    ]
