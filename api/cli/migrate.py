"""`hub migrate`: bring the store to the form this release needs."""

import click

from api.config.settings import Settings
from services.store import preparation
from services.store.lock import DataDirLock


@click.command("migrate")
def command() -> None:
    """Make the store, or bring it to the form that this release needs; no hub may be serving."""
    path = Settings.read().database_file
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with DataDirLock(path.parent):
        changed = preparation.migrate(path)
    click.echo(f"{path} {'was migrated' if changed else 'is up to date'}.", err=True)
