"""`hub users`."""

import sys
from typing import Final

import anyio
import click

from api.cli.client.actions import execute_action
from api.cli.console.output import print_json, print_message, print_table
from api.cli.keys import check_name
from api.config.settings import Settings
from api.control.actions import NewPassword, NewUser, UserEmail, UsersAfter
from services.accounts.password_hashing import PasswordHasher
from services.accounts.schemas import ListedUser, Me
from services.accounts.users import check_email
from services.event_log.channels import ROLES
from services.schemas import Role

MIN_PASSWORD_LENGTH: Final = 8
MAX_PASSWORD_LENGTH: Final = 128
# Users in one request to the hub.
PAGE_SIZE: Final = 1_000

_password_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from the first line of stdin.")


@click.group("users")
def command() -> None:
    """Create and list users, set passwords, disable and enable users."""


@command.command("create")
@click.argument("email")
@click.option("--role", required=True, type=click.Choice(ROLES), help="Role of the user.")
@click.option("--name", show_default="part of EMAIL before the @", help="Display name.")
@_password_stdin
@click.option("--json", "as_json", is_flag=True, help="Print the user as JSON instead of the id.")
def create(email: str, role: Role, name: str | None, password_stdin: bool, as_json: bool) -> None:
    """Create a user and print the id. Only this command can create an admin."""
    settings, address = Settings.read(), check_email(email)
    display_name = check_name(name or address.partition("@")[0], "'--name'")
    password_hash = _hash_password(settings, read_password(password_stdin))
    arguments = NewUser(address, display_name, role, password_hash, settings.opening_balance)
    user = execute_action(settings, "users.create", arguments, result=Me)
    if as_json:
        print_json(user)
    else:
        click.echo(user.id)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
def list_users(as_json: bool) -> None:
    """List all users, oldest first, including disabled ones."""
    users = _load_users(Settings.read())
    if as_json:
        print_json(users)
        return
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
        for user in users
    ]
    print_table(("id", "email", "external id", "name", "role", "created", "disabled"), rows)


@command.command("password")
@click.argument("email")
@_password_stdin
def password(email: str, password_stdin: bool) -> None:
    """Set a user's password; ends all their sessions and streams."""
    settings = Settings.read()
    arguments = NewPassword(email, _hash_password(settings, read_password(password_stdin)))
    execute_action(settings, "users.password", arguments, result=type(None))
    print_message(f"The password of {email} was changed.")


@command.command("disable")
@click.argument("email")
def disable(email: str) -> None:
    """Disable a user; ends all their sessions and streams."""
    execute_action(Settings.read(), "users.disable", UserEmail(email), result=type(None))
    print_message(f"{email} is disabled.")


@command.command("enable")
@click.argument("email")
def enable(email: str) -> None:
    """Enable a disabled user."""
    execute_action(Settings.read(), "users.enable", UserEmail(email), result=type(None))
    print_message(f"{email} is enabled.")


def _load_users(settings: Settings) -> list[ListedUser]:
    users: list[ListedUser] = []
    while True:
        arguments = UsersAfter(users[-1].id if users else "", PAGE_SIZE)
        page = execute_action(settings, "users.list", arguments, result=list[ListedUser])
        users += page
        if len(page) < PAGE_SIZE:
            return users


def read_password(from_stdin: bool) -> str:
    """Read a password from standard input, or prompt for it twice at the terminal. Raises click.UsageError."""
    if from_stdin:
        # Room for one character too many and the line ending, so that a longer password is detected.
        password = sys.stdin.readline(MAX_PASSWORD_LENGTH + 3).rstrip("\r\n")
    elif sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        raise click.UsageError("Standard input is not a terminal. Use --password-stdin.")
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        raise click.UsageError(f"A password must have {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters.")
    return password


def _hash_password(settings: Settings, password: str) -> str:
    """Return the hash; the password itself never leaves this process."""
    return anyio.run(PasswordHasher(settings.password_memory_mb).hash, password)
