"""`hub backup`: a consistent copy of the store, while it is served or not."""

from pathlib import Path

import click

from api.cli.console.output import print_json, say
from api.cli.console.progress import progress
from api.config.settings import Settings
from services.delivery.push_client import KEY_FILE_NAME
from services.store import backup, backup_files, backup_push_key


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Say as JSON what was made.")
def command(file: Path, as_json: bool) -> None:
    """Copy the store to FILE, as it is at one moment; the hub may be serving.

    FILE must not exist. It holds everything but the signing keys (secret.key or HUB_SECRET_KEYS) and what lies beside
    it under the same name: what people have attached to messages, in a folder that ends in .files, and the key that
    browsers subscribed to push with, in a file that ends in .vapid.
    """
    settings = Settings.read()
    store = settings.database_file
    with progress("Copying") as told:
        backup.backup(store, file, told)
        files = backup_files.copy(store, file)
        key = backup_push_key.copy(settings.data_dir / KEY_FILE_NAME, file)
    size = file.stat().st_size
    if as_json:
        print_json({"file": str(file), "bytes": size, "files": files, "pushKey": key})
    else:
        beside = f", and {files} attached files in {backup_files.folder_of(file)}" if files else ""
        say(f"{file}: {size / 1_000_000:.1f} MB{beside}.")
