"""Schema migrations: result, atomicity, refused revisions and concurrent processes."""

import asyncio
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
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
from services.database.open_errors import CannotOpenStore
from services.store import backup, migrate, preparation
from services.tables import metadata
from tests.support.timeouts import TIMEOUT_SECONDS

ROOT = Path(__file__).resolve().parents[3]


def schema(path: Path) -> dict[str, str]:
    """Return every table, index and trigger with its normalized SQL."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: re.sub(r"\s+", "", sql).lower() for name, sql in rows if name != "alembic_version"}


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_migrations_create_the_declared_schema(template: Path, tmp_path: Path) -> None:
    declared = tmp_path / "declared.db"
    engine = create_engine(f"sqlite:///{declared}")
    metadata.create_all(engine)
    engine.dispose()
    migrated = schema(template)
    assert migrated == schema(declared)
    # The comparison includes constraints and partial indexes.
    assert any("check(" in sql for sql in migrated.values())
    assert "where" in migrated["uq_bids_one_hired"]


def test_migrated_schema_has_no_alembic_difference(tx: Connection) -> None:
    # SQLAlchemy cannot declare virtual tables and their storage tables.
    options = {"include_name": lambda name, *_: not str(name).startswith(("job_index", "job_terms"))}
    assert compare_metadata(MigrationContext.configure(tx, opts=options), metadata) == []


def test_required_revision_is_the_last_migration() -> None:
    assert ScriptDirectory.from_config(migrate.configuration()).get_current_head() == schema_version.REVISION


def test_upgrade_of_a_current_store_changes_no_byte(store: Path) -> None:
    before = store.read_bytes()
    migrate.upgrade(store)
    assert store.read_bytes() == before


def test_failed_upgrade_leaves_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hub.db"
    upgrade = command.upgrade

    def fail_after_upgrade(config: Config, revision: str) -> None:
        upgrade(config, revision)
        raise ZeroDivisionError

    monkeypatch.setattr(command, "upgrade", fail_after_upgrade)
    with pytest.raises(ZeroDivisionError):
        migrate.upgrade(path)
    assert schema(path) == {}
    monkeypatch.undo()
    migrate.upgrade(path)
    assert schema(path)


def test_upgrade_fails_when_a_row_refers_to_a_missing_row(store: Path) -> None:
    execute(store, "INSERT INTO inboxes (user_id, seq, unread, unseen) VALUES ('nobody', 0, 0, 0)")
    with pytest.raises(CannotOpenStore, match="refer to missing rows"):
        migrate.upgrade(store)


# A second revision that exists only here.

SECOND_REVISION = """
import sqlalchemy as sa
from alembic import op

revision = "0101"
down_revision = "0100"

def upgrade():
    op.execute("ALTER TABLE users ADD COLUMN nickname VARCHAR(80)")
    with op.batch_alter_table("sessions", recreate="always") as sessions:
        sessions.add_column(sa.Column("country", sa.String(2)))
"""


@pytest.fixture
def second_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Add a revision "0101" to the migrations, and return its file."""
    folder = tmp_path / "versions"
    folder.mkdir()
    file = folder / "m0101_second.py"
    file.write_text(SECOND_REVISION)
    config = migrate.configuration()
    baseline = Path(str(config.get_main_option("script_location"))) / "versions"
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", f"{baseline}\n{folder}")
    monkeypatch.setattr(migrate, "configuration", lambda: config)
    monkeypatch.setattr(schema_version, "REVISION", "0101")
    return file


@pytest.fixture
def filled_store(store: Path) -> Path:
    """Return a store with a user, a session and a push subscription of that session."""
    execute(
        store,
        "INSERT INTO users (id, name, role, created_at) VALUES ('ann', 'Ann', 'client', 1)",
        "INSERT INTO sessions (id, user_id, created_at, used_at) VALUES ('s', 'ann', 1, 1)",
        "INSERT INTO push_subscriptions (id, user_id, session_id, endpoint, p256dh, auth, created_at, renewed_at)"
        " VALUES ('p', 'ann', 's', 'https://push.example', 'k', 'a', 1, 1)",
    )
    return store


def test_second_revision_upgrades_a_store_and_keeps_its_rows(filled_store: Path, second_revision: Path) -> None:
    migrate.upgrade(filled_store)
    assert preparation.stored_revision(filled_store) == "0101"
    assert query(filled_store, "SELECT id, nickname FROM users") == [("ann", None)]
    assert query(filled_store, "SELECT id, country FROM sessions") == [("s", None)]
    # The table of sessions was dropped and created again; rows that refer to it stay.
    assert query(filled_store, "SELECT session_id FROM push_subscriptions") == [("s",)]


def test_second_revision_runs_after_the_baseline_on_a_new_store(tmp_path: Path, second_revision: Path) -> None:
    migrate.upgrade(tmp_path / "hub.db")
    assert query(tmp_path / "hub.db", "SELECT count(nickname) FROM users") == [(0,)]


def test_failed_second_revision_changes_nothing(filled_store: Path, second_revision: Path) -> None:
    with open(second_revision, "a", encoding="utf-8") as file:
        file.write("    raise ZeroDivisionError\n")
    before = schema(filled_store)
    with pytest.raises(ZeroDivisionError):
        migrate.upgrade(filled_store)
    assert schema(filled_store) == before
    assert preparation.stored_revision(filled_store) == "0100"


def test_store_that_lacks_the_second_revision_cannot_be_served(store: Path, second_revision: Path) -> None:
    with pytest.raises(CannotOpenStore, match=r"older schema \(revision 0100, needed 0101\)"):
        asyncio.run(start_and_stop(store))


# Stores that this version cannot use.


def test_newer_store_is_refused_and_unchanged(store: Path) -> None:
    execute(store, "UPDATE alembic_version SET version_num = '9999'")
    before = store.read_bytes()
    with pytest.raises(CannotOpenStore, match=r"newer version \(revision 9999"):
        migrate.upgrade(store)
    assert store.read_bytes() == before


@pytest.fixture(params=["0001", "0008"])
def pre_release_store(request: pytest.FixtureRequest, store: Path) -> Path:
    """Return a store of a pre-release revision, in the journal mode of a backup."""
    execute(store, f"UPDATE alembic_version SET version_num = '{request.param}'")
    execute(store, "PRAGMA journal_mode=DELETE")
    return store


@pytest.mark.parametrize(
    "use",
    [
        migrate.upgrade,
        preparation.migrate,
        preparation.prepare,
        lambda path: backup.backup(path, path.with_name("copy.db")),
        lambda path: backup.restore(path, path.with_name("other.db")),
    ],
    ids=["upgrade", "migrate", "prepare", "backup", "restore"],
)
def test_pre_release_store_is_refused_and_unchanged(pre_release_store: Path, use: Callable[[Path], object]) -> None:
    before = pre_release_store.read_bytes()
    with pytest.raises(CannotOpenStore) as refused:
        use(pre_release_store)
    assert str(refused.value) == schema_version.PRE_RELEASE_MESSAGE
    assert pre_release_store.read_bytes() == before
    assert [path.name for path in pre_release_store.parent.iterdir()] == ["hub.db"]


def test_restore_does_not_replace_a_pre_release_store(pre_release_store: Path, template: Path) -> None:
    before = pre_release_store.read_bytes()
    with pytest.raises(CannotOpenStore, match="pre-release"):
        backup.restore(template, pre_release_store)
    assert pre_release_store.read_bytes() == before
    assert [path.name for path in pre_release_store.parent.iterdir()] == ["hub.db"]


# Processes


def start_migrate_process(path: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "services.store.migrate", path], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_migrate_process_reports_an_error_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    path.write_bytes(b"something else entirely\n" * 500)
    process = start_migrate_process(path)
    _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 1
    assert errors.decode() == f"{path} cannot be opened: file is not a database.\n"


LOCKED_MIGRATION = f"""
import sys
from pathlib import Path
from services.store.lock import DataDirLock
from services.store.migrate import upgrade
path = Path(sys.argv[1])
lock = DataDirLock(path.parent)
lock.acquire(timeout={TIMEOUT_SECONDS})
print("locked", flush=True)
upgrade(path)
lock.release()
"""


def test_concurrent_starts_migrate_one_after_another(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", LOCKED_MIGRATION, path], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
        assert process.returncode == 0, errors.decode()
    assert query(path, "SELECT count(*) FROM event_counter") == [(1,)]
    asyncio.run(start_and_stop(path))


async def start_and_stop(path: Path) -> None:
    database = Database(path)
    await database.start()
    await database.stop()
