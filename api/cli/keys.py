"""`hub keys`: the API keys of internal services."""

import secrets
import sys

import click

from api.cli.client.actions import execute_action
from api.cli.console.output import print_json, print_table
from api.config.settings import Settings
from api.control.actions import KeyName, NewKey
from services.accounts import api_keys
from services.accounts.schemas import ApiKey


@click.group("keys")
def command() -> None:
    """API keys of internal services: create, list, revoke."""


@command.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(api_keys.SCOPES),
    help="What it may do; may be repeated.",
)
def create(name: str, scopes: tuple[str, ...]) -> None:
    """Make a key called NAME and print it, alone, on standard output: only its hash is kept."""
    # 256 bits.
    text = api_keys.PREFIX + secrets.token_urlsafe(32)
    told = NewKey(checked_name(name), list(scopes), api_keys.hash_key(text))
    execute_action(Settings.read(), "keys.create", told, answer=ApiKey)
    click.echo(text)
    if sys.stdout.isatty():
        click.echo("Keep it somewhere safe: it cannot be shown again.", err=True)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, for programs.")
def list_all(as_json: bool) -> None:
    """List all keys, the revoked ones too; never the keys themselves."""
    found = execute_action(Settings.read(), "keys.list", answer=list[ApiKey])
    if as_json:
        print_json(found)
        return
    rows = [(key.name, ", ".join(key.scopes), key.created_at, key.revoked_at or "") for key in found]
    print_table(("name", "scopes", "created", "revoked"), rows)


@command.command("revoke")
@click.argument("name")
def revoke(name: str) -> None:
    """End the key called NAME at once, and the streams that were opened with it."""
    execute_action(Settings.read(), "keys.revoke", KeyName(name), answer=type(None))
    click.echo(f"{name} is revoked.", err=True)


def checked_name(name: str, hint: str = "'NAME'") -> str:
    """A name as it is kept. Raises click.BadParameter."""
    name = name.strip()
    if not 1 <= len(name) <= 80 or not name.isprintable():
        raise click.BadParameter("must be 1 to 80 printable characters.", param_hint=hint)
    return name
