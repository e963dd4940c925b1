"""Fixtures of all tests, the option --deep, and the order of the tests."""

import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.support.hub_logs import pytest_runtest_makereport, pytest_runtest_setup
from tests.support.run_order import longest_first

__all__ = ["pytest_runtest_makereport", "pytest_runtest_setup"]

# No test has a limit by the wall clock: a busy machine must not fail a correct product.
settings.register_profile("no clock", deadline=None)
settings.load_profile("no clock")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of `make test-deep`."""
    parser.addoption("--deep", action="store_true", help="run models, kills, races and repeated cycles at full depth")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the longest tests first, also in each process of pytest-xdist."""
    worker_count = getattr(config, "workerinput", {}).get("workercount", 1)
    items[:] = longest_first(items, worker_count)


@pytest.fixture(scope="session")
def deep(request: pytest.FixtureRequest) -> bool:
    """Whether the run has the option --deep. Without it, each claim is tested with fewer examples."""
    return bool(request.config.getoption("deep"))


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Return the backend of all tests: asyncio with uvloop, as in the hub."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c() -> None:
    """Restore the default of SIGINT, which a shell ignores for background processes."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The path of a data directory that does not exist yet, as on a first start."""
    return tmp_path / "data"
