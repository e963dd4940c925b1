"""`hub keys`."""

import secrets
import sys

import click

from api.cli.client.actions import execute_action
from api.cli.console.output import print_json, print_message, print_table
from api.config.settings import Settings
from api.control.actions import KeyName, NewKey
from services.accounts import api_keys
from services.accounts.schemas import ApiKey


@click.group("keys")
def command() -> None:
    """Manage the API keys of internal services."""


@command.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(api_keys.SCOPES),
    help="What the key allows; repeatable.",
)
def create(name: str, scopes: tuple[str, ...]) -> None:
    """Create an API key called NAME and print it to standard output.

    The store contains only a hash of the key, so the key cannot be printed again.
    """
    # 256 bits.
    key = api_keys.PREFIX + secrets.token_urlsafe(32)
    arguments = NewKey(check_name(name), list(scopes), api_keys.hash_key(key))
    execute_action(Settings.read(), "keys.create", arguments, result=ApiKey)
    click.echo(key)
    if sys.stdout.isatty():
        print_message("Store the key in a safe place. It cannot be printed again.")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
def list_keys(as_json: bool) -> None:
    """List all API keys, including revoked ones; the keys themselves are never shown."""
    keys = execute_action(Settings.read(), "keys.list", result=list[ApiKey])
    if as_json:
        print_json(keys)
        return
    rows = [(key.name, ", ".join(key.scopes), key.created_at, key.revoked_at or "") for key in keys]
    print_table(("name", "scopes", "created", "revoked"), rows)


@command.command("revoke")
@click.argument("name")
def revoke(name: str) -> None:
    """Revoke the API key called NAME and close its streams."""
    execute_action(Settings.read(), "keys.revoke", KeyName(name), result=type(None))
    print_message(f"{name} is revoked.")


def check_name(name: str, param_hint: str = "'NAME'") -> str:
    """Return the name without surrounding spaces. Raises click.BadParameter unless it is valid."""
    name = name.strip()
    if not 1 <= len(name) <= 80 or not name.isprintable():
        raise click.BadParameter("must be 1 to 80 printable characters.", param_hint=param_hint)
    return name
