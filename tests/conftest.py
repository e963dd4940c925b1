"""What every test may ask for: asyncio on uvloop, and a data folder of its own."""

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The hub runs on asyncio with uvloop only."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder that does not exist yet, as on a first start."""
    return tmp_path / "data"
