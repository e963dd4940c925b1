"""`hub migrate`."""

import click

from api.cli.console.output import print_message
from api.config.settings import Settings
from services.store import preparation
from services.store.lock import DataDirLock


@click.command("migrate")
def command() -> None:
    """Create the store or upgrade its schema.

    No hub may be running.
    """
    path = Settings.read().database_file
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with DataDirLock(path.parent):
        changed = preparation.migrate(path)
    print_message(f"{path} {'was migrated' if changed else 'is up to date'}.")
