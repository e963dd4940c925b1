"""What every test may ask for: asyncio on uvloop, and a data folder of its own."""

import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# No test has a limit by the clock: a machine may be busy with something else for as long as it likes.
settings.register_profile("no clock", deadline=None)
settings.load_profile("no clock")


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The hub runs on asyncio with uvloop only."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c() -> None:
    """Ctrl-C means something to the commands under test, also where a shell has started this in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder that does not exist yet, as on a first start."""
    return tmp_path / "data"
