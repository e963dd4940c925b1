"""`hub backup`: a consistent copy of the store, while it is served or not."""

from pathlib import Path

import click

from api.commands.output import print_json, say
from api.commands.progress import progress
from api.settings import Settings
from services import backups


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Say as JSON what was made.")
def command(file: Path, as_json: bool) -> None:
    """Copy the store to FILE, as it is at one moment; the hub may be serving.

    FILE must not exist. It holds everything but the signing keys (secret.key or HUB_SECRET_KEYS).
    """
    with progress("Copying") as told:
        backups.backup(Settings.read().database_file, file, told)
    size = file.stat().st_size
    if as_json:
        print_json({"file": str(file), "bytes": size})
    else:
        say(f"{file}: {size / 1_000_000:.1f} MB.")
