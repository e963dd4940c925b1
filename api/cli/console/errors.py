"""Turns refusals into one line and exit code 1."""

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
    """Turn expected errors into `click.ClickException`. Wrong settings produce one line each."""
    try:
        yield
    except SettingsError as error:
        raise click.ClickException("\n".join(error.problems)) from error
    except DomainError as error:
        raise click.ClickException(error.message) from error
    except (DataDirLocked, CannotOpenStore, BackupError) as error:
        raise click.ClickException(str(error)) from error
    except BrokenPipeError:
        # The reader of the output has exited; click handles this error itself.
        raise
    except OSError as error:
        raise click.ClickException(_os_error_message(error)) from error


def _os_error_message(error: OSError) -> str:
    if error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
