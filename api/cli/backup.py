"""`hub backup`."""

from pathlib import Path

import click

from api.cli.console.output import print_json, print_message
from api.cli.console.progress import progress
from api.config.settings import Settings
from services.delivery.push_client import KEY_FILE_NAME
from services.store import backup, backup_files, backup_push_key


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(file: Path, as_json: bool) -> None:
    """Copy the store to FILE; the hub may be running.

    The copy is consistent: it shows the store at one point in time. FILE must not exist. The backup consists of FILE,
    a folder of the same name with the suffix .files (attachments) and a file with the suffix .vapid (the push key).
    It does not contain the signing keys (secret.key or HUB_SECRET_KEYS).
    """
    settings = Settings.read()
    store = settings.database_file
    with progress("Copying") as update:
        backup.backup(store, file, update)
        files = backup_files.copy(store, file)
        key = backup_push_key.copy(settings.data_dir / KEY_FILE_NAME, file)
    size = file.stat().st_size
    if as_json:
        print_json({"file": str(file), "bytes": size, "files": files, "pushKey": key})
    else:
        attachments = f", and {files} attached files in {backup_files.folder_of(file)}" if files else ""
        print_message(f"{file}: {size / 1_000_000:.1f} MB{attachments}.")
