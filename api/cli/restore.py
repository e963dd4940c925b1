"""`hub restore`: a backup in the place of the store."""

from pathlib import Path

import click

from api.cli.console.output import print_json, say
from api.cli.console.progress import progress
from api.config.settings import Settings
from services.delivery.push_client import KEY_FILE_NAME
from services.store import backup, backup_files, backup_push_key
from services.store.lock import DataDirLock


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Say as JSON what was done.")
def command(file: Path, as_json: bool) -> None:
    """Put the backup FILE in the place of the store; no hub may be serving.

    It is checked first. All streams then start over (`reset`, `epoch_changed`). The store that was there is kept
    beside it as hub.before-restore, until the next restore. What `hub backup` put beside FILE comes back with it.
    """
    settings = Settings.read()
    path, key = settings.database_file, settings.data_dir / KEY_FILE_NAME
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with DataDirLock(path.parent), progress("Copying") as told:
        # Before the rows that name them.
        backup_files.restore(file, path)
        with backup_push_key.restore(file, key):
            kept = backup.restore(file, path, told)
            if kept is not None:
                backup_files.adopt(path, kept)
                backup_push_key.adopt(key, kept)
    if as_json:
        print_json({"file": str(path), "kept": None if kept is None else str(kept)})
    else:
        say(f"{path} is {file} now." + ("" if kept is None else f" What was there is {kept}."))
