"""A started hub for every test, in memory."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.realtime.driver import Driver

MakeDriver = Callable[..., Awaitable[Driver]]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The hub runs on asyncio only."""
    return "asyncio"


@pytest.fixture
async def make_hub() -> AsyncIterator[MakeDriver]:
    """Make a hub with options of the test's own; it is stopped after the test."""
    made: list[Driver] = []

    async def make(**options: Any) -> Driver:
        hub = Driver(**options)
        made.append(hub)
        await hub.manager.start()
        return hub

    yield make
    for hub in made:
        await hub.manager.stop()


@pytest.fixture
async def hub(make_hub: MakeDriver) -> Driver:
    """A hub with the default options."""
    return await make_hub()
