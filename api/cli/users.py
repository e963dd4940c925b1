"""`hub users`: accounts, as an operator makes, shuts out and lets in."""

import sys
from typing import Final

import anyio
import click

from api.cli.client.actions import execute_action
from api.cli.console.output import print_json, print_table, say
from api.cli.keys import checked_name
from api.config.settings import Settings
from api.control.actions import NewPassword, NewUser, UserEmail, UsersAfter
from services.accounts.password_hashing import PasswordHasher
from services.accounts.schemas import ListedUser, Me
from services.accounts.users import check_email
from services.event_log.channels import ROLES
from services.schemas import Role

SHORTEST: Final = 8
LONGEST: Final = 128
# Users that the hub is asked for at once.
PAGE: Final = 1_000

_from_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from the first line of stdin.")


@click.group("users")
def command() -> None:
    """Accounts: create, list, password, disable, enable."""


@command.command("create")
@click.argument("email")
@click.option("--role", required=True, type=click.Choice(ROLES), help="What they may do.")
@click.option("--name", help="What others see; the part before the @ unless given.")
@_from_stdin
@click.option("--json", "as_json", is_flag=True, help="Print the user as JSON, not the id alone.")
def create(email: str, role: Role, name: str | None, password_stdin: bool, as_json: bool) -> None:
    """Make a user and print the id; this is how admins come to be."""
    settings, address = Settings.read(), check_email(email)
    shown = checked_name(name or address.partition("@")[0], "'--name'")
    told = NewUser(address, shown, role, _hash(settings, read_password(password_stdin)), settings.opening_balance)
    made = execute_action(settings, "users.create", told, answer=Me)
    if as_json:
        print_json(made)
    else:
        click.echo(made.id)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, for programs.")
def list_all(as_json: bool) -> None:
    """List all users, oldest first, those who are shut out too."""
    found = _all_users(Settings.read())
    if as_json:
        print_json(found)
        return
    header = ("id", "email", "external id", "name", "role", "created", "shut out")
    rows = [
        (
            user.id,
            user.email or "",
            user.external_id or "",
            user.name,
            user.role,
            user.created_at,
            user.disabled_at or "",
        )
        for user in found
    ]
    print_table(header, rows)


@command.command("password")
@click.argument("email")
@_from_stdin
def password(email: str, password_stdin: bool) -> None:
    """Give a user a new password; ends all their sessions and streams."""
    settings = Settings.read()
    told = NewPassword(email, _hash(settings, read_password(password_stdin)))
    execute_action(settings, "users.password", told, answer=type(None))
    say(f"{email} has a new password.")


@command.command("disable")
@click.argument("email")
def disable(email: str) -> None:
    """Shut a user out; ends all their sessions and streams."""
    execute_action(Settings.read(), "users.disable", UserEmail(email), answer=type(None))
    say(f"{email} is shut out.")


@command.command("enable")
@click.argument("email")
def enable(email: str) -> None:
    """Let a user in again."""
    execute_action(Settings.read(), "users.enable", UserEmail(email), answer=type(None))
    say(f"{email} may sign in.")


def _all_users(settings: Settings) -> list[ListedUser]:
    found: list[ListedUser] = []
    while True:
        told = UsersAfter(found[-1].id if found else "", PAGE)
        page = execute_action(settings, "users.list", told, answer=list[ListedUser])
        found += page
        if len(page) < PAGE:
            return found


def read_password(from_stdin: bool) -> str:
    """A password from a pipe, or asked for twice at the terminal. Raises click.UsageError."""
    if from_stdin:
        # One more than is allowed, and its line end: what is longer is too long anyhow.
        given = sys.stdin.readline(LONGEST + 3).rstrip("\r\n")
    elif sys.stdin.isatty():
        given = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        raise click.UsageError("There is no terminal to ask for the password: use --password-stdin.")
    if not SHORTEST <= len(given) <= LONGEST:
        raise click.UsageError(f"A password has {SHORTEST} to {LONGEST} characters.")
    return given


def _hash(settings: Settings, given: str) -> str:
    """The password itself never leaves this process."""
    return anyio.run(PasswordHasher(settings.password_memory_mb).hash, given)
