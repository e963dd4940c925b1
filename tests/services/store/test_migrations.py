"""The migrations make exactly the tables that the code declares, once, all or nothing, one process at a time."""

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine

from services.database import schema_version
from services.database.database import Database
from services.database.sqlite import engine as sqlite_engine
from services.database.sqlite.engine import CannotOpenStore
from services.store import migrate
from services.store.lock import DataDirLock, DataDirLocked
from services.tables import metadata

ROOT = Path(__file__).resolve().parents[3]


def schema(path: Path) -> dict[str, str]:
    """Every table, index and trigger as its normalised SQL."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: re.sub(r"\s+", "", sql).lower() for name, sql in rows if name != "alembic_version"}


def test_the_migrations_make_the_tables_that_the_code_declares(template: Path, tmp_path: Path) -> None:
    declared = tmp_path / "declared.db"
    engine = create_engine(f"sqlite:///{declared}")
    metadata.create_all(engine)
    engine.dispose()
    made = schema(template)
    assert made == schema(declared)
    # What the comparison is worth: constraints and partial indexes are in it.
    assert any("check(" in sql for sql in made.values())
    assert "where" in made["uq_bids_one_hired"]


def test_alembic_sees_no_difference_either(tx: Connection) -> None:
    # Virtual tables, and the tables that SQLite keeps them in, are none that SQLAlchemy can declare.
    options = {"include_name": lambda name, *_: not str(name).startswith(("job_index", "job_terms"))}
    assert compare_metadata(MigrationContext.configure(tx, opts=options), metadata) == []


def test_the_revision_that_the_code_asks_for_is_the_last_one() -> None:
    assert ScriptDirectory.from_config(migrate.configuration()).get_current_head() == schema_version.REVISION


def test_migrating_twice_changes_nothing(store: Path) -> None:
    before = store.read_bytes()
    migrate.upgrade(store)
    assert store.read_bytes() == before


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hub.db"
    upgrade = command.upgrade

    def break_off(config: Config, to: str) -> None:
        upgrade(config, to)
        raise ZeroDivisionError

    monkeypatch.setattr(command, "upgrade", break_off)
    with pytest.raises(ZeroDivisionError):
        migrate.upgrade(path)
    assert schema(path) == {}
    monkeypatch.undo()
    migrate.upgrade(path)
    assert schema(path)


def test_a_migration_may_not_leave_rows_that_refer_to_nothing(store: Path) -> None:
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("INSERT INTO inboxes (user_id, seq, unread, unseen) VALUES ('nobody', 0, 0, 0)")
        connection.commit()
    with pytest.raises(CannotOpenStore, match="refer to nothing"):
        migrate.upgrade(store)


def test_a_newer_store_is_left_alone(store: Path) -> None:
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(CannotOpenStore, match=r"newer version \(revision 9999"):
        migrate.upgrade(store)


def test_the_child_process_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    path.write_bytes(b"something else entirely\n" * 500)
    done = migrating(path)
    _, errors = done.communicate(timeout=60)
    assert done.returncode == 1
    assert errors.decode() == f"{path} cannot be opened: file is not a database.\n"


def migrating(path: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "services.store.migrate", path], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


LOCKED_MIGRATION = """
import sys
from pathlib import Path
from services.store.lock import DataDirLock
from services.store.migrate import upgrade
path = Path(sys.argv[1])
lock = DataDirLock(path.parent)
lock.acquire(timeout=30)
print("locked", flush=True)
upgrade(path)
lock.release()
"""


def test_processes_that_start_at_once_migrate_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", LOCKED_MIGRATION, path], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    for start in starts:
        _, errors = start.communicate(timeout=60)
        assert start.returncode == 0, errors.decode()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM counter").fetchone() == (1,)
    asyncio.run(open_and_close(path))


async def open_and_close(path: Path) -> None:
    database = Database(path)
    await database.start()
    await database.stop()


# The lock

HOLD = """
import sys
from pathlib import Path
from services.store.lock import DataDirLock
lock = DataDirLock(Path(sys.argv[1]))
lock.acquire()
print("locked", flush=True)
sys.stdin.read()
"""


def holding(folder: Path) -> "subprocess.Popen[bytes]":
    """A process that holds the lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"locked\n"
    return process


def test_a_second_process_is_refused_with_the_id_of_the_first(tmp_path: Path) -> None:
    with holding(tmp_path) as first:
        with pytest.raises(DataDirLocked, match=rf"in use by another process \(pid {first.pid}\)\."):
            DataDirLock(tmp_path).acquire()
        assert first.stdin is not None
        first.stdin.close()
    with DataDirLock(tmp_path):
        pass


def test_one_who_waits_gets_the_lock_when_it_is_free(tmp_path: Path) -> None:
    with holding(tmp_path) as first:
        assert first.stdin is not None
        first.stdin.close()
        lock = DataDirLock(tmp_path)
        lock.acquire(timeout=30)
        lock.release()


def test_one_who_waits_too_long_is_refused(tmp_path: Path) -> None:
    with DataDirLock(tmp_path), pytest.raises(DataDirLocked):
        DataDirLock(tmp_path).acquire(timeout=0.1)


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    with holding(tmp_path) as first:
        first.kill()
    with DataDirLock(tmp_path):
        pass


def test_closing_other_descriptors_drops_no_lock(store: Path) -> None:
    folder = store.parent
    with DataDirLock(folder):
        # POSIX locks would be gone after the first of these.
        for path in (store, folder / "hub.lock"):
            os.close(os.open(path, os.O_RDWR))
        engine = sqlite_engine.writer_engine(store)
        engine.connect().close()
        engine.dispose()
        with pytest.raises(DataDirLocked):
            DataDirLock(folder).acquire()


def test_a_lock_is_not_handed_on_to_programs_that_are_started(tmp_path: Path) -> None:
    lock = DataDirLock(tmp_path)
    lock.acquire()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False) as child:
        lock.release()
        # The kernel lets the parent go on before it has closed the child's copy: a moment, where a lock that was
        # handed on would be held for as long as the child lives.
        again = DataDirLock(tmp_path)
        try:
            again.acquire(timeout=5)
        finally:
            child.kill()
        again.release()


def test_a_lock_can_be_let_go_more_than_once(tmp_path: Path) -> None:
    lock = DataDirLock(tmp_path)
    lock.acquire()
    with pytest.raises(RuntimeError):
        lock.acquire()
    lock.release()
    lock.release()
