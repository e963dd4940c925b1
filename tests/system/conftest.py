"""Real hubs for tests: one that all share, fresh ones, and ones with settings of the test's own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Protocol

import anyio.to_thread
import pytest

from tests.support.callers import Callers, Staff, make_callers, make_staff
from tests.support.hub import Hub
from tests.support.mail_server import LocalMailServer
from tests.support.push_service import LocalPushService
from tests.support.server import Server


class StartHub(Protocol):
    """`await start_hub(HUB_BACKLOG="5")`: a fresh hub with these settings; the test's end stops it."""

    async def __call__(self, **settings: str) -> Hub:
        """Start it and wait until it is ready."""
        ...


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty migrated store, for hubs that begin with a copy of it: what a migration does has tests of its own."""
    made = Server(tmp_path_factory.mktemp("store") / "data")
    done = made.cli_in_fresh_process("migrate")
    assert done.returncode == 0, done.stderr
    return made.data_dir / "hub.db"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Iterator[Server]:
    """The process behind `shared_hub`."""
    # Everybody comes from one address here.
    shared = {"HUB_MAX_STREAMS_PER_ADDRESS": "0", "HUB_LOGIN_ADDRESS_RATE_LIMIT": "0"}
    server = Server(tmp_path_factory.mktemp("shared") / "data", shared, store=store, fresh_process=True)
    server.start()
    yield server
    code = server.stop()
    assert code == 0, server.log


@pytest.fixture
async def shared_hub(server: Server) -> AsyncIterator[Hub]:
    """A hub that other tests use too: make your own users, expect other people's jobs and events."""
    hub = Hub(server)
    yield hub
    await hub.close()
    hub.check_log()


@pytest.fixture(scope="session")
def unlimited_server(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Iterator[Server]:
    """The process behind `unlimited_hub`."""
    limits = ("RATE_LIMIT", "LOGIN_RATE_LIMIT", "LOGIN_ADDRESS_RATE_LIMIT", "CONNECT_RATE_LIMIT",
              "MAX_STREAMS_PER_USER", "MAX_STREAMS_PER_ADDRESS")  # fmt: skip
    # E-mail and push are on; nothing answers there.
    ways = {"HUB_SMTP_URL": "smtp://127.0.0.1:9", "HUB_PUSH_TEST_ORIGIN": "http://127.0.0.1:9"}
    off = {f"HUB_{name}": "0" for name in limits}
    server = Server(tmp_path_factory.mktemp("unlimited") / "data", off | ways, store=store, fresh_process=True)
    server.start()
    yield server
    code = server.stop()
    assert code == 0, server.log


@pytest.fixture(scope="session")
def staff(unlimited_server: Server) -> Staff:
    """An admin and a service of `unlimited_hub`."""
    return make_staff(unlimited_server)


@pytest.fixture
async def callers(unlimited_hub: Hub, staff: Staff) -> Callers:
    """One of each kind of caller of `unlimited_hub`, of this test's own."""
    return await make_callers(unlimited_hub, staff)


@pytest.fixture
async def unlimited_hub(unlimited_server: Server) -> AsyncIterator[Hub]:
    """A hub that other tests use too, where nobody is told that they ask too often."""
    hub = Hub(unlimited_server)
    yield hub
    await hub.close()
    hub.check_log()


@pytest.fixture
def stream_transport() -> str:
    """How fresh hubs write to their streams; parametrize it to run the same tests both ways."""
    return "auto"


@pytest.fixture
async def start_hub(
    request: pytest.FixtureRequest, tmp_path: Path, stream_transport: str, store: Path
) -> AsyncIterator[StartHub]:
    """Starts fresh hubs, each with its own data folder."""
    fresh_process = request.node.get_closest_marker("fresh_process") is not None
    hubs: list[Hub] = []

    async def start(**settings: str) -> Hub:
        data_dir, chosen = tmp_path / f"data{len(hubs)}", {"HUB_STREAM_TRANSPORT": stream_transport} | settings
        hub = Hub(Server(data_dir, chosen, store=store, fresh_process=fresh_process))
        hubs.append(hub)
        await anyio.to_thread.run_sync(hub.server.start)
        return hub

    yield start
    for hub in hubs:
        await hub.close()
    codes = [await anyio.to_thread.run_sync(_end, hub.server) for hub in hubs]
    assert not any(codes), f"a hub ended with {codes}; the logs:\n" + "\n".join(hub.server.log for hub in hubs)
    for hub in hubs:
        hub.check_log()


@pytest.fixture
async def hub(start_hub: StartHub) -> Hub:
    """A fresh hub, nobody else's."""
    return await start_hub()


@pytest.fixture
async def push() -> AsyncIterator[LocalPushService]:
    """A push service that a hub may send to with `HUB_PUSH_TEST_ORIGIN`."""
    async with LocalPushService() as service:
        yield service


@pytest.fixture
async def mail() -> AsyncIterator[LocalMailServer]:
    """A mail server that a hub sends by with `HUB_SMTP_URL`."""
    async with LocalMailServer() as server:
        yield server


def _end(server: Server) -> int:
    """Leave nothing running, whatever the test did; the exit code of a hub that still ran, else 0."""
    try:
        return server.stop() if server.running else 0
    except AssertionError:
        return -9
