"""Fixtures: shared hubs, fresh hubs with chosen settings, a push service and a mail server."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final, Protocol

import anyio.to_thread
import pytest

from tests.support.callers import Callers, Staff, create_callers, create_staff
from tests.support.hub import Hub
from tests.support.mail_server import LocalMailServer
from tests.support.push_service import LocalPushService
from tests.support.server import Server

# Settings without rate limits. E-mail and push are enabled; no server listens on that port.
UNLIMITED: Final = {
    "HUB_RATE_LIMIT": "0",
    "HUB_LOGIN_RATE_LIMIT": "0",
    "HUB_LOGIN_ADDRESS_RATE_LIMIT": "0",
    "HUB_CONNECT_RATE_LIMIT": "0",
    "HUB_MAX_STREAMS_PER_USER": "0",
    "HUB_MAX_STREAMS_PER_ADDRESS": "0",
    "HUB_SMTP_URL": "smtp://127.0.0.1:9",
    "HUB_PUSH_TEST_ORIGIN": "http://127.0.0.1:9",
}


class StartHub(Protocol):
    """`await start_hub(HUB_BACKLOG="5")` starts a fresh hub with these settings. It is stopped when the test ends."""

    async def __call__(self, **settings: str) -> Hub:
        """Start a hub and wait until it is ready."""
        ...


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty migrated store. Hubs start with a copy of it, because a migration takes seconds."""
    server = Server(tmp_path_factory.mktemp("store") / "data")
    result = server.cli_in_fresh_process("migrate")
    assert result.returncode == 0, result.stderr
    return server.data_dir / "hub.db"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Iterator[Server]:
    """The process of `shared_hub`."""
    # All tests connect from one address.
    settings = {"HUB_MAX_STREAMS_PER_ADDRESS": "0", "HUB_LOGIN_ADDRESS_RATE_LIMIT": "0"}
    server = Server(tmp_path_factory.mktemp("shared") / "data", settings, store=store, fresh_process=True)
    server.start()
    yield server
    code = server.stop()
    assert code == 0, server.log


@pytest.fixture
async def shared_hub(server: Server) -> AsyncIterator[Hub]:
    """A hub that other tests use, too. A test creates its own users and expects jobs and events of other tests."""
    hub = Hub(server)
    yield hub
    await hub.close()
    hub.check_log()


@pytest.fixture(scope="session")
def unlimited_server(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Iterator[Server]:
    """The process of `unlimited_hub`."""
    server = Server(tmp_path_factory.mktemp("unlimited") / "data", UNLIMITED, store=store, fresh_process=True)
    server.start()
    yield server
    code = server.stop()
    assert code == 0, server.log


@pytest.fixture(scope="session")
def staff(unlimited_server: Server) -> Staff:
    """An admin and a service of `unlimited_hub`, created once."""
    return create_staff(unlimited_server)


@pytest.fixture
async def callers(unlimited_hub: Hub, staff: Staff) -> Callers:
    """One caller of each kind for `unlimited_hub`, created for this test."""
    return await create_callers(unlimited_hub, staff)


@pytest.fixture
async def unlimited_hub(unlimited_server: Server) -> AsyncIterator[Hub]:
    """A hub without rate limits that other tests use, too."""
    hub = Hub(unlimited_server)
    yield hub
    await hub.close()
    hub.check_log()


@pytest.fixture
def stream_transport() -> str:
    """The stream transport of fresh hubs. Parametrize it to run a test with both transports."""
    return "auto"


@pytest.fixture
async def start_hub(
    request: pytest.FixtureRequest, tmp_path: Path, stream_transport: str, store: Path
) -> AsyncIterator[StartHub]:
    """Start fresh hubs, each with its own data directory."""
    fresh_process = request.node.get_closest_marker("fresh_process") is not None
    hubs: list[Hub] = []

    async def start(**settings: str) -> Hub:
        data_dir = tmp_path / f"data{len(hubs)}"
        all_settings = {"HUB_STREAM_TRANSPORT": stream_transport} | settings
        hub = Hub(Server(data_dir, all_settings, store=store, fresh_process=fresh_process))
        hubs.append(hub)
        await anyio.to_thread.run_sync(hub.server.start)
        return hub

    yield start
    for hub in hubs:
        await hub.close()
    codes = [await anyio.to_thread.run_sync(_stop, hub.server) for hub in hubs]
    assert not any(codes), f"a hub ended with {codes}; the logs:\n" + "\n".join(hub.server.log for hub in hubs)
    for hub in hubs:
        hub.check_log()


@pytest.fixture
async def hub(start_hub: StartHub) -> Hub:
    """A fresh hub for this test."""
    return await start_hub()


@pytest.fixture
async def push() -> AsyncIterator[LocalPushService]:
    """A local push service. Set `HUB_PUSH_TEST_ORIGIN` to its origin."""
    async with LocalPushService() as service:
        yield service


@pytest.fixture
async def mail() -> AsyncIterator[LocalMailServer]:
    """A local mail server. Set `HUB_SMTP_URL` to its URL."""
    async with LocalMailServer() as server:
        yield server


def _stop(server: Server) -> int:
    """Stop a hub that still runs and return its exit code; -9 if it had to be killed."""
    try:
        return server.stop() if server.running else 0
    except AssertionError:
        return -9
