"""`hub serve`."""

import sys

import click

from api.config.settings import Settings
from api.server import logs, server


@click.command("serve")
def command() -> None:
    """Run the hub until SIGTERM or Ctrl-C.

    Upgrades the store if needed. Logs one line {"event": "ready", "url": …} when it accepts requests.
    """
    settings = Settings.read()
    logs.configure(settings.log_level)
    sys.exit(server.serve(settings))
