"""Output of commands: tables and progress bars."""

import os
import pty
import sys
from contextlib import suppress

import pytest

from api.cli.console.output import print_table
from api.cli.console.progress import progress


def read_all(fd: int) -> str:
    """Return the whole output of a terminal whose other end is closed."""
    chunks = []
    with suppress(OSError):
        while chunk := os.read(fd, 65_536):
            chunks.append(chunk)
    os.close(fd)
    return b"".join(chunks).decode()


def test_table_aligns_columns_with_wide_and_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "role"), [("日本", "client"), ("a\x1b[2Jb", "admin"), ("", "x")])
    assert capsys.readouterr().out.splitlines() == ["name    role", "日本    client", "a [2Jb  admin", "        x"]


@pytest.mark.parametrize("total", [3, 0], ids=["known_total", "unknown_total"])
def test_progress_bar_is_erased_at_the_end(monkeypatch: pytest.MonkeyPatch, total: int) -> None:
    read_fd, write_fd = pty.openpty()
    with open(write_fd, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress("Copying") as update:
            for done in range(4):
                update(done, total)
    output = read_all(read_fd)
    assert "Copying  [" in output
    assert ("100%" in output) == (total > 0)
    assert output.endswith("\033[1A\033[2K")


def test_progress_bar_is_hidden_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Copying") as update:
        update(1, 2)
    assert capsys.readouterr() == ("", "")
