"""The `hub` command."""

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

# In the order of `hub --help`. Each name is a module in `api.cli` that defines `command`.
COMMANDS: Final = ("serve", "demo", "migrate", "keys", "users", "send", "tail", "verify", "backup", "restore")


class Commands(click.Group):
    """A group that imports a command when it is used."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the command of that name, or None."""
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"api.cli.{name}").command
        return command

    def invoke(self, context: click.Context) -> Any:
        """Run the command; an expected error becomes one line and exit code 1."""
        with exit_on_refusal():
            return super().invoke(context)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="gigwire", prog_name="hub")
def hub() -> None:
    """Gigwire, a self-hosted notification hub.

    Settings are HUB_… environment variables; docs/reference/settings.md lists them.
    """
    # Store, socket, keys and backups are readable by their owner only.
    os.umask(0o077)


def main() -> None:
    """Run `hub`. Exit codes: 0 success, 1 failure with one line that names the reason, 2 wrong usage."""
    locations = {Path(str(ring.__file__)).parents[1] for ring in (api, services, realtime)}
    if len(locations) > 1:
        sys.exit(
            "Error: another installed package hides api, services or realtime. Install gigwire in its own environment."
        )
    run: Callable[..., None] = hub
    run(prog_name="hub")


if __name__ == "__main__":
    main()
