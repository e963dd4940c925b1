"""The `hub` command; what each of its commands does is in `api/cli/`."""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

import api
import realtime
import services
from api.cli.console.errors import exit_on_refusal

# In the order of `hub --help`: each is `command` in the module of its name.
COMMANDS: Final = ("serve", "demo", "migrate", "keys", "users", "send", "tail", "verify", "backup", "restore")


class Commands(click.Group):
    """A group that imports a command when it is called or shown."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Their names."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command of that name."""
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"api.cli.{name}").command
        return command

    def invoke(self, context: click.Context) -> Any:
        """Run it; what it was refused for becomes one line, and exit code 1."""
        with exit_on_refusal():
            return super().invoke(context)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="gigwire", prog_name="hub")
def hub() -> None:
    """Gigwire: facts that services POST, on disk before the answer, live in every open tab.

    Settings are read from HUB_… variables; the README lists them.
    """
    # What the hub makes is its owner's alone: store, socket, keys, backups.
    os.umask(0o077)


def main() -> None:
    """Run `hub`; exit codes: 0 done, 1 refused or failed with one line saying why, 2 wrong usage."""
    homes = {Path(str(ring.__file__)).parents[1] for ring in (api, services, realtime)}
    if len(homes) > 1:
        sys.exit("Error: another package stands in for one of ours (api, services, realtime): install gigwire alone.")
    run: Callable[..., None] = hub
    run(prog_name="hub")


if __name__ == "__main__":
    main()
