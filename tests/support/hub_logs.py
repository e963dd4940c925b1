"""The report of a failed test shows the last log lines of each hub that the test used.

tests/conftest.py imports the hooks. This module imports nothing else, because every process loads it.
"""

from collections.abc import Generator
from typing import Final, Protocol

import pytest

MAX_LINES: Final = 40


class LoggingServer(Protocol):
    """What the report needs of a server."""

    port: int

    @property
    def log(self) -> str:
        """Both outputs of the server."""
        ...


# The servers of the running test, by their port.
_used: Final = dict[int, LoggingServer]()


def record_use(server: LoggingServer) -> None:
    """Add a server to the report of the running test, in case it fails."""
    _used[server.port] = server


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Forget the servers of the previous test."""
    _used.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the last log lines to the report of a failure."""
    report = yield
    if report.failed:
        for port, server in _used.items():
            lines = server.log.splitlines()[-MAX_LINES:]
            report.sections.append((f"last log lines of the hub on port {port}", "\n".join(lines)))
    return report
