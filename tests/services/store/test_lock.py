"""The exclusive lock on the data directory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.database.sqlite import engine as sqlite_engine
from services.store.lock import DataDirLock, DataDirLocked
from tests.support.timeouts import TIMEOUT_SECONDS

ROOT = Path(__file__).resolve().parents[3]

HOLD = """
import sys
from pathlib import Path
from services.store.lock import DataDirLock
lock = DataDirLock(Path(sys.argv[1]))
lock.acquire()
print("locked", flush=True)
sys.stdin.read()
"""


def start_holder(folder: Path) -> "subprocess.Popen[bytes]":
    """Start a process that holds the lock until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"locked\n"
    return process


def test_second_process_is_refused_with_the_id_of_the_first(tmp_path: Path) -> None:
    with start_holder(tmp_path) as first:
        with pytest.raises(DataDirLocked, match=rf"in use by another process \(pid {first.pid}\)\."):
            DataDirLock(tmp_path).acquire()
        assert first.stdin is not None
        first.stdin.close()
    with DataDirLock(tmp_path):
        pass


def test_waiting_process_gets_the_lock_when_it_is_released(tmp_path: Path) -> None:
    with start_holder(tmp_path) as first:
        assert first.stdin is not None
        first.stdin.close()
        lock = DataDirLock(tmp_path)
        lock.acquire(timeout=TIMEOUT_SECONDS)
        lock.release()


def test_waiting_process_is_refused_after_its_timeout(tmp_path: Path) -> None:
    with DataDirLock(tmp_path), pytest.raises(DataDirLocked):
        DataDirLock(tmp_path).acquire(timeout=0.1)


def test_lock_of_a_killed_process_is_released(tmp_path: Path) -> None:
    with start_holder(tmp_path) as first:
        first.kill()
    with DataDirLock(tmp_path):
        pass


def test_lock_survives_closing_other_descriptors(store: Path) -> None:
    folder = store.parent
    with DataDirLock(folder):
        # POSIX locks would be lost after the first of these.
        for path in (store, folder / "hub.lock"):
            os.close(os.open(path, os.O_RDWR))
        engine = sqlite_engine.writer_engine(store)
        engine.connect().close()
        engine.dispose()
        with pytest.raises(DataDirLocked):
            DataDirLock(folder).acquire()


def test_lock_is_not_inherited_by_child_processes(tmp_path: Path) -> None:
    lock = DataDirLock(tmp_path)
    lock.acquire()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False) as child:
        lock.release()
        # The kernel lets the parent continue before it has closed the child's copy. An inherited lock would stay
        # held as long as the child lives.
        second_lock = DataDirLock(tmp_path)
        try:
            second_lock.acquire(timeout=TIMEOUT_SECONDS)
        finally:
            child.kill()
        second_lock.release()


def test_lock_can_be_released_more_than_once(tmp_path: Path) -> None:
    lock = DataDirLock(tmp_path)
    lock.acquire()
    with pytest.raises(RuntimeError):
        lock.acquire()
    lock.release()
    lock.release()
