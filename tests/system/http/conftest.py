"""Fixtures: a hub without sockets for the tests of one module, and its callers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.callers import Callers, create_callers
from tests.support.in_process_hub import InProcessHub, run_in_process
from tests.system.conftest import UNLIMITED


@pytest.fixture(scope="module")
async def in_process_hub(tmp_path_factory: pytest.TempPathFactory, store: Path) -> AsyncIterator[InProcessHub]:
    """A hub without sockets and rate limits, for all tests of a module; its users can pay for many jobs."""
    settings = UNLIMITED | {"HUB_OPENING_BALANCE": "1000000000"}
    async with run_in_process(tmp_path_factory.mktemp("in_process") / "data", store, settings) as hub:
        yield hub


@pytest.fixture(scope="module")
async def in_process_callers(in_process_hub: InProcessHub) -> Callers:
    """One caller of each kind for `in_process_hub`, for tests that do not change them."""
    return await create_callers(in_process_hub, await in_process_hub.create_staff())
