"""`hub serve`: run the hub."""

import sys
from types import ModuleType

import click

from api import lean
from api.config.settings import Settings


@click.command("serve")
def command() -> None:
    """Serve until SIGTERM or Ctrl-C.

    Migrates the store if it must be, and logs one JSON line {"event": "ready", "url": …} when it answers.
    """
    settings = Settings.read()
    logs, serve = load()
    logs.configure(settings.log_level)
    sys.exit(serve.serve(settings))


def load() -> tuple[ModuleType, ModuleType]:
    """Import all that a server is: its log and its process."""
    # Before all that imports structlog; whence the imports here.
    lean.load_structlog()
    from api.server import logs
    from api.server import server as serve

    return logs, serve
