"""`hub serve`: run the hub."""

import sys

import click

# Before all that imports structlog.
import api.lean  # noqa: F401
from api import logs
from api.serve import serve
from api.settings import Settings


@click.command("serve")
def command() -> None:
    """Serve until SIGTERM or Ctrl-C.

    Migrates the store if it must be, and logs one JSON line {"event": "ready", "url": …} when it answers.
    """
    settings = Settings.read()
    logs.configure(settings.log_level)
    sys.exit(serve(settings))
