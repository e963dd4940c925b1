"""The `hub` command."""

import os
import secrets
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import click

from api import logs, serve
from api.settings import Settings, SettingsError
from services import keys, outbox, sqlite
from services.errors import DomainError
from services.lock import DataLock, Locked
from services.revision import REVISION


def main() -> None:
    """Run a command; exit codes: 0 done, 1 refused or failed with a line that says why, 2 wrong usage."""
    _root(prog_name="hub")


@click.group()
def _root() -> None:
    """Gigwire: a self-hosted notification hub."""


@_root.command("serve")
def _serve() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    settings = _settings()
    logs.configure(settings.log_level)
    with _locked(settings):
        _migrate(settings)
        sys.exit(serve.run(settings))


@_root.command("migrate")
def _migrate_command() -> None:
    """Bring the store to the form this release needs."""
    settings = _settings()
    with _locked(settings):
        _migrate(settings)


@_root.group("keys")
def _keys() -> None:
    """API keys of internal services."""


@_keys.command("create")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(sorted(keys.SCOPES)))
def _create_key(name: str, scopes: tuple[str, ...]) -> None:
    """Make a key and print it, this once; no hub may be serving."""
    settings = _settings()
    with _locked(settings):
        _migrate(settings)
        text = keys.PREFIX + secrets.token_urlsafe(32)
        engine = sqlite.writer_engine(settings.database_file)
        try:
            with engine.begin() as tx:
                outbox.begin(tx)
                keys.create(tx, name=name, scopes=scopes, hash=keys.hash_of(text), now=time.time_ns() // 1_000_000)
        except DomainError as error:
            raise click.ClickException(error.message) from None
        finally:
            engine.dispose()
    click.echo(text)


def _settings() -> Settings:
    try:
        settings = Settings.read(os.environ)
    except SettingsError as error:
        raise click.ClickException("\n".join(error.problems)) from None
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return settings


def _locked(settings: Settings) -> DataLock:
    lock = DataLock(settings.data_dir)
    try:
        lock.acquire()
    except Locked as error:
        raise click.ClickException(str(error)) from None
    return lock


def _migrate(settings: Settings) -> None:
    """In a child process: alembic is heavy, and only wanted when the store is not what it should be."""
    if not _is_current(settings.database_file):
        subprocess.run([sys.executable, "-m", "services.migrate", str(settings.database_file)], check=True)  # noqa: S603  # our own module


def _is_current(path: Path) -> bool:
    if not path.exists():
        return False
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        try:
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError:
            return False
    return found is not None and found[0] == REVISION


if __name__ == "__main__":
    main()
