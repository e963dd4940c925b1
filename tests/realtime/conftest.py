"""Fixtures of the realtime tests: started managers in memory."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.realtime.driver import Driver

MakeDriver = Callable[..., Awaitable[Driver]]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The manager runs on asyncio only."""
    return "asyncio"


@pytest.fixture
async def make_driver() -> AsyncIterator[MakeDriver]:
    """Return a function that starts a manager with the given options. Managers are stopped after the test."""
    drivers: list[Driver] = []

    async def make(**options: Any) -> Driver:
        driver = Driver(**options)
        drivers.append(driver)
        await driver.manager.start()
        return driver

    yield make
    for driver in drivers:
        await driver.manager.stop()


@pytest.fixture
async def driver(make_driver: MakeDriver) -> Driver:
    """A started manager with the default options."""
    return await make_driver()
