"""Turns what a command is refused for into one line on standard error and exit code 1."""

from collections.abc import Generator
from contextlib import contextmanager

import click

from api.config.settings import SettingsError
from services.database.open_errors import CannotOpenStore
from services.errors import DomainError
from services.store.backup import BackupError
from services.store.lock import DataDirLocked


@contextmanager
def exit_on_refusal() -> Generator[None, None, None]:
    """Errors with a sentence become `click.ClickException`; wrong settings are one line each."""
    try:
        yield
    except SettingsError as error:
        raise click.ClickException("\n".join(error.problems)) from error
    except DomainError as error:
        raise click.ClickException(error.message) from error
    except (DataDirLocked, CannotOpenStore, BackupError) as error:
        raise click.ClickException(str(error)) from error
    except BrokenPipeError:
        # Whoever read our output has gone; click knows what to do.
        raise
    except OSError as error:
        raise click.ClickException(_sentence(error)) from error


def _sentence(error: OSError) -> str:
    if error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
