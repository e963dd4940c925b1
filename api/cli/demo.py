"""`hub demo`."""

import secrets
from typing import Final

import anyio
import click

from api.cli.client.actions import execute_action, now_ms
from api.cli.console.output import print_json, print_message, print_table
from api.cli.console.progress import progress
from api.config.settings import Settings
from api.control.actions import Currency, DemoFill, DemoSteps
from api.routes import demo
from api.routes.demo import DemoUser
from services.accounts.password_hashing import PasswordHasher
from services.attachments.file_store import FileStore
from services.demo.cast import PEOPLE
from services.demo.conversations import create_files

# Steps of the crowd in one request, which has a maximum size on the hub's socket.
MAX_STEPS_PER_REQUEST: Final = 250


@click.command("demo")
@click.option("--once", is_flag=True, help="Change nothing if the store already has a demo; print the users only.")
@click.option("--json", "as_json", is_flag=True, help="Print the users as JSON instead of a table.")
@click.option("--live", is_flag=True, help="Then simulate users on the running hub until Ctrl-C.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0.01, max=100),
    default=1.0,
    show_default=True,
    metavar="N",
    help="Actions per second, with --live.",
)
def command(once: bool, as_json: bool, live: bool, rate: float) -> None:
    """Create demo users, jobs and bids.

    Prints the users with their passwords. Existing data stays. Works in development only, because the sign-in page
    offers these users.
    """
    settings = Settings.read()
    if settings.production:
        raise click.ClickException("Demo users are not allowed in production, because anyone could sign in.")
    users = demo.load_users(settings.data_dir)
    complete = [user.email for user in users] == [person.email for person in PEOPLE]
    if not ((once or live) and complete and execute_action(settings, "demo.is_filled", result=bool)):
        users = users if complete else _generate_users()
        _fill_store(settings, users, renew=not complete)
    if live:
        from api.cli.live_demo.runner import run  # lazy: see `_create_crowd`

        run(settings, users, rate)
    elif as_json:
        print_json(users)
    else:
        print_table(
            ("name", "role", "email", "password"), [(user.name, user.role, user.email, user.password) for user in users]
        )


def _generate_users() -> list[DemoUser]:
    """Return the users of the demo, each with a random password."""
    return [
        DemoUser(name=person.name, role=person.role, email=person.email, password=secrets.token_hex(5))
        for person in PEOPLE
    ]


def _fill_store(settings: Settings, users: list[DemoUser], *, renew: bool) -> None:
    # First, so that a store with another currency is rejected before anything is created.
    execute_action(settings, "ledger.fix_currency", Currency(settings.currency), result=type(None))
    if not execute_action(settings, "demo.has_crowd", result=bool):
        _create_crowd(settings)
    hashes = anyio.run(_hash_passwords, settings, users)
    files = create_files(FileStore(settings.files_dir))
    jobs = execute_action(settings, "demo.fill", DemoFill(hashes, renew, settings.currency, files), result=int)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    demo.save_users(settings.data_dir, users)
    print_message(f"The demo has {len(users)} users; {jobs} jobs were created.")


def _create_crowd(settings: Settings) -> None:
    """Create the crowd: hundreds of users without passwords, and what they did in the past months.

    It is created before the demo users, so that its jobs sort before theirs.
    """
    try:
        # Lazy: the module is slow to import, and mimesis is installed only with the extra `demo`.
        from services.demo import crowd
    except ModuleNotFoundError as error:
        raise click.ClickException(f"The demo needs {error.name}. Run pip install 'gigwire[demo]'.") from error
    steps = crowd.generate_steps(now=now_ms(), currency=settings.currency)
    ids: dict[str, str] = {}
    with progress("Creating the market") as update:
        for start in range(0, len(steps), MAX_STEPS_PER_REQUEST):
            update(start, len(steps))
            chunk = steps[start : start + MAX_STEPS_PER_REQUEST]
            known_ids = {key: ids[key] for step in chunk for key in (step.actor, step.target) if key in ids}
            ids |= execute_action(settings, "demo.run_steps", DemoSteps(chunk, known_ids), result=dict[str, str])


async def _hash_passwords(settings: Settings, users: list[DemoUser]) -> dict[str, str]:
    """Return the password hashes by e-mail address."""
    hasher = PasswordHasher(settings.password_memory_mb)
    hashes: dict[str, str] = {}
    with progress("Hashing passwords") as update:
        for user in users:
            hashes[user.email] = await hasher.hash(user.password)
            update(len(hashes), len(users))
    return hashes
