"""A hub on the event loop of the test, for tests that count calls or inject faults."""

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

# Connections that the kernel queues.
LISTEN_BACKLOG = 100


@pytest.fixture
def quiet_log() -> Iterator[None]:
    """Log warnings and errors only."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    yield
    structlog.reset_defaults()


def build_app(data_dir: Path, transport: str) -> App:
    """Return a hub with an empty store; `transport` is HUB_STREAM_TRANSPORT."""
    data_dir.mkdir()
    environ = {"HUB_DATA_DIR": str(data_dir), "HUB_STREAM_TRANSPORT": transport, "HUB_MAX_STREAMS_PER_ADDRESS": "0"}
    settings = Settings.read(environ)
    upgrade(settings.database_file)
    return build(settings)


@asynccontextmanager
async def serve_app(data_dir: Path, transport: str) -> AsyncIterator[tuple[App, int]]:
    """Serve a hub on the running loop; yield it and its port."""
    app = build_app(data_dir, transport)
    server = uvicorn.Server(
        uvicorn.Config(app, http=BoundedProtocol, ws="none", lifespan="on", log_config=None, access_log=False)
    )
    # Signals are handled by the test process.
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]  # a context manager that does nothing
    with socket.create_server(("127.0.0.1", 0), backlog=LISTEN_BACKLOG) as listener:
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
    """Create users with one session each; return the ids of the sessions."""
    created = [users.create(tx, email=None, password_hash="x", name="U", role="client", now=now) for _ in range(count)]
    return [
        sessions.create(tx, user_id=user.id, expected_hash="x", user_agent=None, address=None, now=now)
        for user in created
    ]
