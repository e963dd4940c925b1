"""Stores and backups of pre-release versions are refused by every command."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.server import Server

MESSAGE = "Error: This store was created by a pre-release version. Set HUB_DATA_DIR to a new, empty directory."
COMMANDS: dict[str, list[str]] = {
    "serve": ["serve"],
    "migrate": ["migrate"],
    "backup": ["backup", "{folder}/new.db"],
    "restore": ["restore", "{folder}/current.db"],
    "verify": ["verify"],
    "demo": ["demo"],
    "keys": ["keys", "list"],
    "users": ["users", "list"],
    "send": ["send", "--to", "ann", "--title", "Hello", "--body", "Hello"],
}


def make_pre_release(store: Path, revision: str, target: Path) -> Path:
    """Copy a current store, and give the copy a pre-release revision."""
    shutil.copy(store, target)
    with closing(sqlite3.connect(target)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.commit()
        connection.execute("PRAGMA journal_mode=DELETE")
    return target


@pytest.mark.parametrize("revision", ["0001", "0008"])
@pytest.mark.parametrize("command", COMMANDS)
def test_pre_release_store_is_rejected_by_every_command(
    command: str, revision: str, store: Path, data_dir: Path, tmp_path: Path
) -> None:
    data_dir.mkdir(mode=0o700)
    file = make_pre_release(store, revision, data_dir / "hub.db")
    shutil.copy(store, tmp_path / "current.db")
    before = file.read_bytes()
    refused = Server(data_dir).cli(*(part.format(folder=tmp_path) for part in COMMANDS[command]))
    assert (refused.returncode, refused.stderr.splitlines()) == (1, [MESSAGE])
    assert file.read_bytes() == before
    assert {*os.listdir(data_dir)} <= {"hub.db", "hub.lock"}
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("revision", ["0001", "0008"])
def test_pre_release_backup_is_rejected_and_the_store_stays(
    revision: str, store: Path, data_dir: Path, tmp_path: Path
) -> None:
    server = Server(data_dir, store=store)
    backup = make_pre_release(store, revision, tmp_path / "backup.db")
    before = backup.read_bytes(), (data_dir / "hub.db").read_bytes()
    refused = server.cli("restore", str(backup))
    assert (refused.returncode, refused.stderr.splitlines()) == (1, [MESSAGE])
    assert (backup.read_bytes(), (data_dir / "hub.db").read_bytes()) == before
