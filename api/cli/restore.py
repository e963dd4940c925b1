"""`hub restore`."""

from pathlib import Path

import click

from api.cli.console.output import print_json, print_message
from api.cli.console.progress import progress
from api.config.settings import Settings
from services.delivery.push_client import KEY_FILE_NAME
from services.store import backup, backup_files, backup_push_key
from services.store.lock import DataDirLock


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(file: Path, as_json: bool) -> None:
    """Replace the store with the backup FILE; no hub may be running.

    The backup is checked first; its attachments and push key are restored with it. The replaced store is saved as
    hub.before-restore until the next restore. All streams then start over (`reset`, `epoch_changed`).
    """
    settings = Settings.read()
    path, key = settings.database_file, settings.data_dir / KEY_FILE_NAME
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with DataDirLock(path.parent), progress("Copying") as update:
        # Attachments first, so that each restored row finds its file.
        backup_files.restore(file, path)
        with backup_push_key.restore(file, key):
            replaced = backup.restore(file, path, update)
            if replaced is not None:
                backup_files.adopt(path, replaced)
                backup_push_key.adopt(key, replaced)
    if as_json:
        print_json({"file": str(path), "kept": None if replaced is None else str(replaced)})
    else:
        saved = "" if replaced is None else f" The previous store is {replaced}."
        print_message(f"{path} was restored from {file}.{saved}")
