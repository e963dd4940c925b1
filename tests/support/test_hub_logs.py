"""The report of a failed test shows the last log lines of its hubs."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.hub_logs import MAX_LINES
from tests.support.server import ROOT
from tests.support.timeouts import TIMEOUT_SECONDS

# A hub that does not start: it logs one line for each unknown setting.
PLANTED = """
import pytest

from tests.support.hub import Hub
from tests.support.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    unknown = {f"HUB_UNKNOWN_{number:02}": "1" for number in range(50)}
    return Server(tmp_path_factory.mktemp("hub") / "data", unknown, fresh_process=True)


def test_that_starts_a_hub(server):
    server.spawn()
    assert server.wait() == 0


def test_that_uses_no_hub():
    assert not "fails"


def test_that_uses_the_hub_of_another_test(server):
    Hub(server)
    assert not "fails"


def test_that_passes(server):
    Hub(server)
"""


def test_report_of_a_failed_test_shows_the_last_log_lines_of_its_hubs(tmp_path: Path) -> None:
    planted = tmp_path / "test_planted.py"
    planted.write_text(PLANTED)
    options = ("-c", ROOT / "pyproject.toml", "--rootdir", tmp_path, "-p", "no:cacheprovider", "-p", "tests.conftest")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, planted],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    assert "3 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    starting, without, sharing = re.split(r"^_+ test_that_\w+ _+$", done.stdout, flags=re.MULTILINE)[1:]
    for report in (starting, sharing):
        assert "last log lines of the hub on port" in report
        shown = re.findall(r"^.*HUB_UNKNOWN_\d\d", report, flags=re.MULTILINE)
        assert len(shown) == MAX_LINES
    assert "HUB_UNKNOWN_" not in without
