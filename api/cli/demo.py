"""`hub demo`: users, jobs and bids to look at."""

import secrets
from typing import Final

import anyio
import click

from api.cli.client.actions import execute_action, now_ms
from api.cli.console.output import print_json, print_table, say
from api.cli.console.progress import progress
from api.config.settings import Settings
from api.control.actions import Currency, DemoFill, DemoSteps
from api.routes import demo
from api.routes.demo import DemoUser
from services.accounts.password_hashing import PasswordHasher
from services.attachments.file_store import FileStore
from services.demo.cast import PEOPLE
from services.demo.conversations import create_files

# Steps of the crowd in one request, which must fit through the hub's socket.
STEPS_AT_ONCE: Final = 250


@click.command("demo")
@click.option("--once", is_flag=True, help="Change nothing where there is a demo already; the table is printed anyway.")
@click.option("--json", "as_json", is_flag=True, help="Print the users as JSON, not as a table.")
@click.option("--live", is_flag=True, help="Then keep the market going on the hub that serves, until Ctrl-C.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0.01, max=100),
    default=1.0,
    show_default=True,
    metavar="N",
    help="With --live, how many things happen in a second.",
)
def command(once: bool, as_json: bool, live: bool, rate: float) -> None:
    """Fill the store with demo users, jobs and bids, and print the users with their passwords.

    What is there already stays. Only in development: the sign-in page then offers these users.
    """
    settings = Settings.read()
    if settings.production:
        raise click.ClickException("There is no demo in production: anybody could sign in.")
    people = demo.load_users(settings.data_dir)
    known = [person.email for person in people] == [someone.email for someone in PEOPLE]
    if not ((once or live) and known and execute_action(settings, "demo.is_filled", answer=bool)):
        people = people if known else _with_passwords()
        _fill(settings, people, renew=not known)
    if live:
        from api.cli.live_demo.runner import run  # only here: see `_bring_crowd`

        run(settings, people, rate)
    elif as_json:
        print_json(people)
    else:
        print_table(
            ("name", "role", "email", "password"),
            [(person.name, person.role, person.email, person.password) for person in people],
        )


def _with_passwords() -> list[DemoUser]:
    return [
        DemoUser(name=someone.name, role=someone.role, email=someone.email, password=secrets.token_hex(5))
        for someone in PEOPLE
    ]


def _fill(settings: Settings, people: list[DemoUser], *, renew: bool) -> None:
    # Refused before anything is made, should the store be in another one.
    execute_action(settings, "ledger.fix_currency", Currency(settings.currency), answer=type(None))
    if not execute_action(settings, "demo.has_crowd", answer=bool):
        _bring_crowd(settings)
    hashes = anyio.run(_hash, settings, people)
    files = create_files(FileStore(settings.files_dir))
    posted = execute_action(settings, "demo.fill", DemoFill(hashes, renew, settings.currency, files), answer=int)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    demo.save_users(settings.data_dir, people)
    say(f"The demo has {len(people)} users; {posted} jobs were posted.")


def _bring_crowd(settings: Settings) -> None:
    """The months before: hundreds of people nobody can sign in as. First, so that what they did sorts first."""
    try:
        from services.demo import (
            crowd,  # only here: it takes a while to load, and a hub without demos has no mimesis
        )
    except ModuleNotFoundError as error:
        raise click.ClickException(f"The demo needs {error.name}: pip install 'gigwire[demo]'.") from error
    steps = crowd.generate_steps(now=now_ms(), currency=settings.currency)
    known: dict[str, str] = {}
    with progress("Filling the market") as told:
        for start in range(0, len(steps), STEPS_AT_ONCE):
            told(start, len(steps))
            part = steps[start : start + STEPS_AT_ONCE]
            named = {key: known[key] for step in part for key in (step.actor, step.target) if key in known}
            known |= execute_action(settings, "demo.run_steps", DemoSteps(part, named), answer=dict[str, str])


async def _hash(settings: Settings, people: list[DemoUser]) -> dict[str, str]:
    passwords = PasswordHasher(settings.password_memory_mb)
    hashes: dict[str, str] = {}
    with progress("Making passwords") as told:
        for person in people:
            hashes[person.email] = await passwords.hash(person.password)
            told(len(hashes), len(people))
    return hashes
